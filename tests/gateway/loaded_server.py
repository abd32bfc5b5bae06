"""The real gateway before real backends, which tells on stdin's lines what it holds; a process.

Its arguments are the file of a configuration as `tests/faults/gateways.py` makes them, and that of
the access log; it ends with stdin.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import heapq
import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, TextIO

import psutil  # type: ignore[import-untyped]

from trueup.backends.openai_compatible import OpenAICompatibleBackend
from trueup.backends.registry import open_backend
from trueup.config.secret import Secret
from trueup.config.settings import ApiKey, BackendSettings, LimitSettings, ServerSettings
from trueup.gateway.app import Gateway
from trueup.gateway.auth import Access
from trueup.gateway.breaker import LET_THROUGH
from trueup.gateway.retry import RetryPolicy
from trueup.gateway.router import Served, ServedRole
from trueup.gateway.server import Server, listen, url_of
from trueup.gateway.serving import Serving

KEY = "sk-load"


class LoadedGateway:
    """The gateway's process, as a test sees it; `url` ends in /v1."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self.url = url
        self._process = process

    async def held(self) -> dict[str, int]:
        """What it holds for requests and connections, and its memory."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(b"\n")
        found: dict[str, int] = json.loads(await self._process.stdout.readline())
        return found


@contextlib.asynccontextmanager
async def loaded_gateway(configuration: Any, folder: Path) -> AsyncIterator[LoadedGateway]:
    """Run the gateway for the length of the block; its access log is in `folder`."""
    path = folder / "configuration.json"
    path.write_text(json.dumps(configuration), encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.gateway.loaded_server", str(path)),
        str(folder / "access.log"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "TRUEUP_HOME": str(folder / "home")},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        url = (await process.stdout.readline()).decode().strip()
        yield LoadedGateway(process, f"{url}/v1")
    finally:
        process.stdin.close()
        await process.wait()


def _forget_cancelled_timers() -> None:
    """Do at once what the loop does once a hundred timers are cancelled.

    Until then each keeps the context, and so the request, that it was set in.
    """
    loop: Any = asyncio.get_running_loop()
    for timer in loop._scheduled:
        if timer.cancelled():
            timer._scheduled = False
    loop._scheduled = [timer for timer in loop._scheduled if timer._scheduled]
    heapq.heapify(loop._scheduled)
    loop._timer_cancelled_count = 0


def _held(serving: Serving, backends: Sequence[OpenAICompatibleBackend]) -> dict[str, int]:
    _forget_cancelled_timers()
    gc.collect()
    process = psutil.Process()
    breakers = [serving.breakers.of(each.name) for each in backends]
    return {
        "answers": len(serving.answering),
        "leases": sum(each.leases for each in backends),
        "let_through": sum(LET_THROUGH - each.few._value for each in breakers),
        "tasks": len(asyncio.all_tasks()),
        "file_descriptors": process.num_fds(),
        "objects": len(gc.get_objects()),
        "memory_bytes": process.memory_info().rss,
    }


def _opened(configuration: Any) -> tuple[list[OpenAICompatibleBackend], list[ServedRole]]:
    backends = {
        name: open_backend(
            BackendSettings(name=name, **{**row, "limits": LimitSettings(**row["limits"])})
        )
        for name, row in configuration["backends"].items()
    }
    roles = [
        ServedRole(id=role, chain=tuple(_served(backends[name]) for name in row["chain"]))
        for role, row in configuration["roles"].items()
    ]
    return list(backends.values()), roles


def _served(backend: OpenAICompatibleBackend) -> Served:
    return Served(id=backend.name, kind="chat", backend=backend)


async def main(configuration: Any, log: TextIO) -> None:
    policy = RetryPolicy(first_pause_seconds=0.01, longest_pause_seconds=0.05)
    serving = Serving(policy=policy, is_ready=True)
    backends, roles = _opened(configuration)
    serving.router.open(*map(_served, backends), roles=roles)
    serving.lessons.all()  # its file stays open from the first time on
    access = Access((ApiKey.of(Secret(KEY), name="load"),))
    settings = ServerSettings(access_log="json")
    listener = listen("127.0.0.1", 0)
    loop = asyncio.get_running_loop()
    asked = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(asked), sys.stdin)
    server = Server(Gateway(serving, access, log=log, settings=settings), drain_seconds=0.0)
    async with server.running(listener):
        print(url_of(listener), flush=True)
        while await asked.readline():
            print(json.dumps(_held(serving, backends)), flush=True)
    for each in backends:
        await each.close()


if __name__ == "__main__":
    told = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    with Path(sys.argv[2]).open("w", encoding="utf-8") as access_log:
        asyncio.run(main(told, access_log))
