"""An OpenAI-compatible server that answers as badly as it is asked to, on bare sockets.

A request is answered with the fault that its model's name or a message of it names
(`fault:NAME:LASTS`, and `#KEY` behind that for a count of its own), else with the one that
`POST /_fault` has set, else rightly. `GET /_requests` tells what was received.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass
from typing import Any

from tests.faults.answer import Asked
from tests.faults.case import ALWAYS, Fault, is_faulty
from tests.faults.cases import FAULTS
from tests.faults.steps import Play, healthy, reply
from tests.faults.wire import Connection, Received

MARKER = re.compile(r"fault:([\w.-]+)(?::([\w-]+))?(#[\w.-]+)?")


@dataclass
class Set:
    """What `POST /_fault` has set: a fault for so many requests, None for all."""

    name: str
    lasts: str = ALWAYS
    times: int | None = None


class FaultServer:
    """The server in this process's event loop; `slow_seconds` is what slowness is counted in.

    `received` has every request in the order of arrival; `most_at_once` is how many there ever
    were at the same time.
    """

    def __init__(self, *, is_healthy: bool = False, slow_seconds: float = 0.5) -> None:
        self.received: list[Received] = []
        self.running = 0
        self.most_at_once = 0
        self.is_idle = asyncio.Event()
        self.open_connections = 0
        self.connections = 0
        self.url = ""
        self.played: Counter[str] = Counter()
        self.set: Set | None = None
        self.slow_seconds = slow_seconds
        self._is_healthy = is_healthy
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def listening(self, port: int = 0) -> AsyncIterator[FaultServer]:
        """Serve on loopback for the length of the block; `url` ends in /v1."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Connection(self), "127.0.0.1", port, backlog=512)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def run(self, connection: Connection) -> asyncio.Task[None]:
        """The task that answers a connection's requests until it ends."""
        self.connections += 1
        connection.number = self.connections
        task = asyncio.create_task(connection.serve())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def seen(self, is_it: Callable[[Received], bool]) -> Received:
        """The first request that fits, as soon as it is there."""
        while True:
            for each in self.received:
                if is_it(each):
                    return each
            self._changed.clear()
            await self._changed.wait()

    async def ended(self, received: Received) -> float:
        """When a request's connection was left by the client, as soon as it is over."""
        while received.ended_at is None:
            self._changed.clear()
            await self._changed.wait()
        return received.left_at if received.left_at is not None else received.ended_at

    def begin(self) -> None:
        """Count a request that is answered from now on."""
        self._changed.set()
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)
        self.is_idle.clear()

    def end(self) -> None:
        """Count it off; `is_idle` is set when it was the last one."""
        self._changed.set()
        self.running -= 1
        if not self.running:
            self.is_idle.set()

    def of(self, key: str) -> list[Received]:
        """The requests that a marker with this key named."""
        return [each for each in self.received if key in each.fault]

    def play_for(self, shape: Any, path: str) -> tuple[str, Play, Asked, bool]:
        """The marker that was found, what is played, the answer, and whether that is a fault."""
        shape = shape if isinstance(shape, dict) else {}
        marker = None if self._is_healthy else MARKER.search(_texts(shape))
        if marker:
            name, lasts, said = marker[1], marker[2] or ALWAYS, marker[0]
        elif self.set is not None and not self._is_healthy:
            name, lasts, said = self.set.name, self.set.lasts, f"fault:{self.set.name}"
            if self.set.times is not None:
                self.set.times -= 1
                self.set = self.set if self.set.times > 0 else None
        else:
            return "", healthy, Asked(shape, path), False
        fault = FAULTS.get(name)
        if fault is None:
            error = {"error": {"message": f"no fault is called `{name}`", "code": "unknown_fault"}}
            return said, lambda asked: reply(404, error), Asked(shape, path), True
        played = self.played[said]
        asked = _asked(fault, shape, path, played)
        play = fault.stream if asked.is_stream else fault.plain
        if play is None or not is_faulty(lasts, played, asked.is_stream):
            return said, healthy, asked, False
        self.played[said] += 1
        return said, play, asked, True

    def control(self, method: str, path: str, body: bytes) -> Any:
        """Answer the paths that are about the server itself; None where it is none of them."""
        if path == "/_fault" and method == "POST":
            wanted = json.loads(body or b"{}")
            name = wanted.get("name")
            self.set = Set(name, wanted.get("lasts", ALWAYS), wanted.get("times")) if name else None
            return {"set": name}
        if path == "/_requests":
            counts = {"most_at_once": self.most_at_once, "open_connections": self.open_connections}
            return {**counts, "requests": [asdict(each) for each in self.received]}
        if path == "/_cases":
            from tests.faults.cases import CASES

            return [{"name": each.name, "marker": each.marker, "why": each.why} for each in CASES]
        if path in ("/v1/models", "/models"):
            row = {"id": "test", "object": "model", "created": 1, "owned_by": "faults"}
            return {"object": "list", "data": [row]}
        return {"status": "ok"} if path in ("/health", "/v1/health") else None


def _asked(fault: Fault, shape: Any, path: str, played: int) -> Asked:
    return Asked(
        shape,
        path,
        answer=fault.answer,
        varies=played + 1 if fault.varies else 0,
        continues=fault.continues,
        played=played,
    )


def _texts(shape: Any) -> str:
    """Where a marker may be: the model's name, then the messages or the prompt."""
    found = json.dumps(shape.get("messages") or shape.get("prompt") or shape.get("input"))
    return f"{shape.get('model')}\n{found}"


async def _run(arguments: argparse.Namespace) -> None:
    server = FaultServer(is_healthy=arguments.healthy, slow_seconds=arguments.slow_seconds)
    async with server.listening(arguments.port):
        print(server.url, flush=True)
        await asyncio.Event().wait()


def main() -> None:
    """Serve until interrupted; the URL is the first line on stdout."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.server", description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--healthy", action="store_true", help="play no faults")
    parser.add_argument("--slow-seconds", type=float, default=0.5, metavar="S")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_run(parser.parse_args()))


if __name__ == "__main__":
    main()
