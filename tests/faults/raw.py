"""A client on a bare socket that keeps every byte and says how the response ended."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

ENDED = "ended"  # the framing says that it is whole


@dataclass
class Heard:
    """A response; `end` is ENDED or what happened instead."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    end: str = ""


def request_bytes(
    url: str, path: str, shape: Any, headers: Mapping[str, str] | None = None
) -> bytes:
    """One POST, as it goes on the wire."""
    parts = urlsplit(url)
    body = json.dumps(shape, ensure_ascii=False).encode()
    lines = [
        f"POST {path} HTTP/1.1",
        f"Host: {parts.netloc}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in (headers or {}).items()),
    ]
    return "\r\n".join((*lines, "", "")).encode() + body


async def ask_raw(
    url: str,
    path: str,
    shape: Any,
    *,
    limit_seconds: float,
    headers: Mapping[str, str] | None = None,
) -> Heard:
    """Ask and read to the end of the response; never raises for what the server does."""
    heard = Heard()
    parts = urlsplit(url)
    try:
        async with asyncio.timeout(limit_seconds):
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=2**24)
            try:
                writer.write(request_bytes(url, path, shape, headers))
                await writer.drain()
                await _read(reader, heard)
            finally:
                writer.close()
    except TimeoutError:
        heard.end = f"hung for {limit_seconds:g} s"
    except asyncio.IncompleteReadError as error:
        heard.body += error.partial
        heard.end = "the connection was closed in mid-answer"
    except ConnectionError as error:
        heard.end = f"{type(error).__name__} in mid-answer"
    except (ValueError, IndexError) as error:
        heard.end = f"not HTTP: {error}"
    return heard


async def _read(reader: asyncio.StreamReader, heard: Heard) -> None:
    while heard.status < 200:
        top = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = top.strip().split("\r\n")
        heard.status = int(first.split(" ")[1])
        pairs = (line.partition(":") for line in lines)
        heard.headers = {name.lower(): value.strip() for name, _, value in pairs}
    if heard.headers.get("transfer-encoding", "").lower() == "chunked":
        await _read_chunks(reader, heard)
    elif "content-length" in heard.headers:
        heard.body = await reader.readexactly(int(heard.headers["content-length"]))
    elif heard.status != 204:
        heard.body = await reader.read()
    heard.end = ENDED


async def _read_chunks(reader: asyncio.StreamReader, heard: Heard) -> None:
    while True:
        size = int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16)
        if size < 0:
            raise ValueError("a chunk of negative size")
        if size == 0:
            while await reader.readuntil(b"\r\n") != b"\r\n":
                pass
            return
        heard.body += await reader.readexactly(size)
        if await reader.readexactly(2) != b"\r\n":
            raise ValueError("a chunk that is longer than its size")
