"""Which cases a suite has: for every model, backend and role, by its kind and its acceptance.

Reads the files of prompts, asks nothing. The order is that of the run: everything that needs one
model comes together, so that models that do not fit side by side are loaded once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from trueup.config.settings import Acceptance, RoleSettings
from trueup.errors import ConfigError
from trueup.suite import model_cases
from trueup.suite.acceptance import TEXT_KINDS, acceptance_cases, case_of
from trueup.suite.case import Body, Case, Place, Subject, Verdict
from trueup.suite.comparison import compare_chats, compare_embeddings
from trueup.suite.criteria import Criteria, Wanted, criteria_of
from trueup.suite.expectation import Expectation
from trueup.suite.language import QUESTIONS, base_of, is_known
from trueup.suite.prompts import Prompt, read_prompts


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """A name that answers; `check` is None for another's server, `is_able` whether it may load.

    `is_unchecked`: its check was interrupted. `is_here`: its process can be looked at.
    """

    subject: Subject
    check: Verdict | None = None
    check_seconds: float = 0.0
    is_able: bool = True
    is_unchecked: bool = False
    is_here: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class SuitePlan:
    """Subjects and their cases, in the order of the run."""

    subjects: tuple[Subject, ...]
    cases: tuple[Case, ...]

    def narrowed(self, cases: Iterable[Case]) -> SuitePlan:
        """These cases of it alone."""
        kept = tuple(cases)
        used = {case.subject for case in kept}
        return SuitePlan(
            subjects=tuple(each for each in self.subjects if each.id in used), cases=kept
        )


def plan_suite(
    tested: Sequence[Examined], roles: Sequence[RoleSettings], wanted: Wanted, *, folder: Path
) -> SuitePlan:
    """The test plan of a system; the paths of acceptances are relative to `folder`.

    Raises:
        ConfigError: a file of prompts cannot be used, or what is compared does not fit together.
    """
    planning = _Planning(tested, roles, wanted, folder)
    for each in tested:
        planning.add_name(each)
    for role in roles:
        planning.add_role(role)
    for one, other in wanted.compared:
        planning.add_comparison(one, other)
    planning.check_ids()
    return SuitePlan(subjects=tuple(planning.subjects.values()), cases=tuple(planning.cases))


class _Planning:
    def __init__(
        self,
        tested: Sequence[Examined],
        roles: Sequence[RoleSettings],
        wanted: Wanted,
        folder: Path,
    ) -> None:
        self.subjects: dict[str, Subject] = {}
        self.cases: list[Case] = []
        self._tested = {each.subject.name: each for each in tested}
        self._roles = roles
        self._plain = criteria_of(Acceptance(), wanted, folder)
        self._criteria = {role.name: criteria_of(role.acceptance, wanted, folder) for role in roles}
        self._prompts: dict[Path, tuple[Prompt, ...]] = {}

    def add_name(self, tested: Examined) -> None:
        """All that needs one model or backend."""
        subject = tested.subject
        name, kind = subject.name, subject.kind
        self.subjects[subject.id] = subject
        if tested.check is not None or tested.is_unchecked:
            self._add(_check_case(tested))
        if kind is None:
            return
        needs = () if tested.is_able else (f"{subject.id}/check",)
        ours = subject.is_ours
        key, title = ("load", "it loads and answers") if ours else ("reach", "it answers")
        directory = subject.plan["model"]["directory"] if subject.plan else None
        body: Body = partial(model_cases.loads, name=name, kind=kind, directory=directory)
        load = self._add(case_of(subject, key, title, body, needs=needs))
        roles = [role for role in self._roles if name in role.chain]
        criteria = [self._criteria[role.name] for role in roles] or [self._plain]
        if ours:
            body = partial(
                model_cases.takes_memory, name=name, plan=subject.plan, criteria=criteria
            )
            title = "the memory that loading takes, host and device"
            self._add(case_of(subject, "memory", title, body, needs=(load,)))
        judged = [_member(subject, role) for role in roles] or [subject]
        for each, its in zip(judged, criteria, strict=True):
            self.subjects[each.id] = each
            self.cases += acceptance_cases(each, kind, its, load, self._read)
        if ours and tested.is_here:
            body = partial(model_cases.keeps_memory, name=name, kind=kind)
            title = "repeated requests take no more memory"
            self._add(case_of(subject, "memory-steady", title, body, needs=(load,)))

    def add_role(self, role: RoleSettings) -> None:
        """The role as clients ask for it."""
        kind = self._kind_of(role.chain)
        if kind is None:
            return
        subject = Subject(
            id=role.name,
            type="role",
            name=role.name,
            kind=kind,
            place=role.place or None,
            chain=role.chain,
        )
        self.subjects[subject.id] = subject
        body: Body = partial(model_cases.answers_at_all, name=role.name, kind=kind)
        answers = self._add(case_of(subject, "answers", "somebody in its chain answers", body))
        criteria = self._criteria[role.name]
        other = criteria.compare_with
        if other is None:
            return
        self._known(other, role.place or None)
        title = f"it does no worse than {other} on the same prompts"
        body = self._compared(other, role.name, kind, criteria, role.place or None)
        self._add(case_of(subject, f"compare-{other}", title, body, needs=(answers,)))

    def add_comparison(self, one: str, other: str) -> None:
        """Two names that the command line compares."""
        where = "--compare"
        for name in (one, other):
            self._known(name, where)
        kind = self._kind_of((other,))
        if kind is None or self._kind_of((one,)) is None:
            return
        subject = Subject(
            id=f"{one}~{other}", type="comparison", name=other, kind=kind, chain=(one, other)
        )
        self.subjects[subject.id] = subject
        loads = {f"{name}/{key}" for name in (one, other) for key in ("load", "reach")}
        needs = tuple(case.id for case in self.cases if case.id in loads)
        title = f"{other} does no worse than {one} on the same prompts"
        body = self._compared(one, other, kind, self._plain, where)
        self._add(case_of(subject, "compare", title, body, needs=needs))

    def check_ids(self) -> None:
        """See that every case has an id of its own.

        Raises: ConfigError where names or files of prompts make two the same.
        """
        twice = [name for name, count in Counter(c.id for c in self.cases).items() if count > 1]
        if twice:
            raise ConfigError(
                f"two cases are called `{twice[0]}`",
                hint="rename a role, a model or a file of prompts",
            )

    def _compared(
        self, one: str, other: str, kind: str, criteria: Criteria, where: str | None
    ) -> Body:
        first = self._kind_of((one,)) or kind
        if (first in TEXT_KINDS) != (kind in TEXT_KINDS):
            raise ConfigError(
                f"`{one}` is {first} and `{other}` is {kind}, expected two that answer the same "
                "requests",
                where=where,
            )
        if kind == "forecast":
            raise ConfigError(
                f"`{one}` and `{other}` forecast, which a suite does not compare",
                where=where,
                hint="`trueup forecast CANDLES --model MODEL --backtest` measures each of them",
            )
        if kind == "embedding":
            return partial(compare_embeddings, one=one, other=other, criteria=criteria)
        prompts = [prompt for path in criteria.prompts for prompt in self._read(path)]
        prompts = prompts or [_plain_prompt(each) for each in criteria.languages if is_known(each)]
        names, kinds = (one, other), (first, kind)
        return partial(compare_chats, names=names, kinds=kinds, prompts=prompts, criteria=criteria)

    def _known(self, name: str, where: str | None) -> None:
        if name not in self._tested:
            known = ", ".join(f"`{each}`" for each in self._tested)
            raise ConfigError(
                f"`{name}` is to be compared and is not among what is tested: {known}", where=where
            )

    def _add(self, case: Case) -> str:
        self.cases.append(case)
        return case.id

    def _kind_of(self, names: Iterable[str]) -> str | None:
        kinds = (self._tested[each].subject.kind for each in names if each in self._tested)
        return next((kind for kind in kinds if kind is not None), None)

    def _read(self, path: Path) -> tuple[Prompt, ...]:
        if path not in self._prompts:
            self._prompts[path] = read_prompts(path)
        return self._prompts[path]


def _check_case(tested: Examined) -> Case:
    return Case(
        id=f"{tested.subject.id}/check",
        subject=tested.subject.id,
        title="nothing is in the way",
        verdict=tested.check,
        seconds=tested.check_seconds,
    )


def _member(subject: Subject, role: RoleSettings) -> Subject:
    identity, place = f"{role.name}/{subject.name}", role.place or None
    return replace(subject, id=identity, type="member", role=role.name, place=place)


def _plain_prompt(language: str) -> Prompt:
    question = QUESTIONS[base_of(language)]
    return Prompt(
        id=f"introduction-{language}",
        messages=({"role": "user", "content": question},),
        expectation=Expectation(language=language),
        max_tokens=None,
        within_seconds=None,
        place=Place(text="a question of the suite's own"),
    )
