"""A chat server on loopback that answers with a script of bytes, for clients to be tested on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

HEAD = b"HTTP/1.1 %d X\r\nContent-Type: %s\r\nConnection: close\r\n\r\n"


@dataclass
class Scripted:
    """What the server says to each request in turn, and what it was asked."""

    answers: list[tuple[int, bytes]]
    url: str = ""
    requests: list[bytes] = field(default_factory=list)
    left_early: asyncio.Event = field(default_factory=asyncio.Event)
    goes_on: bool = False  # after the script, stay silent until the client leaves


@contextlib.asynccontextmanager
async def scripted_server(
    *answers: tuple[int, bytes], goes_on: bool = False
) -> AsyncIterator[Scripted]:
    script = Scripted(list(answers), goes_on=goes_on)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            (
                int(line.partition(b":")[2])
                for line in head.split(b"\r\n")
                if line.lower().startswith(b"content-length")
            ),
            0,
        )
        script.requests.append(head + await reader.readexactly(length))
        status, body = script.answers.pop(0)
        kind = b"text/event-stream" if body.startswith((b"data", b":")) else b"application/json"
        writer.write(HEAD % (status, kind) + body)
        await writer.drain()
        if script.goes_on:
            await reader.read()  # returns when the client closes
            script.left_early.set()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    script.url = f"http://127.0.0.1:{port}/v1"
    async with server:
        yield script
