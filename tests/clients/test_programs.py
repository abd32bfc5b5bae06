"""What `make test-clients` checks of programs' libraries, with the packages that tests have."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.clients import langchain_checks, sdk_checks
from tests.clients.check import Checks, Place
from tests.clients.sdk_run import GOOD, backends
from tests.faults.answer import TEXT
from tests.faults.in_process import LIMITS, SLOW_SECONDS, gateway_of
from tests.faults.server import FaultServer
from trueup.cli.client_blocks import BLOCKS, Offer

# Of a model of ours, of keys and bounds, which only the whole server has; judged by the clock.
ELSEWHERE = (
    "embeddings of documents",
    "embeddings: one",
    "a wrong key",
    "too large a body",
    "the list of models",
    "leaving a stream",
    "cancelling",
)
LIMIT_SECONDS = 60.0
CHECKS = {"langchain": langchain_checks.CHECKS, "openai": sdk_checks.CHECKS}
SILENCE = "silence"  # is waited for
ROWS = [
    pytest.param(library, name, marks=[pytest.mark.slow] if name.startswith(SILENCE) else [])
    for library, checks in CHECKS.items()
    for name, _ in checks.rows
    if not name.startswith(ELSEWHERE)
]


@pytest.mark.parametrize(("library", "name"), ROWS)
async def test_programs_get_what_they_should(library: str, name: str) -> None:
    checks: Checks = CHECKS[library]
    async with FaultServer(slow_seconds=SLOW_SECONDS).listening() as server:
        shape = {"backends": backends(sorted(checks.backends), server.url, LIMITS), "roles": {}}
        async with gateway_of(shape) as url, asyncio.timeout(LIMIT_SECONDS):
            await dict(checks.rows)[name](Place(url, "none", server))


async def test_the_program_that_is_exported_for_langchain_asks_the_gateway() -> None:
    async with FaultServer(slow_seconds=SLOW_SECONDS).listening() as server:
        shape = {"backends": backends((), server.url, LIMITS), "roles": {}}
        async with gateway_of(shape) as url:
            program = BLOCKS["langchain"](Offer(url=url, chat=(GOOD,), embedding=()))
            names: dict[str, Any] = {}
            exec(compile(program, "exported.py", "exec"), names)
            answer = await names["chat"].ainvoke("Say the sentence.")
    assert answer.content == TEXT
