"""Judges many cases at once and shows what came of them."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.faults.case import Case, Verdict
from tests.faults.judge import CLIENTS, Judged, Target, judge, worst

VERDICTS: tuple[Verdict, ...] = ("complete", "error", "broken")


@dataclass(frozen=True)
class Outcome:
    """What came of a case at one target, by client; `due` is what it must end in."""

    case: Case
    judged: Mapping[str, Judged]
    due: frozenset[Verdict]

    @property
    def verdict(self) -> Verdict:
        return worst(self.judged)

    @property
    def is_right(self) -> bool:
        """Whether it ended as it must; an answer where an error was due is no fault."""
        return self.verdict in self.due or (self.verdict == "complete" and "error" in self.due)

    def as_dict(self) -> dict[str, Any]:
        """The outcome in JSON."""
        clients = {
            name: {"verdict": each.verdict, "reason": each.reason}
            for name, each in self.judged.items()
        }
        return {
            "case": self.case.name,
            "family": self.case.fault.family,
            "verdict": self.verdict,
            "due": sorted(self.due),
            "is_right": self.is_right,
            "clients": clients,
        }


@dataclass(frozen=True)
class Column:
    """One row of the table: every case at one target; `is_held` says whether `due` counts."""

    title: str
    outcomes: Sequence[Outcome]
    is_held: bool

    @property
    def wrong(self) -> list[Outcome]:
        """The cases that did not end as they must."""
        return [each for each in self.outcomes if not each.is_right] if self.is_held else []

    def as_dict(self) -> dict[str, Any]:
        """The column in JSON."""
        return {
            "title": self.title,
            "is_held": self.is_held,
            **Counter(each.verdict for each in self.outcomes),
            "outcomes": [each.as_dict() for each in self.outcomes],
        }


async def judge_all(
    cases: Iterable[Case],
    target_of: Callable[[Case], Target],
    due_of: Callable[[Case], frozenset[Verdict]],
    *,
    at_once: int,
    clients: Sequence[str] = CLIENTS,
) -> list[Outcome]:
    """Judge every case, so many at a time, in their order."""
    free = asyncio.Semaphore(at_once)

    async def one(case: Case) -> Outcome:
        async with free:
            return Outcome(case, await judge(case, target_of(case), clients), due_of(case))

    return list(await asyncio.gather(*map(one, cases)))


def table_text(columns: Sequence[Column]) -> str:
    """The table, then each case that did not end as it must."""
    width = max(len(each.title) for each in columns)
    lines = [f"{'':{width}}  {'cases':>6}" + "".join(f"{name:>12}" for name in VERDICTS)]
    for column in columns:
        counts = Counter(each.verdict for each in column.outcomes)
        numbers = "".join(f"{counts[name]:>12}" for name in VERDICTS)
        lines.append(f"{column.title:{width}}  {len(column.outcomes):>6}{numbers}")
    for column in columns:
        if column.is_held:
            lines += ["", *_wrong_lines(column)]
    return "\n".join(lines)


def _wrong_lines(column: Column) -> Iterable[str]:
    recoverable = [each for each in column.outcomes if each.due == {"complete"}]
    recovered = sum(each.verdict == "complete" for each in recoverable)
    yield f"{column.title}: {recovered} of {len(recoverable)} recoverable cases are recovered"
    for outcome in column.wrong:
        due = " or ".join(sorted(outcome.due))
        yield f"  {outcome.case.name}: {outcome.verdict}, must be {due} ({outcome.case.why})"
        for client, judged in outcome.judged.items():
            if judged.verdict not in outcome.due:
                yield f"    {client}: {judged.verdict}: {judged.reason}"


def table_json(columns: Sequence[Column]) -> str:
    """The same for programs."""
    shape = {"schema_version": 1, "columns": [each.as_dict() for each in columns]}
    return json.dumps(shape, ensure_ascii=False, indent=1)
