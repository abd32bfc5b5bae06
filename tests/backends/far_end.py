"""A far end on a loopback port that says raw bytes, connection by connection."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

JSON = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"


def answer(body: bytes = b"{}", *, status: str = "200 OK", head: bytes = b"") -> bytes:
    """A whole answer with its length."""
    first = f"HTTP/1.1 {status}\r\n".encode()
    return first + head + b"content-length: %d\r\n\r\n%s" % (len(body), body)


@dataclass
class Asked:
    """One request as it came; `connection` counts from 0."""

    connection: int
    head: bytes
    body: bytes

    @property
    def path(self) -> str:
        return self.head.split(b" ")[1].decode()

    @property
    def headers(self) -> Mapping[str, str]:
        lines = self.head.decode().split("\r\n")[1:]
        return {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines)
            if name
        }


Act = bytes | Callable[["Talk"], Awaitable[None]]


@dataclass
class Talk:
    """One request's connection, for what no bytes can say."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    asked: Asked
    is_over: bool = False

    def say(self, data: bytes) -> None:
        self.writer.write(data)

    def close(self) -> None:
        self.is_over = True

    def reset(self) -> None:
        """End the connection with a reset."""
        self.is_over = True
        raw = self.writer.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def until_left(self) -> None:
        """Wait until the other side has closed."""
        try:
            while await self.reader.read(1):
                pass
        except ConnectionError:
            pass
        self.is_over = True


@dataclass
class FarEnd:
    """Answers requests to /v1/… by `acts` in turn (the last one again and again).

    `looks` are the answers to GETs by path; others are 404. `asked` are the POSTs.
    """

    acts: Sequence[Act]
    looks: dict[str, bytes] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    looked: list[Asked] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    left: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[FarEnd]:
        server = await asyncio.start_server(self._talk, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            await server.wait_closed()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection, self.connections = self.connections, self.connections + 1
        try:
            while (asked := await _read(reader, connection)) is not None:
                talk = Talk(reader, writer, asked)
                await self._answer(talk)
                await writer.drain()
                if talk.is_over:
                    return
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def _answer(self, talk: Talk) -> None:
        if talk.asked.head.startswith(b"GET"):
            self.looked.append(talk.asked)
            found = self.looks.get(talk.asked.path)
            talk.say(answer(status="404 Not Found") if found is None else answer(found))
            return
        self.asked.append(talk.asked)
        act = self.acts[min(len(self.asked), len(self.acts)) - 1]
        if isinstance(act, bytes):
            talk.say(act)
        else:
            await act(talk)


async def _read(reader: asyncio.StreamReader, connection: int) -> Asked | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    asked = Asked(connection, head, b"")
    length = int(asked.headers.get("content-length", "0"))
    asked.body = await reader.readexactly(length)
    return asked


async def close(talk: Talk) -> None:
    """Close without a word."""
    talk.close()


async def reset(talk: Talk) -> None:
    """Reset without a word."""
    talk.reset()


def says_and_closes(data: bytes) -> Act:
    """These bytes, then the end of the connection."""

    async def act(talk: Talk) -> None:
        talk.say(data)
        talk.close()

    return act
