"""The client's end of a streamed answer: begun once, kept alive in silence, ended in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from trueup.gateway.exchange import Exchange, Headers
from trueup.gateway.interruption import Interruptible
from trueup.gateway.sse import HEARTBEAT

STREAM_HEADERS = (("content-type", "text/event-stream"), ("cache-control", "no-cache"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientLimits:
    """How a client is treated in silence.

    `grace_seconds` is how long an error may still have an HTTP status of its own,
    `unread_seconds` how long a client may not read.
    """

    grace_seconds: float = 1.0
    heartbeat_seconds: float = 10.0
    unread_seconds: float = 300.0


class Outlet:
    """Writes one stream; `headers` is asked for the headers when the response begins.

    Use it as a context manager around all that writes: it sends heartbeats meanwhile.
    """

    def __init__(
        self,
        exchange: Exchange,
        interruption: Interruptible,
        limits: ClientLimits,
        headers: Callable[[], Headers],
    ) -> None:
        self._exchange = exchange
        self._interruption = interruption
        self._limits = limits
        self._headers = headers
        self._lock = asyncio.Lock()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._beat: asyncio.Task[None] | None = None
        self._wrote_at = self._loop.time()
        self._writes_since: float | None = None
        self._unsent = b""
        self._is_closed = False

    def __enter__(self) -> Outlet:
        self._timer = self._loop.call_later(self._limits.grace_seconds, self._look)
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._beat is not None:
            self._beat.cancel()

    async def write(self, out: bytes) -> None:
        """Send a piece; waits while the client does not read.

        Who gives up waiting finds it sent before the last piece.
        """
        try:
            async with self._lock:
                if not self._is_closed:
                    await self._send(out, more=True)
        except asyncio.CancelledError:
            self.keep(out)
            raise

    def keep(self, out: bytes) -> None:
        """Have a piece sent before the last one: it counts as delivered."""
        self._unsent += out

    def write_now(self, out: bytes) -> bool:
        """Send a piece without waiting; False where that is not possible now."""
        if self._is_closed or self._lock.locked() or not self._exchange.write_now(out):
            return False
        self._wrote_at = self._loop.time()
        return True

    async def close(self, last: bytes) -> None:
        """Send the last piece and end the body; a client that does not read is not waited for."""
        self.__exit__()
        try:
            async with asyncio.timeout(self._limits.unread_seconds), self._lock:
                self._is_closed = True
                await self._send(self._unsent + last, more=False)
        except TimeoutError:
            self._exchange.abort()

    async def _heartbeat(self) -> None:
        async with self._lock:
            if not self._is_closed:
                await self._send(HEARTBEAT, more=True)

    async def _send(self, out: bytes, *, more: bool) -> None:
        exchange = self._exchange
        self._writes_since = self._wrote_at = self._loop.time()
        try:
            if exchange.status is None:
                await exchange.start(200, (*STREAM_HEADERS, *self._headers()))
            await exchange.write(out, more=more)
        finally:
            self._writes_since = None

    def _look(self) -> None:
        """Do what is due after a while: a heartbeat in silence, the end where nobody reads."""
        limits, now = self._limits, self._loop.time()
        since = self._writes_since
        pause = min(limits.heartbeat_seconds, limits.unread_seconds)
        if since is not None:
            if now - since >= limits.unread_seconds:
                self._interruption.interrupt("client stalled")
                return
        elif self._exchange.status is None or now - self._wrote_at >= limits.heartbeat_seconds:
            self._beat = asyncio.create_task(self._heartbeat())
        else:  # a heartbeat is due so long after the last piece, not after the last look
            pause = min(pause, self._wrote_at + limits.heartbeat_seconds - now)
        self._timer = self._loop.call_later(pause, self._look)
