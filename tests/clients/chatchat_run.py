"""Langchain-Chatchat in front of the fault server, without and with our gateway between them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.clients.chatchat_asking import COMPLETE, NOTED, Seen, ask
from tests.clients.chatchat_rows import DOORS, TITLES, Asking, askings
from tests.clients.chatchat_server import (
    EMBEDDING_MODEL,
    Platform,
    running_chatchat,
    settings_of,
)
from tests.clients.table import Cell, Table
from tests.faults.gateways import HEALTHY, LIMITS, running_gateway
from tests.faults.server import FaultServer

DIRECT, ALONE, SECOND = "direct", "alone", "second"
COLUMNS: Mapping[str, str] = {
    DIRECT: "without us",
    ALONE: "with us, this server alone",
    SECOND: "with us, a healthy second server",
}
KEY = "a-key-of-chatchat"
PROFILE = "langchain-chatchat"
# Less than the profile's own, so that what cannot be helped ends while somebody waits.
PATIENCE_SECONDS = 8.0
AT_ONCE = 6
# Without a gateway silence ends when we lose patience: longer says nothing more.
DIRECT_SECONDS = 20.0
LIMIT_SECONDS = 60.0


async def run_chatchat(version: str, folder: Path, only: Sequence[str]) -> list[Table]:
    """A table for each door of this version."""
    chosen = [each for each in askings() if not only or any(part in each.name for part in only)]
    async with contextlib.AsyncExitStack() as stack:
        faulty = await stack.enter_async_context(FaultServer().listening())
        healthy = await stack.enter_async_context(FaultServer(is_healthy=True).listening())
        shape = configuration(chosen, faulty.url, healthy.url)
        (folder / "gateway").mkdir()
        gateway = await stack.enter_async_context(running_gateway(shape, folder / "gateway"))
        platforms = [
            Platform("faulty", faulty.url, [f"{door}.{DIRECT}" for door in DOORS]),
            Platform("gateway", gateway, _gateway_models(chosen), api_key=KEY),
        ]
        url = await stack.enter_async_context(
            running_chatchat(version, settings_of(platforms), folder / "chatchat")
        )
        seen = await _ask_all(url, chosen)
    return list(_tables(version, chosen, seen))


def configuration(
    chosen: Sequence[Asking], faulty: str, healthy: str, *, limits: Mapping[str, float] = LIMITS
) -> dict[str, Any]:
    """The gateway's: each asking has backends of its own, so that none learns of another."""
    limits = dict(limits)
    backends: dict[str, Any] = {
        HEALTHY: {"url": healthy, "model": "test", "limits": limits},
        EMBEDDING_MODEL: {"url": healthy, "model": "test", "kind": "embedding", "limits": limits},
    }
    roles = {}
    for each in chosen:
        row = {
            "url": faulty,
            "model": "test",
            "limits": limits,
            **each.case.fault.backend,
            **each.row.backend,
        }
        backends[each.model(ALONE)] = row
        backends[f"{each.name}.first"] = row
        roles[each.model(SECOND)] = {"chain": [f"{each.name}.first", HEALTHY]}
    return {
        "config_version": 1,
        "server": {"api_keys": [{"name": "chatchat", "key": KEY, "profile": PROFILE}]},
        "profiles": {PROFILE: {"patience_seconds": PATIENCE_SECONDS}},
        "backends": backends,
        "roles": roles,
    }


def _gateway_models(chosen: Sequence[Asking]) -> list[str]:
    return [each.model(column) for each in chosen for column in (ALONE, SECOND)]


async def _ask_all(url: str, chosen: Sequence[Asking]) -> dict[tuple[str, str], Seen]:
    turn = asyncio.Semaphore(AT_ONCE)
    seen: dict[tuple[str, str], Seen] = {}

    async def one(asking: Asking, column: str) -> None:
        limit_seconds = DIRECT_SECONDS if column == DIRECT else LIMIT_SECONDS
        async with turn:
            seen[asking.name, column] = await ask(url, asking, column, limit_seconds=limit_seconds)

    async with asyncio.TaskGroup() as group:
        for column in COLUMNS:
            for asking in chosen:
                group.create_task(one(asking, column))
    return seen


def _tables(
    version: str, chosen: Sequence[Asking], seen: Mapping[tuple[str, str], Seen]
) -> Sequence[Table]:
    tables = {
        door: Table(f"Langchain-Chatchat {version}: {TITLES[door]}", list(COLUMNS.values()))
        for door in DOORS
    }
    for each in chosen:
        cells = [
            Cell(found.verdict, found.reason, due_of(each, column))
            for column in COLUMNS
            for found in (seen[each.name, column],)
        ]
        tables[each.door].add(f"{each.row.cause}, {each.case.lasts}", *cells)
    return [each for each in tables.values() if each.rows]


def due_of(asking: Asking, column: str) -> frozenset[str]:
    """What a column must show; nothing is due without us."""
    if column == DIRECT:
        return frozenset()
    alone = asking.row.due_alone or asking.case.alone
    due: frozenset[str] = asking.case.fault.holds if column == SECOND else alone
    shown = {"complete": COMPLETE, "error": NOTED}
    return frozenset(shown[each] for each in due) | {COMPLETE}
