"""What the rules find and what the walk of the model's code meets, put together in one order.

A check does it with whole findings, a matrix with their codes alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, TypeVar

from trueup.doctor.finding import Finding, Stage
from trueup.doctor.rule import Facts, Rule
from trueup.doctor.rules import RULES
from trueup.doctor.rules.unfinished import RuleFailed
from trueup.errors import TrueUpError

# The order in which a model is brought up, and so the order in which its errors are met.
STAGES: tuple[Stage, ...] = (
    "config",
    "import",
    "tokenizer",
    "init",
    "load",
    "forward",
    "generate",
    "chat",
)
# What the files alone show of code that cannot be imported: absent, no Python, Python 2, a circle.
OF_FILES = frozenset({"DIR112", "DIR113", "DIR118", "DIR119"})
# How importing such code fails.
IMPORT_ERRORS = frozenset({"SyntaxError", "OSError", "FileNotFoundError", "ImportError"})


class Met(Protocol):
    """A failure of the walk: the finding that it is, or as much as is known without making it."""

    @property
    def code(self) -> str:
        """The code of its rule."""

    @property
    def stage(self) -> Stage:
        """Where it is met."""

    @property
    def exception(self) -> str | None:
        """The type that is raised."""


M = TypeVar("M", bound=Met)


def rule_findings(facts: Facts) -> list[Finding]:
    """What every rule for this version finds, in the order of RULES, without the walk's."""
    version = facts.environment.transformers
    return [
        each for rule in RULES if rule.applies_to(version) for each in _findings_of(rule, facts)
    ]


def _findings_of(rule: Rule, facts: Facts) -> list[Finding]:
    """What a rule finds; one that fails costs nothing of what the others find."""
    try:
        return list(rule.check(facts))
    except TrueUpError:  # the time is over, or the facts cannot be read
        raise
    except Exception as error:
        return [RuleFailed().of(rule, error)]


def with_reasons(found: Sequence[Finding], met: Iterable[M]) -> Iterator[tuple[M, int | None]]:
    """Each failure with the place in `found` of what is its reason; one is that of one failure."""
    taken: set[int] = set()
    for each in met:
        places = (n for n, finding in enumerate(found) if _is_reason(finding, each))
        place = next((n for n in places if n not in taken), None)
        if place is not None:
            taken.add(place)
        yield each, place


def _is_reason(found: Finding, met: Met) -> bool:
    """Whether a finding about a file is the reason for a failure of the walk."""
    if found.code not in OF_FILES or met.stage != "import" or met.code == "IMP101":
        return False
    return found.exception is None and met.exception in IMPORT_ERRORS


def place_of(stage: Stage) -> int:
    """How late a stage is met."""
    return STAGES.index(stage)
