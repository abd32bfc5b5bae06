"""Asks a server one question at a time, each with a limit, and keeps what came back."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Self

import aiohttp

from trueup.backends.probe import Reply, one_line
from trueup.errors import TrueUpError
from trueup.gateway.sse import EventSplitter

MAX_BODY_BYTES = 2**22
EVENT_STREAM = "text/event-stream"


@dataclass(slots=True)
class _Coming:
    """A reply while it comes."""

    began: float
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    events: list[tuple[float, bytes]] = field(default_factory=list)
    fault: str | None = None
    is_late: bool = False
    is_left: bool = False
    connecting_at: float | None = None
    connect_seconds: float | None = None

    def reply(self) -> Reply:
        return Reply(
            status=self.status,
            headers=self.headers,
            body=bytes(self.body),
            events=tuple(self.events),
            fault=self.fault,
            is_late=self.is_late,
            is_left=self.is_left,
            connect_seconds=self.connect_seconds,
            seconds=time.monotonic() - self.began,
        )


class Prober:
    """Sends to one server, each request on a connection of its own.

    A request has `request_seconds`, all of them together `total_seconds`; `requests` counts.
    """

    def __init__(
        self, *, api_key: str | None, request_seconds: float, total_seconds: float
    ) -> None:
        self.requests = 0
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._request_seconds = request_seconds
        self._until = time.monotonic() + total_seconds
        self._session: aiohttp.ClientSession | None = None

    @property
    def is_over(self) -> bool:
        """Whether the time for all of it is up."""
        return time.monotonic() >= self._until

    async def __aenter__(self) -> Self:
        trace = aiohttp.TraceConfig()
        trace.on_connection_create_start.append(_note_connecting)
        trace.on_connection_create_end.append(_note_connected)
        self._session = aiohttp.ClientSession(
            # After an error some servers reset a connection that is used again.
            connector=aiohttp.TCPConnector(force_close=True),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            trace_configs=[trace],
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(self, url: str, *, sends_key: bool = True) -> Reply:
        """GET."""
        return await self._ask("GET", url, None, headers=self._headers if sends_key else {})

    async def post(self, url: str, body: bytes, *, leave_after: int | None = None) -> Reply:
        """POST a JSON body; `leave_after` goes away after so many events."""
        headers = {**self._headers, "Content-Type": "application/json"}
        return await self._ask("POST", url, body, headers=headers, leave_after=leave_after)

    async def _ask(
        self,
        method: str,
        url: str,
        body: bytes | None,
        *,
        headers: Mapping[str, str],
        leave_after: int | None = None,
    ) -> Reply:
        if self._session is None:
            raise RuntimeError("Prober is used outside `async with`")
        self.requests += 1
        coming = _Coming(time.monotonic())
        seconds = max(0.0, min(self._request_seconds, self._until - coming.began))
        try:
            async with asyncio.timeout(seconds):
                async with self._session.request(
                    method,
                    url,
                    data=body,
                    headers=headers,
                    allow_redirects=False,
                    trace_request_ctx=coming,
                ) as response:
                    coming.status = response.status
                    coming.headers = {k.lower(): v for k, v in response.headers.items()}
                    await _read(response, coming, leave_after)
        except TimeoutError:
            coming.is_late = True
            what = "no answer in" if coming.status is None else "the answer is not whole after"
            coming.fault = f"{what} {seconds:g} s"
        except TrueUpError as error:
            coming.fault = error.cause
        except (aiohttp.ClientError, OSError, ValueError) as error:
            coming.fault = _cause(error)
        return self._concealed(coming.reply())

    def _concealed(self, reply: Reply) -> Reply:
        """The reply without the key, which some servers repeat in their errors."""
        key = self._headers.get("Authorization", "").removeprefix("Bearer ").encode()
        if not key:
            return reply
        return replace(
            reply,
            body=reply.body.replace(key, b"***"),
            events=tuple((at, data.replace(key, b"***")) for at, data in reply.events),
        )


async def _read(response: aiohttp.ClientResponse, coming: _Coming, leave_after: int | None) -> None:
    """The body, and its events where it has any.

    Raises:
        TrueUpError: an event is endless.
    """
    splitter: EventSplitter | None = None
    async for piece in response.content.iter_any():
        is_first = not coming.body
        coming.body += piece
        if is_first and (
            response.content_type == EVENT_STREAM or piece.lstrip()[:1] in (b"d", b":", b"e")
        ):
            splitter = EventSplitter()
        if splitter is not None:
            now = time.monotonic() - coming.began
            coming.events += [(now, data) for data in splitter.feed(piece)]
        if leave_after is not None and len(coming.events) >= leave_after:
            coming.is_left = not any(data == b"[DONE]" for _, data in coming.events)
            response.close()
            return
        if len(coming.body) > MAX_BODY_BYTES:
            coming.fault = f"the answer is longer than {MAX_BODY_BYTES} bytes"
            response.close()
            return
    if splitter is not None and (last := splitter.rest()) is not None:
        coming.events.append((time.monotonic() - coming.began, last))


def _cause(error: Exception) -> str:
    # aiohttp's words for a connection that is gone are about its parser.
    if isinstance(error, aiohttp.ClientPayloadError):
        return "the connection closed before the answer was whole"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "the connection closed without an answer"
    if isinstance(error, aiohttp.ClientConnectorError):
        number = error.os_error.errno or 0
        # asyncio's own words are about its calls.
        how = os.strerror(number).lower() if number > 0 else str(error.os_error)
        return f"no connection: {one_line(how)}"
    if isinstance(error, aiohttp.ClientResponseError):
        return f"the answer is no HTTP: {one_line(error.message)}"
    return one_line(str(error)) or type(error).__name__


async def _note_connecting(session: Any, context: Any, params: Any) -> None:
    context.trace_request_ctx.connecting_at = time.monotonic()


async def _note_connected(session: Any, context: Any, params: Any) -> None:
    coming: _Coming = context.trace_request_ctx
    if coming.connecting_at is not None:
        coming.connect_seconds = time.monotonic() - coming.connecting_at
