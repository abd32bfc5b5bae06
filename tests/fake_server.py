"""Stand-ins with real sockets: a worker that says raw bytes, and a pool that leases it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from trueup.errors import TrueUpError
from trueup.pool.pool import ModelState, Worker

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def framed(*pieces: bytes, is_ended: bool = True) -> bytes:
    """Pieces in HTTP's chunked framing."""
    body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return body + (b"0\r\n\r\n" if is_ended else b"")


class FakePool:
    """Leases the worker at `socket_path`, or raises `error`."""

    def __init__(self, socket_path: Path, error: TrueUpError | None = None) -> None:
        self.socket_path = socket_path
        self.error = error
        self.leases = 0
        self.clients: list[str] = []
        self.replacement: Path | None = None
        self.released = asyncio.Event()

    @asynccontextmanager
    async def lease(self, model_id: str, *, client: str = "") -> AsyncIterator[Worker]:
        if self.error:
            raise self.error
        self.leases += 1
        self.clients.append(client)
        try:
            yield Worker(model_id=model_id, socket_path=self.socket_path)
        finally:
            self.leases -= 1
            self.released.set()

    async def has_ended(self, worker: Worker) -> bool:
        if self.replacement is None:
            return False
        self.socket_path, self.replacement = self.replacement, None
        return True

    def snapshot(self) -> tuple[ModelState, ...]:
        state = ModelState(
            id="demo",
            state="ready",
            progress=1.0,
            memory_bytes=5,
            queued=0,
            leases=self.leases,
            idle_seconds=None,
            pid=1,
            last_error=None,
        )
        return (state,)


class FakeWorker:
    """Plays `script` to each connection after the request was read; `requests` are the bodies."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self.requests: list[bytes] = []
        self.left = asyncio.Event()

    @asynccontextmanager
    async def listening(self, path: Path) -> AsyncIterator[None]:
        server = await asyncio.start_unix_server(self._answer, path)
        try:
            yield
        finally:
            server.close()
            await server.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            self.requests.append(await reader.readexactly(length))
            await self._script(reader, writer)
        finally:
            writer.close()

    async def until_left(self, reader: asyncio.StreamReader) -> None:
        """Wait until the other side has closed."""
        try:
            while await reader.read(1):
                pass
        except ConnectionError:
            pass
        self.left.set()


def as_pool(pool: FakePool) -> Any:
    """The fake where the real type is wanted."""
    return pool
