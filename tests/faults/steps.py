"""What a fault is played with: steps in order, made from an answer; no IO here.

`bytes` go out as one chunk of HTTP's chunked framing, `Raw` as they are. A play whose steps end
leaves the connection open for the next request, unless its last step is one of the others.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.faults.answer import Asked


class Raw(bytes):
    """Bytes that are not framed."""


@dataclass(frozen=True)
class Pause:
    """Say nothing for so many units of the server's `slow_seconds`."""

    units: float


@dataclass(frozen=True)
class Close:
    """Close the connection, in order (FIN)."""


@dataclass(frozen=True)
class Reset:
    """Reset the connection (RST)."""


@dataclass(frozen=True)
class Stall:
    """Say nothing more until the client leaves; `drip` is sent every tenth of a unit."""

    drip: bytes = b""


@dataclass(frozen=True)
class Poison:
    """Reset the connection when the next request comes on it."""


Step = bytes | Pause | Close | Reset | Stall | Poison
Steps = Iterable[Step]
Play = Callable[[Asked], Steps]

END = Raw(b"0\r\n\r\n")
DONE = b"data: [DONE]\n\n"
SSE = "text/event-stream; charset=utf-8"
JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
HTML = "text/html; charset=utf-8"
REASONS = {
    200: "OK",
    204: "No Content",
    302: "Found",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    408: "Request Timeout",
    409: "Conflict",
    422: "Unprocessable Entity",
    429: "Too Many Requests",
    500: "Internal Server Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
    529: "Overloaded",
}


def dumped(shape: Any) -> bytes:
    """Compact JSON, with the characters as they are: U+2028 too."""
    return json.dumps(shape, ensure_ascii=False, separators=(",", ":")).encode()


def event(shape: Any) -> bytes:
    """One event; text and bytes go in as they are."""
    if isinstance(shape, str):
        shape = shape.encode()
    return b"data: " + (shape if isinstance(shape, bytes) else dumped(shape)) + b"\n\n"


def head(
    status: int = 200,
    kind: str | None = SSE,
    *,
    length: int | None = None,
    is_chunked: bool | None = None,
    headers: Mapping[str, str] | None = None,
) -> Raw:
    """A response's head; chunked unless a length is given."""
    lines = [f"HTTP/1.1 {status} {REASONS[status]}"]
    if kind:
        lines.append(f"Content-Type: {kind}")
    if length is not None:
        lines.append(f"Content-Length: {length}")
    if is_chunked or (is_chunked is None and length is None):
        lines.append("Transfer-Encoding: chunked")
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return Raw("\r\n".join((*lines, "", "")).encode())


def framed(data: bytes) -> Raw:
    """One chunk of the chunked framing, whole."""
    return Raw(b"%x\r\n%s\r\n" % (len(data), data))


def reply(
    status: int,
    body: Any,
    kind: str = JSON,
    headers: Mapping[str, str] | None = None,
) -> Steps:
    """A whole response with a length; what is neither text nor bytes goes as JSON."""
    if isinstance(body, str):
        body = body.encode()
    data = body if isinstance(body, bytes) else dumped(body)
    return [Raw(head(status, kind, length=len(data), headers=headers) + data)]


def events(asked: Asked) -> list[bytes]:
    """The healthy stream's events, [DONE] included."""
    return [*(event(chunk) for chunk in asked.chunks()), DONE]


def stream(pieces: Iterable[Step], *last: Step) -> Iterator[Step]:
    """A streamed response with these pieces; without `last` it ends in order."""
    yield head()
    yield from pieces
    yield from last or (END,)


def healthy(asked: Asked) -> Steps:
    """The right answer."""
    return stream(events(asked)) if asked.is_stream else reply(200, asked.whole())


def healthy_stream(asked: Asked) -> Steps:
    """The right answer as a stream."""
    return stream(events(asked))


def part(asked: Asked, count: int) -> list[bytes]:
    """The stream's events until `count` of them with content were sent; roles come first."""
    choices = asked.choices if asked.is_chat else 0
    return events(asked)[: choices + count]


def cut_stream(count: int, *last: Step) -> Play:
    """A stream of which `count` events with content are sent, then `last`."""
    return lambda asked: stream(part(asked, count), *last)


def cut_body(*last: Step) -> Play:
    """A whole answer of which half the bytes are sent, then `last`."""

    def play(asked: Asked) -> Steps:
        body = dumped(asked.whole())
        yield head(200, JSON, length=len(body))
        yield Raw(body[: len(body) // 2])
        yield from last

    return play


def always(*steps: Step) -> Play:
    """The same steps for every request."""
    return lambda asked: steps


def answered(status: int, body: Any, kind: str = JSON, **headers: str) -> Play:
    """The same response for every request; `_` in the names of headers is `-`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda asked: reply(status, body, kind, named)


def of_events(change: Callable[[Asked, list[bytes]], Iterable[Step]]) -> Play:
    """A stream whose events `change` has changed."""
    return lambda asked: stream(change(asked, events(asked)))


def of_chunks(change: Callable[[Asked, list[dict[str, Any]]], Iterable[Any]]) -> Play:
    """A stream whose chunks, as JSON, `change` has changed; [DONE] follows."""
    return lambda asked: stream([*map(event, change(asked, asked.chunks())), DONE])


def of_whole(change: Callable[[Asked, dict[str, Any]], Any]) -> Play:
    """A whole answer, as JSON, that `change` has changed."""
    return lambda asked: reply(200, change(asked, asked.whole()))
