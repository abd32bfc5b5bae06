"""Carries a suite out, one case after another, and keeps what became of each.

Runs in the event loop of the command. An interrupted run keeps its results: what was not run is
marked so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from trueup.errors import TrueUpError
from trueup.suite.case import Case, Problem, Result, State, Verdict
from trueup.suite.service import Service

WILD = "*?["
INTERRUPTED = "the run was interrupted"

Progress = Callable[[Case, int, int], None]


class Run:
    """One run; `results` has every case in order at any time."""

    def __init__(self, cases: Sequence[Case], *, progress: Progress | None = None) -> None:
        self._cases = cases
        self._results: dict[str, Result] = {}
        self._progress = progress
        self._reason = INTERRUPTED
        for case in cases:
            if case.verdict is not None:
                self._results[case.id] = _result(case, case.verdict, case.seconds)

    @property
    def results(self) -> list[Result]:
        """Every case with what became of it so far."""
        left = self._reason
        return [
            self._results.get(case.id) or Result(case=case, state="not_run", because=left)
            for case in self._cases
        ]

    @property
    def failed(self) -> int:
        """How many have failed so far."""
        return sum(each.state == "failed" for each in self._results.values())

    def give_up(self, reason: str) -> None:
        """Say why what has not been run will not be."""
        self._reason = reason

    async def carry_out(self, service: Service) -> None:
        """Run what is not decided yet."""
        for number, case in enumerate(self._cases, 1):
            if case.id in self._results or case.body is None:
                continue
            if self._progress is not None:
                self._progress(case, number, len(self._cases))
            self._results[case.id] = await self._one(case, service)

    async def _one(self, case: Case, service: Service) -> Result:
        for needed in case.needs:
            before = self._results.get(needed)
            if before is not None and before.state != "passed":
                first = before.needed or needed  # what began it, not what was skipped for it
                word = "failed" if self._results[first].state == "failed" else "was skipped"
                because = f"`{first}` {word}"
                return Result(case=case, state="skipped", because=because, needed=first)
        assert case.body is not None
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            verdict = await case.body(service)
        except TrueUpError as error:
            verdict = Verdict(problem=Problem.of(error))
        return _result(case, verdict, loop.time() - started)


def _result(case: Case, verdict: Verdict, seconds: float) -> Result:
    if verdict.unable is not None:
        because = verdict.unable.cause
        return Result(case=case, state="skipped", seconds=seconds, verdict=verdict, because=because)
    state: State = "passed" if verdict.problem is None else "failed"
    return Result(case=case, state=state, seconds=seconds, verdict=verdict)


def is_chosen(identity: str, only: Sequence[str], skip: Sequence[str]) -> bool:
    """Whether a case is asked for by patterns; a plain word is looked for anywhere in the id."""
    wanted = not only or any(_fits(identity, each) for each in only)
    return wanted and not any(_fits(identity, each) for each in skip)


def chosen_cases(cases: Sequence[Case], only: Sequence[str], skip: Sequence[str]) -> list[Case]:
    """The cases that are asked for and those without which they mean nothing, in order."""
    known = {case.id: case for case in cases}
    kept: set[str] = set()
    waiting = [case.id for case in cases if is_chosen(case.id, only, skip)]
    while waiting:
        identity = waiting.pop()
        if identity not in kept and identity in known:
            kept.add(identity)
            waiting += (*known[identity].needs, *known[identity].follows)
    return [case for case in cases if case.id in kept]


def _fits(identity: str, pattern: str) -> bool:
    is_wild = any(each in pattern for each in WILD)
    return fnmatchcase(identity, pattern if is_wild else f"*{pattern}*")


def with_instead(
    results: Sequence[Result], instead: Callable[[Result], str | None]
) -> list[Result]:
    """The results with what could take the place of what failed."""
    return [
        replace(each, instead=instead(each)) if each.state == "failed" else each for each in results
    ]
