"""A client on bare sockets: so many requests, so many at a time, and what they cost the server."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from dataclasses import dataclass

import psutil

BODY = {"model": "m", "messages": [{"role": "user", "content": "hello " * 20}], "temperature": 0}


@dataclass(frozen=True)
class Cost:
    """CPU seconds of the server for each request, first tokens in seconds, bad answers."""

    cpu_seconds: float
    first_token_seconds: float
    bad: int


def request_of(key: str, *, is_stream: bool) -> bytes:
    """A request as it goes on the wire."""
    shape = {**BODY, "stream": True} if is_stream else BODY
    body = json.dumps(shape).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\n"
        f"content-type: application/json\r\nauthorization: Bearer {key}\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes
) -> tuple[bool, float]:
    """Whether the answer was whole, and when its first word came."""
    began = time.perf_counter()
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if b"chunked" not in head:
        length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
        body = await reader.readexactly(length)
        return b" 200 " in head[:20] and b" word word" in body, time.perf_counter() - began
    body, first = b"", 0.0
    while True:
        size = int(await reader.readuntil(b"\r\n"), 16)
        piece = (await reader.readexactly(size + 2))[:-2]
        if not size:
            break
        body += piece
        if not first and b" word" in body:
            first = time.perf_counter() - began
    return body.count(b" word") == 100 and body.endswith(b"data: [DONE]\n\n"), first


async def _load(port: int, request: bytes, count: int, at_once: int) -> list[tuple[bool, float]]:
    async def client(share: int) -> list[tuple[bool, float]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**24)
        answers = [await _ask(reader, writer, request) for _ in range(share)]
        writer.close()
        return answers

    shares = [count // at_once] * at_once
    return [each for row in await asyncio.gather(*map(client, shares)) for each in row]


def measure(
    port: int,
    processes: list[psutil.Process],
    key: str,
    *,
    is_stream: bool,
    count: int,
    at_once: int,
) -> Cost:
    """Ask, and see how much CPU the server's processes took for it."""
    request = request_of(key, is_stream=is_stream)
    before = _cpu_seconds(processes)
    answers = asyncio.run(_load(port, request, count, at_once))
    spent = _cpu_seconds(processes) - before
    return Cost(
        cpu_seconds=spent / len(answers),
        first_token_seconds=statistics.median(first for _, first in answers),
        bad=sum(not is_whole for is_whole, _ in answers),
    )


def _cpu_seconds(processes: list[psutil.Process]) -> float:
    return sum(sum(each.cpu_times()[:2]) for each in processes)
