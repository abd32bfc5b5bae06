"""What the walk of a model's own code met, as findings: the kinds of failures in their order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from trueup.doctor.finding import Finding, Stage
from trueup.doctor.message import Message
from trueup.doctor.rule import Facts, Rule
from trueup.doctor.rules.failure_rule import STAGES, FailureRule, life_of
from trueup.doctor.rules.walked_call import CALL_RULES
from trueup.doctor.rules.walked_config import CONFIG_RULES
from trueup.doctor.rules.walked_generation import GENERATION_RULES
from trueup.doctor.rules.walked_import import IMPORT_RULES
from trueup.doctor.rules.walked_load import LOAD_RULES
from trueup.doctor.walk.failure import Failure
from trueup.doctor.walk.stages import Walked
from trueup.environment.symbols.symbols import Lifetime

# Of what may fail on ways that are not certain, so many are looked at for a stage.
MAX_POSSIBLE = 20
# The model's module imports the configuration's.
CONFIG_IMPORT, MODEL_IMPORT = "import.config", "import.model"
BEHIND = ", once what comes before it is mended"


class MemberGone(FailureRule):
    """The model's code uses a member of a library class that this version does not have.

    `'XModel' object has no attribute 'get_head_mask'`.

    Copy what it was into the model's code.
    """

    code = "LOAD108"
    messages = (
        Message(
            patterns=(
                r"'(?P<owner>\w+)' object has no attribute '?(?P<subject>get_head_mask|"
                r"get_extended_attention_mask|invert_attention_mask|"
                r"warn_if_padding_and_no_attention_mask)",
            ),
            dotted="transformers.modeling_utils.PreTrainedModel.{subject}",
            cause="the base class of models no longer has `{subject}`",
        ),
    )
    stage = "forward"
    cause = "`{owner_name}` has no `{subject}` in transformers {version}"
    hint = "copy what `{subject}` was into the model's class"

    def fits(self, failure: Failure, stage: str) -> bool:
        return failure.kind == "attribute" and failure.owner.startswith("transformers.")

    def life(self, failure: Failure, facts: Facts) -> Lifetime | None:
        return life_of(f"{failure.owner}.{failure.subject}", facts)


class RaisesByItself(FailureRule):
    """The model's own code fails in a way that is no other rule's.

    It needs a name before it binds it, misses a package by a check of its own, refuses this
    release, or takes what the library gives for something else.

    Look at the line: the finding has its exception.
    """

    code = "CODE101"
    stage = "init"
    cause = "`{function}` fails: {message}"

    def fits(self, failure: Failure, stage: str) -> bool:
        return True


FAILURE_RULES: tuple[FailureRule, ...] = (
    *IMPORT_RULES,
    *GENERATION_RULES,
    *CALL_RULES,
    *LOAD_RULES,
    *CONFIG_RULES,
    MemberGone(),
    RaisesByItself(),
)


def rule_of(failure: Failure, stage: str) -> FailureRule:
    """The rule that a failure falls under."""
    return next(rule for rule in FAILURE_RULES if rule.fits(failure, stage))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A failure that ends a stage of the walk, and its rule; `is_behind` another one."""

    failure: Failure
    at: str
    rule: FailureRule
    is_behind: bool

    @property
    def code(self) -> str:
        """The code of its rule."""
        return self.rule.code

    @property
    def stage(self) -> Stage:
        """The stage that it is told under."""
        return STAGES[self.at.partition(".")[0]]

    @property
    def exception(self) -> str | None:
        """The type that is raised."""
        return self.failure.exception

    @property
    def is_error(self) -> bool:
        """Whether it is met for certain, and first."""
        return self.failure.is_certain and not self.is_behind


def ends_of(facts: Facts) -> Iterator[Ended]:
    """What ends the stages of the walk, in their order; not the absent files that DIR112 tells."""
    walked = facts.walked
    if walked is None:
        return
    absent = {each.path for each in facts.checkpoint.problems if each.kind == "absent"}
    for at, failure in walked.failures.items():
        if failure.kind != "import" or failure.subject not in absent:
            is_behind = at == MODEL_IMPORT and CONFIG_IMPORT in walked.failures
            yield Ended(failure=failure, at=at, rule=rule_of(failure, at), is_behind=is_behind)


def walked_findings(facts: Facts) -> Iterable[Finding]:
    """What the walk of the model's code found, in the order of the rules within a stage.

    One error a stage; what is behind it is a warning that blocks as an error does, and what only
    may fail one that blocks nothing. A warning is told once for each rule and stage.
    """
    walked = facts.walked
    if walked is None:
        return
    places: set[tuple[str, str]] = set()
    told: set[tuple[str, str]] = set()
    for each in ends_of(facts):
        finding = each.rule.of(each.failure, each.at, facts)
        if each.is_behind:
            cause = f"{finding.cause}{BEHIND}"
            finding = replace(finding, severity="warning", cause=cause)
        place = (finding.code, str(finding.where))
        told.add((finding.code, finding.stage))
        if place not in places:
            places.add(place)
            yield finding
    warnings = sorted(_warnings(walked, facts), key=lambda each: _place_of(each.code))
    for finding in warnings:
        spot, place = (finding.code, finding.stage), (finding.code, str(finding.where))
        if spot not in told and place not in places:
            told.add(spot)
            places.add(place)
            yield finding


def _warnings(walked: Walked, facts: Facts) -> Iterable[Finding]:
    for stage, failures in walked.behind.items():
        for failure in failures:
            rule = rule_of(failure, stage)
            if not isinstance(rule, RaisesByItself):
                found = rule.of(failure, stage, facts)
                yield replace(found, severity="warning", cause=f"{found.cause}{BEHIND}")
    for stage, failures in walked.possible.items():
        for failure in failures[:MAX_POSSIBLE]:
            rule = rule_of(failure, stage)
            if not isinstance(rule, RaisesByItself):
                yield rule.of(failure, stage, facts)


def _place_of(code: str) -> int:
    return next(place for place, rule in enumerate(FAILURE_RULES) if rule.code == code)


RULES: tuple[Rule, ...] = FAILURE_RULES
