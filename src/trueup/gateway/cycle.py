"""One request on a connection and the bytes of its response.

uvicorn's own cycle, but for what it sends: heads leave with the first piece of their body, and a
client that speaks HTTP/1.0 gets no chunks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING
from urllib.parse import unquote

import httptools
import orjson
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from trueup.errors import RequestError
from trueup.protocol.errors import error_body

if TYPE_CHECKING:
    from uvicorn._types import ASGIReceiveEvent, ASGISendEvent, HTTPScope

NO_BODY = frozenset({204, 304})


class Cycle(RequestResponseCycle):
    """One request and its response; its methods are called by the task of the request."""

    _head = b""
    _on_left: Callable[[], None] | None = None

    def whole_body(self) -> bytes | None:
        """The body, if all of it is there and none was read; else None."""
        if self.more_body or self.disconnected or self.waiting_for_100_continue:
            return None
        body, self.body = bytes(self.body), bytearray()
        self.message_event.clear()
        self.flow.resume_reading()
        return body

    def when_left(self, call: Callable[[], None] | None) -> None:
        """Call this when the client leaves, at once where it has left; None to call nobody."""
        self._on_left = call
        if self.disconnected and call is not None:
            call()

    def leave(self) -> None:
        """The client left, or what it sent cannot be read on."""
        self.disconnected = True
        self.message_event.set()
        if self._on_left is not None:
            self._on_left()

    def abort(self) -> None:
        """End the connection at once: what was not sent yet would wait for its reader for ever."""
        self.disconnected = True
        self.transport.abort()

    async def receive(self) -> ASGIReceiveEvent:
        """Wait for a piece of the body, or for the client to leave."""
        message = await super().receive()
        if not self.more_body:  # the last piece may have stopped the reading: leaving is seen by it
            self.flow.resume_reading()
        return message

    async def send(self, message: ASGISendEvent) -> None:
        """Send a part of the response; waits while the client does not read."""
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        if message["type"] == "http.response.start" and not self.response_started:
            self.response_started = True
            self.waiting_for_100_continue = False
            self._head = self._head_of(message["status"], message.get("headers", ()))
        elif message["type"] == "http.response.body" and not self.response_complete:
            self._send_body(message.get("body", b""), more=message.get("more_body", False))
        else:
            raise RuntimeError(f"`{message['type']}` is not what comes next in a response")

    def write_now(self, body: bytes) -> bool:
        """Send a piece of a chunked body; False where it has to wait, or something else is due."""
        if self.flow.write_paused or self._head or not self.chunked_encoding or not body:
            return False
        if self.disconnected or self.response_complete:
            return False
        self.transport.write(b"%x\r\n%b\r\n" % (len(body), body))
        return True

    def _head_of(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
        # Of a status that has no words there is a line all the same.
        lines = [STATUS_LINE.get(status, b"HTTP/1.1 %d \r\n" % status)[:-2]]
        has_close = False
        for name, value in headers:
            if name == b"content-length":
                self.expected_content_length = int(value)
                self.chunked_encoding = False
            elif name == b"connection" and value == b"close":
                has_close, self.keep_alive = True, False
            lines.append(b"%b: %b" % (name, value))
        if not self.keep_alive and not has_close:
            lines.append(b"connection: close")
        scope = self.scope
        if self.chunked_encoding is None and scope["method"] != "HEAD" and status not in NO_BODY:
            # A client that speaks 1.0 reads until the connection closes.
            self.chunked_encoding = scope["http_version"] != "1.0"
            if self.chunked_encoding:
                lines.append(b"transfer-encoding: chunked")
        head = b"\r\n".join(lines)
        if head.count(b"\n") != len(lines) - 1 or head.count(b"\r") != len(lines) - 1:
            raise RuntimeError("a header's value has a line break")
        return head + b"\r\n\r\n"

    def _send_body(self, body: bytes, *, more: bool) -> None:
        head, self._head = self._head, b""
        if self.scope["method"] == "HEAD":
            self.expected_content_length = 0
            piece = b""
        elif self.chunked_encoding:
            piece = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            if not more:
                piece += b"0\r\n\r\n"
        else:
            piece = body
            if self.chunked_encoding is False and self.scope["http_version"] != "1.0":
                self._count(len(body), more=more)
        if head or piece:
            self.transport.write(head + piece)
        if not more:
            self.response_complete = True
            self.scope.pop("extensions", None)  # it refers to this cycle, and that to it
            self.message_event.set()
            if not self.keep_alive and not self.more_body:
                self.transport.close()
            self.on_response()

    def _count(self, length: int, *, more: bool) -> None:
        self.expected_content_length -= length
        if self.expected_content_length < 0 or (not more and self.expected_content_length):
            raise RuntimeError("the body is not as long as `content-length` says")


def place(scope: HTTPScope, url: bytes, *, method: bytes, version: str) -> None:
    """Write into the scope what the request line says."""
    parsed = httptools.parse_url(url)
    path = parsed.path.decode("ascii")
    scope["method"] = method.decode("ascii")
    scope["http_version"] = version
    scope["path"] = unquote(path) if "%" in path else path
    scope["raw_path"] = parsed.path
    scope["query_string"] = parsed.query or b""


def closing_response(error: RequestError) -> bytes:
    """A whole response on the wire that ends its connection, for what is no request."""
    body = orjson.dumps(error_body(error))
    return b"".join(
        (
            STATUS_LINE[error.status],
            b"content-type: application/json\r\nconnection: close\r\n",
            b"content-length: %d\r\n\r\n" % len(body),
            body,
        )
    )
