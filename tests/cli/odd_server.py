"""A real HTTP server on loopback that answers by what it is asked; it may hang or break off."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

HANGS = b"(hangs)"
CLOSES = b"(closes)"
JSON, EVENTS = "application/json", "text/event-stream"


@dataclass(frozen=True)
class Said:
    """One answer; a `body` that ends in HANGS or CLOSES does that instead of ending."""

    body: Any
    status: int = 200
    content_type: str = JSON


@dataclass
class OddServer:
    """What it answers, by (method, path below the root, body); what it was asked."""

    answer: Callable[[str, str, Any], Said]
    url: str = ""
    keys: list[str | None] = field(default_factory=list)
    asked: list[tuple[str, str, Any]] = field(default_factory=list)
    tasks: set[asyncio.Task[Any]] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (task := asyncio.current_task()) is not None:
            self.tasks.add(task)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            method, path, _ = head.split(" ", 2)
            fields = {
                name.lower(): value.strip()
                for name, _, value in (line.partition(":") for line in head.split("\r\n")[1:])
            }
            raw = await reader.readexactly(int(fields.get("content-length", 0)))
            self.keys.append(fields.get("authorization"))
            try:
                shape = orjson.loads(raw) if raw else None
            except orjson.JSONDecodeError:
                shape = raw
            self.asked.append((method, path, shape))
            await self._say(self.answer(method, path, shape), reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async def _say(
        self, said: Said, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        body = said.body if isinstance(said.body, bytes) else orjson.dumps(said.body)
        is_hanging, is_cut = body.endswith(HANGS), body.endswith(CLOSES)
        body = body.removesuffix(HANGS).removesuffix(CLOSES)
        writer.write(
            f"HTTP/1.1 {said.status} X\r\ncontent-type: {said.content_type}\r\n"
            "server: odd\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n".encode()
        )
        if body:
            writer.write(b"%x\r\n%s\r\n" % (len(body), body))
        await writer.drain()
        if is_hanging:
            await reader.read()  # until the client goes
        elif not is_cut:
            writer.write(b"0\r\n\r\n")
            await writer.drain()


@contextlib.asynccontextmanager
async def odd_server(answer: Callable[[str, str, Any], Said]) -> AsyncIterator[OddServer]:
    odd = OddServer(answer)
    server = await asyncio.start_server(odd.serve, "127.0.0.1", 0)
    odd.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    async with server:
        yield odd
    await asyncio.gather(*odd.tasks)


def models(*names: str, owner: str = "odd") -> Said:
    """The answer of /v1/models."""
    rows = [{"id": name, "object": "model", "owned_by": owner} for name in names]
    return Said({"object": "list", "data": rows})


WORDS = ("One,", " two,", " three,", " four,", " five,", " six")


def counting(shape: Any, *, ends: bytes = b"data: [DONE]\n\n") -> Said:
    """What a server without quirks says to a chat: it counts, goes on with what is there."""
    messages = shape["messages"]
    begun = messages[-1]["content"] if messages[-1]["role"] == "assistant" else ""
    limit = shape.get("max_completion_tokens") or shape.get("max_tokens") or len(WORDS)
    words = [word for word in WORDS if word.strip() not in begun][:limit]
    reason = "length" if limit < len(WORDS) else "stop"
    if not shape.get("stream"):
        message = {"role": "assistant", "content": "".join(words)}
        choice = {"index": 0, "message": message, "finish_reason": reason}
        return Said({"choices": [{**choice, "index": i} for i in range(shape.get("n") or 1)]})
    deltas: list[tuple[Any, str | None]] = [({"role": "assistant", "content": ""}, None)]
    deltas += [({"content": word}, None) for word in words]
    chunks = [
        {"id": "1", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
        for delta, finish in (*deltas, ({}, reason))
    ]
    body = b"".join(b"data: " + orjson.dumps(chunk) + b"\n\n" for chunk in chunks)
    return Said(body + ends, content_type=EVENTS)
