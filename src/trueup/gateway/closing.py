"""How a connection is closed whose client still has something to read."""

from __future__ import annotations

import asyncio

# Between two looks at whether a client reads what it is still to have.
UNREAD_SECONDS = 60.0


class Closing:
    """Closes one connection: after what was not sent yet, but only as long as the client reads.

    A transport that is closed waits for its reader, and one that never reads again would keep
    the connection and what it is to have for ever.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport) -> None:
        self._loop = loop
        self._transport = transport
        self._timer: asyncio.TimerHandle | None = None

    def close(self) -> None:
        """Close, now or when all was sent."""
        self._transport.close()
        left = self._transport.get_write_buffer_size()
        if left and self._timer is None:
            self._timer = self._loop.call_later(UNREAD_SECONDS, self._look, left)

    def closed(self) -> None:
        """The connection is gone."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self, before: int) -> None:
        self._timer = None
        if self._transport.get_write_buffer_size() < before:
            self.close()
        else:
            self._transport.abort()
