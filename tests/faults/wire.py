"""One connection of the fault server: reads requests, plays steps, sees when the client leaves."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.faults.steps import Close, Pause, Poison, Raw, Reset, Stall, framed, reply

if TYPE_CHECKING:
    from tests.faults.server import FaultServer

STALL_SECONDS = 60.0  # a client that never leaves must not keep a test
MAX_BODY_BYTES = 2**25


@dataclass
class Received:
    """One request, what was played to it, and how it ended; times are `time.monotonic`."""

    path: str
    headers: dict[str, str]
    shape: Any
    fault: str
    is_faulty: bool
    connection: int
    at: float
    ended_at: float | None = None
    left_at: float | None = None


@dataclass(eq=False)
class Connection(asyncio.Protocol):
    """One connection of a client: reads requests, plays what the server says to them."""

    server: FaultServer
    number: int = 0
    transport: Any = None
    is_poisoned: bool = False
    left: asyncio.Event = field(default_factory=asyncio.Event)
    left_at: float | None = None
    _buffer: bytearray = field(default_factory=bytearray)
    _came: asyncio.Event = field(default_factory=asyncio.Event)
    _may_write: asyncio.Event = field(default_factory=asyncio.Event)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.server.open_connections += 1
        self._may_write.set()
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.server.run(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._came.set()

    def eof_received(self) -> bool:
        self._leave()
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self.server.open_connections -= 1
        self._may_write.set()
        self._leave()

    def pause_writing(self) -> None:
        self._may_write.clear()

    def resume_writing(self) -> None:
        self._may_write.set()

    def _leave(self) -> None:
        if not self.left.is_set():
            self.left_at = time.monotonic()
        self.left.set()
        self._came.set()

    async def serve(self) -> None:
        """Answer one request after the other until the connection has ended."""
        try:
            while (request := await self._request()) is not None:
                if self.is_poisoned:
                    self._reset()
                    return
                await self._answer(*request)
        finally:
            self.transport.close()

    async def _request(self) -> tuple[str, str, dict[str, str], bytes] | None:
        await self._until(lambda: b"\r\n\r\n" in self._buffer)
        top, found, _ = bytes(self._buffer).partition(b"\r\n\r\n")
        if not found:
            return None
        first, *lines = top.decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ", 2)
        pairs = (line.partition(":") for line in lines)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        if headers.get("expect") == "100-continue":
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        length = min(int(headers.get("content-length", 0)), MAX_BODY_BYTES)
        end = len(top) + 4 + length
        await self._until(lambda: len(self._buffer) >= end)
        body = bytes(self._buffer[len(top) + 4 : end])
        del self._buffer[:end]
        return method, path.partition("?")[0], headers, body

    async def _until(self, is_there: Any) -> None:
        while not is_there() and not self.left.is_set():
            self._came.clear()
            await self._came.wait()

    async def _answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        if (told := self.server.control(method, path, body)) is not None:
            await self._play(reply(200, told))
            return
        try:
            shape = json.loads(body)
        except ValueError:
            await self._play(reply(400, {"error": {"message": "the body is not JSON"}}))
            return
        marker, play, asked, is_fault = self.server.play_for(shape, path)
        received = Received(
            path, headers, shape, marker, is_fault, self.number, at=time.monotonic()
        )
        server = self.server
        server.received.append(received)
        server.begin()
        try:
            await self._play(play(asked))
        finally:
            received.ended_at = time.monotonic()
            received.left_at = self.left_at
            server.end()

    async def _play(self, steps: Any) -> None:
        for step in steps:
            if self.left.is_set() or self.transport.is_closing():
                return
            if isinstance(step, bytes):
                self.transport.write(step if isinstance(step, Raw) else framed(step))
                await self._may_write.wait()
            elif isinstance(step, Pause):
                await self._wait(step.units * self.server.slow_seconds)
            elif isinstance(step, Stall):
                await self._stall(step.drip)
            elif isinstance(step, Poison):
                self.is_poisoned = True
            elif isinstance(step, Close):
                self.transport.close()
            elif isinstance(step, Reset):
                self._reset()

    async def _stall(self, drip: bytes) -> None:
        end = time.monotonic() + STALL_SECONDS
        while not self.left.is_set() and time.monotonic() < end:
            await self._wait(self.server.slow_seconds / 10 if drip else STALL_SECONDS)
            if drip and not self.left.is_set():
                self.transport.write(framed(drip))
        self.transport.close()

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.left.wait(), seconds)

    def _reset(self) -> None:
        # A linger of nothing makes the kernel send RST instead of FIN.
        connected = self.transport.get_extra_info("socket")
        with contextlib.suppress(OSError):
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()
