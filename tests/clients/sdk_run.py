"""The openai package and langchain-openai, our gateway, faults behind it and a model of ours."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from tests.checkpoints.encoders import build_encoder
from tests.clients.check import Checks, Place, run_checks
from tests.clients.sdk_checks import EMBEDDER, GOOD
from tests.clients.table import Table
from tests.faults.cases import FAULTS
from tests.faults.gateways import LIMITS, running_gateway
from tests.faults.server import FaultServer

KEY = "a-key-of-programs"
MAX_BODY_BYTES = 2**20


async def run_sdk(folder: Path, only: Sequence[str]) -> list[Table]:
    """The openai package."""
    from tests.clients.sdk_checks import CHECKS

    return [await _run(f"openai {metadata.version('openai')}", CHECKS, folder, only)]


async def run_langchain(folder: Path, only: Sequence[str]) -> list[Table]:
    """The package langchain-openai."""
    from tests.clients.langchain_checks import CHECKS

    title = f"langchain-openai {metadata.version('langchain-openai')}"
    return [await _run(title, CHECKS, folder, only)]


async def _run(title: str, checks: Checks, folder: Path, only: Sequence[str]) -> Table:
    encoder = await asyncio.to_thread(build_encoder, "roberta", folder / "encoder")
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(FaultServer().listening())
        shape = configuration(checks, server.url, encoder)
        url = await stack.enter_async_context(running_gateway(shape, folder))
        return await run_checks(title, checks, Place(url, KEY, server), only)


def configuration(checks: Checks, faulty: str, encoder: Path) -> dict[str, Any]:
    """A backend for each fault, a good one, and an encoder that we run."""
    base = {"url": faulty, "model": "test", "limits": dict(LIMITS)}
    faults = {
        each.replace(":", "."): {**base, **FAULTS[each.partition(":")[0]].backend}
        for each in sorted(checks.backends)
    }
    return {
        "config_version": 1,
        "server": {"api_keys": [KEY], "max_body_bytes": MAX_BODY_BYTES},
        "models": {EMBEDDER: {"source": str(encoder), "kind": "embedding"}},
        "backends": {GOOD: base, **faults},
    }
