"""Checks of a client library: functions that return or say what is wrong, run one by one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.clients.table import Cell, Table
from tests.faults.server import FaultServer

PASSED: frozenset[str] = frozenset({"as it should be"})
LIMIT_SECONDS = 60.0


class Wrong(Exception):
    """What a client got is not what it should get."""


@dataclass(frozen=True)
class Place:
    """Where checks ask: the gateway's base URL, its key, and the fault server behind it."""

    url: str
    key: str
    server: FaultServer


@dataclass
class Checks:
    """Checks by their names; `backends` are the faults that they need."""

    rows: list[tuple[str, Callable[[Place], Awaitable[None]]]] = field(default_factory=list)
    backends: set[str] = field(default_factory=set)

    def check(
        self, name: str, *faults: str
    ) -> Callable[[Callable[[Place], Awaitable[None]]], Callable[[Place], Awaitable[None]]]:
        """Add a function, whose faults are named `NAME:LASTS`."""

        def add(function: Callable[[Place], Awaitable[None]]) -> Callable[[Place], Awaitable[None]]:
            self.rows.append((name, function))
            self.backends.update(faults)
            return function

        return add


def expect(is_so: bool, *found: Any) -> None:
    """Go on where it is so.

    Raises:
        Wrong: it is not; the text says what was found.
    """
    if not is_so:
        raise Wrong(" ".join(str(each) for each in found) or "not so")


async def run_checks(
    title: str, checks: Checks, place: Place, only: Sequence[str] | Iterable[str]
) -> Table:
    """Every check, one after the other."""
    table = Table(title, ["through the gateway"])
    for name, function in checks.rows:
        if only and not any(each in name for each in only):
            continue
        try:
            async with asyncio.timeout(LIMIT_SECONDS):
                await function(place)
        except Exception as error:  # whatever escapes is what users would get to see
            told = f"{type(error).__name__}: {error}"
            cell = Cell("wrong" if isinstance(error, Wrong) else type(error).__name__, told, PASSED)
        else:
            cell = Cell("as it should be", due=PASSED)
        table.add(name, cell)
    return table
