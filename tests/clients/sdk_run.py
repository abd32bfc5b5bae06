"""The openai package and langchain-openai, our gateway, faults behind it and a model of ours."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.checkpoints.encoders import build_encoder
from tests.clients.processes import NotStarted
from tests.clients.table import Cell, Table
from tests.environments import ROOT, python_for
from tests.faults.cases import FAULTS
from tests.faults.gateways import LIMITS, running_gateway

KEY = "a-key-of-programs"
EMBEDDER = "embedder"
GOOD = "healthy"
ENVIRONMENT = "client-openai"
MAX_BODY_BYTES = 2**20
LINE_BYTES = 2**24


async def run_sdk(folder: Path, only: Sequence[str]) -> list[Table]:
    """The openai package."""
    return [await _run("tests.clients.sdk_checks", "openai", folder, only)]


async def run_langchain(folder: Path, only: Sequence[str]) -> list[Table]:
    """The package langchain-openai."""
    return [await _run("tests.clients.langchain_checks", "langchain-openai", folder, only)]


async def _run(module: str, package: str, folder: Path, only: Sequence[str]) -> Table:
    encoder = await asyncio.to_thread(build_encoder, "roberta", folder / "encoder")
    async with contextlib.AsyncExitStack() as stack:
        log = folder / "checks.log"
        checks = await stack.enter_async_context(_checking(module, package, log))
        told = await _line(checks, log)
        shape = configuration(told["backends"], told["url"], encoder)
        url = await stack.enter_async_context(running_gateway(shape, folder))
        assert checks.stdin is not None
        asked = {"url": url, "key": KEY, "only": list(only)}
        checks.stdin.write(json.dumps(asked).encode() + b"\n")
        return table_of(await _line(checks, log))


@contextlib.asynccontextmanager
async def _checking(module: str, package: str, log: Path) -> AsyncIterator[Process]:
    """The checks in the environment of their package."""
    python = await asyncio.to_thread(python_for, ENVIRONMENT)
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            *(str(python), "-m", "tests.clients.checking", module, package),
            stdin=PIPE,
            stdout=PIPE,
            stderr=errors,
            limit=LINE_BYTES,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _line(process: Process, log: Path) -> Mapping[str, Any]:
    """The next line that the checks say.

    Raises:
        NotStarted: they ended instead.
    """
    assert process.stdout is not None
    line = await process.stdout.readline()
    if not line:
        said = await asyncio.to_thread(log.read_text, encoding="utf-8")
        raise NotStarted(f"the checks ended:\n{said[-3000:]}")
    shape: Mapping[str, Any] = json.loads(line)
    return shape


def table_of(told: Mapping[str, Any]) -> Table:
    """The table that `tests.clients.checking` said."""
    table = Table(told["title"], told["columns"])
    for name, cells in told["rows"]:
        table.add(name, *(Cell(verdict, why, frozenset(due)) for verdict, why, due in cells))
    return table


def configuration(faults: Iterable[str], faulty: str, encoder: Path) -> dict[str, Any]:
    """A backend for each fault, a good one, and an encoder that we run."""
    return {
        "config_version": 1,
        "server": {"api_keys": [KEY], "max_body_bytes": MAX_BODY_BYTES},
        "models": {EMBEDDER: {"source": str(encoder), "kind": "embedding"}},
        "backends": backends(faults, faulty, LIMITS),
    }


def backends(faults: Iterable[str], faulty: str, limits: Mapping[str, float]) -> dict[str, Any]:
    """A backend for each fault, named as the checks ask for it, and a good one."""
    base = {"url": faulty, "model": "test", "limits": dict(limits)}
    return {
        GOOD: base,
        **{
            each.replace(":", "."): {**base, **FAULTS[each.partition(":")[0]].backend}
            for each in faults
        },
    }
