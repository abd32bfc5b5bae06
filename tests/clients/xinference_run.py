"""Xinference with a tiny model, asked itself and through our gateway."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.clients.table import Cell, Table
from tests.clients.xinference_asking import Answered, ask
from tests.clients.xinference_leaving import run_kills, run_leaving
from tests.clients.xinference_rows import ANSWERED, NO_ANSWER, ROWS, Row
from tests.clients.xinference_server import MODEL, Xinference, running_xinference
from tests.faults.gateways import running_gateway

COLUMNS = ("Xinference itself", "through the gateway")
TITLE = "Xinference 4.1.0"
LIMIT_SECONDS = 90.0
GOOD = Row(name="good")
AGAIN = 6


async def run_xinference(folder: Path, only: Sequence[str]) -> list[Table]:
    """The rows, then who leaves and what is killed."""
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(running_xinference(folder / "xinference"))
        (folder / "gateway").mkdir()
        url = await stack.enter_async_context(
            running_gateway(configuration(server), folder / "gateway")
        )
        tables = [await _rows(server, url, only)]
        if not only or "together" in only:
            tables.append(await _together(server, url))
        if not only or "leave" in only:
            tables.append(await run_leaving(server, url))
        if not only or "kill" in only:
            tables.append(await run_kills(server, url))
    return tables


async def run_xinference_keys(folder: Path, only: Sequence[str]) -> list[Table]:
    """Its authentication, which is on unless somebody switched it off."""
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(
            running_xinference(folder / "xinference", has_keys=True)
        )
        (folder / "gateway").mkdir()
        url = await stack.enter_async_context(
            running_gateway(configuration(server), folder / "gateway")
        )
        table = Table(f"{TITLE} with its authentication on", COLUMNS)
        for is_stream in (True, False):
            for name, headers, model, due in (
                ("without a key", {}, "keyless", NO_ANSWER),
                ("with a key", {"Authorization": f"Bearer {server.key}"}, MODEL, ANSWERED),
            ):
                limits: dict[str, Any] = {"is_stream": is_stream, "limit_seconds": LIMIT_SECONDS}
                bare = await ask(server.url, GOOD, MODEL, headers=headers, **limits)
                ours = await ask(url, GOOD, model, **limits)
                table.add(_name(name, is_stream), _shown(bare), _cell(ours, due))
    return [table]


def configuration(server: Xinference) -> dict[str, Any]:
    """The gateway's: the model as it is, one that is not there, and one asked without a key."""
    backend = {"preset": "xinference", "url": f"{server.url}/v1", "model": MODEL}
    keyed = {**backend, "api_key": server.key} if server.key else backend
    ghost = {**keyed, "model": "nobody"}
    return {
        "config_version": 1,
        "backends": {MODEL: keyed, "ghost": ghost, "keyless": backend},
    }


async def _rows(server: Xinference, url: str, only: Sequence[str]) -> Table:
    table = Table(f"{TITLE}: requests", COLUMNS)
    for row in ROWS:
        for is_stream in row.modes:
            name = _name(row.name, is_stream)
            if only and not any(each in name for each in only):
                continue
            limits: dict[str, Any] = {"is_stream": is_stream, "limit_seconds": LIMIT_SECONDS}
            bare = await ask(server.url, row, MODEL, **limits)
            ours = await ask(url, row, MODEL, **limits)
            table.add(name, _shown(bare), _cell(ours, row.due))
    return table


async def _together(server: Xinference, url: str) -> Table:
    """Several at once, and good requests right after ones that the server fails at."""
    table = Table(f"{TITLE}: several requests", COLUMNS)
    cells = []
    for base in (server.url, url):
        limits: dict[str, Any] = {"is_stream": True, "limit_seconds": LIMIT_SECONDS}
        found = await asyncio.gather(*(ask(base, GOOD, MODEL, **limits) for _ in range(4)))
        cells.append(_worst(found))
    table.add("four streams at once", _shown(cells[0]), _cell(cells[1], ANSWERED))
    failing = next(row for row in ROWS if row.path == "/v1/completions")
    found = []
    for at in range(AGAIN):
        limits = {"is_stream": at % 2 == 0, "limit_seconds": LIMIT_SECONDS}
        await ask(url, failing, MODEL, **limits)
        found.append(await ask(url, GOOD, MODEL, **limits))
    good = Cell("not asked")
    table.add("a good request right after a 500, 6 times", good, _cell(_worst(found), ANSWERED))
    return table


def _worst(found: Sequence[Answered]) -> Answered:
    return next((each for each in found if each.verdict != "answered"), found[0])


def _name(name: str, is_stream: bool) -> str:
    return f"{name}, {'stream' if is_stream else 'whole'}"


def _cell(answered: Answered, due: frozenset[Any]) -> Cell:
    return Cell(answered.verdict, answered.reason, due)


def _shown(answered: Answered) -> Cell:
    """What is shown of the server itself: a word, and the beginning of the reason."""
    if answered.verdict == "answered":
        return Cell("answered")
    reason = " ".join(answered.reason.split())[:60].rstrip()
    return Cell(f"{answered.verdict}: {reason}…".replace("`", "'"))
