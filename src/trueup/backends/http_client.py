"""Connections to one server: opened when they are needed, kept while they may be used again."""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from trueup.backends.http_answer import Answer
from trueup.backends.http_fault import HttpFault, connecting_fault

# Idle connections are given up before a server that is served by uvicorn (5 s) gives them up.
KEEP_ALIVE_SECONDS = 4.0
HAPPY_EYEBALLS_SECONDS = 0.25
SERVER_ERROR = 500
# A kept connection that was given up ends at once when something is sent on it.
GIVEN_UP_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a server listens: a host and a port, or a Unix socket."""

    host: str = ""
    port: int = 0
    is_tls: bool = False
    socket_path: str | None = None


class Client:
    """Asks one server; must be used in one event loop.

    `idle_seconds` is how long a connection is kept for the next request, 0 for not at all. Who
    is silent is watched by whoever asks: the only limit here is that of connecting.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        connect_seconds: float,
        idle_seconds: float = KEEP_ALIVE_SECONDS,
    ) -> None:
        self._endpoint = endpoint
        self._connect_seconds = connect_seconds
        # A name may have an address of a kind that leads nowhere from here.
        self._more: dict[str, Any] = (
            {} if _is_literal(endpoint.host) else {"happy_eyeballs_delay": HAPPY_EYEBALLS_SECONDS}
        )
        self._idle_seconds = idle_seconds
        self._open: set[Connection] = set()
        self._idle: list[Connection] = []
        self._timer: asyncio.TimerHandle | None = None
        self._emptied: asyncio.Event | None = None

    async def ask(self, request: bytes) -> Answer:
        """Send a request, head and body, and wait for the head of its answer.

        A kept connection that ends without a word costs one more try on a new one. `leave` the
        answer when done.

        Raises:
            HttpFault: there is no answer.
        """
        kept = self._kept()
        if kept is not None:
            clock = asyncio.get_running_loop().time
            asked_at = clock()
            try:
                return await kept.ask(request)
            except HttpFault as fault:
                # The server gave it up while we took it: most likely it has seen no request.
                # One that took longer has worked on it: whether it is asked again is no matter
                # of connections.
                if not fault.is_silent or clock() - asked_at > GIVEN_UP_SECONDS:
                    raise
        return await (await self._connected()).ask(request)

    async def close(self) -> None:
        """End every connection; whoever still reads gets an error."""
        if self._timer is not None:
            self._timer.cancel()
        self._idle_seconds = 0.0
        self._idle.clear()
        if self._open:
            self._emptied = asyncio.Event()
            for each in tuple(self._open):
                each.abort()
            await self._emptied.wait()

    def _kept(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_usable:
                return connection
        return None

    async def _connected(self) -> Connection:
        loop, endpoint = asyncio.get_running_loop(), self._endpoint
        make = functools.partial(Connection, loop, self._back, self._gone)
        try:
            async with asyncio.timeout(self._connect_seconds):
                if endpoint.socket_path is not None:
                    _, made = await loop.create_unix_connection(make, endpoint.socket_path)
                else:
                    _, made = await loop.create_connection(
                        make,
                        endpoint.host,
                        endpoint.port,
                        ssl=_trusted() if endpoint.is_tls else None,
                        **self._more,
                    )
        except (OSError, UnicodeError) as error:  # the latter for a name that cannot be one
            raise connecting_fault(error) from error
        self._open.add(made)
        return made

    def _gone(self, connection: Connection) -> None:
        self._open.discard(connection)
        if self._emptied is not None and not self._open:
            self._emptied.set()

    def _back(self, connection: Connection) -> None:
        """A whole answer was read: keep its connection for a while."""
        if not self._idle_seconds:
            connection.abort()
            return
        loop = asyncio.get_running_loop()
        connection.idle_since = loop.time()
        self._idle.append(connection)
        if self._timer is None:
            self._timer = loop.call_later(self._idle_seconds, self._sweep)

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        oldest = loop.time() - self._idle_seconds
        for each in self._idle:
            if each.idle_since <= oldest:
                each.abort()
        self._idle = [each for each in self._idle if each.is_usable]
        self._timer = None
        if self._idle:
            first = min(each.idle_since for each in self._idle)
            self._timer = loop.call_at(first + self._idle_seconds, self._sweep)


class Connection(asyncio.Protocol):
    """One connection; it is asked one thing at a time."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        back: Callable[[Connection], None],
        lost: Callable[[Connection], None],
    ) -> None:
        self.idle_since = 0.0
        self.is_usable = False
        self._loop = loop
        self._back = back
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._answer: Answer | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        self._transport = cast("asyncio.Transport", transport)
        self.is_usable = True

    def data_received(self, data: bytes) -> None:
        """Hand bytes on; what nobody asked for is no beginning of the next answer."""
        if self._answer is None:
            self.abort()
        else:
            self._answer.feed(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is closed, by whoever."""
        self.is_usable = False
        self._lost(self)
        if self._answer is not None:
            self._answer.lost(exc)

    async def ask(self, request: bytes) -> Answer:
        """Send a request and wait for the head of the answer.

        Raises:
            HttpFault: none came; the connection is gone.
        """
        assert self._transport is not None
        self._answer = answer = Answer(self._loop, self._hold, self._left)
        self._transport.write(request)
        try:
            await answer.head()
        except BaseException:
            answer.leave()
            raise
        return answer

    def _left(self, answer: Answer) -> None:
        """Nobody reads the answer any more."""
        self._answer = None
        transport = self._transport
        if transport is None or not self.is_usable:
            return
        is_clean = answer.is_read and answer.keeps_alive and answer.status < SERVER_ERROR
        # Xinference resets the request that follows a server error on the same connection.
        if is_clean and not transport.get_write_buffer_size() and not transport.is_closing():
            self._back(self)
        else:
            self.abort()

    def abort(self) -> None:
        """Close at once: a server that no longer reads would keep what was not sent for ever."""
        self.is_usable = False
        if self._transport is not None:
            self._transport.abort()

    def _hold(self, is_held: bool) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if is_held:
            transport.pause_reading()
        else:
            transport.resume_reading()


def _is_literal(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdigit()


@functools.cache
def _trusted() -> ssl.SSLContext:
    """The system's certificates, read once."""
    return ssl.create_default_context()


def request_head(method: str, target: str, host: str, headers: dict[str, str]) -> bytes:
    """The request line and headers, without the empty line that ends them.

    Raises:
        ValueError: a value cannot be sent in a header.
    """
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    for line in lines:
        if not line.isprintable():
            raise ValueError(f"`{line.partition(':')[0]}` holds what no header can carry")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n"
