"""What the far worker says to whoever waits: the events of an answer, and changes of its state."""

from __future__ import annotations

import asyncio
import secrets

from trueup.backends.llamafactory.far.lines import Message
from trueup.errors import TrueUpError


class Answering:
    """One answer: its events in order, or the error that ended it."""

    def __init__(self, request: Message) -> None:
        self.id = secrets.token_hex(8)
        self.request = {**request, "id": self.id}
        self.seq = 0
        self.is_over = False
        self._events: asyncio.Queue[Message | TrueUpError] = asyncio.Queue()

    def add(self, event: Message) -> None:
        """An event of the worker; one that came before is passed over."""
        seq = int(event.get("seq", 0))
        if seq and seq <= self.seq:
            return
        self.seq = max(self.seq, seq)
        self.is_over = self.is_over or event["event"] in ("end", "error")
        self._events.put_nowait(event)

    def fail(self, error: TrueUpError) -> None:
        """There will be no more of it."""
        self.is_over = True
        self._events.put_nowait(error)

    async def next(self) -> Message:
        """Its next event.

        Raises: TrueUpError where it was lost.
        """
        event = await self._events.get()
        if isinstance(event, TrueUpError):
            raise event
        return event


class Change:
    """The next word of the worker on itself, or the error that it ended with; any number wait."""

    def __init__(self) -> None:
        self._has_come = asyncio.Event()
        self._error: TrueUpError | None = None

    def come(self, error: TrueUpError | None = None) -> None:
        """It is there."""
        self._error = error
        self._has_come.set()

    async def wait(self) -> None:
        """Wait for it.

        Raises: TrueUpError where the worker was lost.
        """
        await self._has_come.wait()
        if self._error is not None:
            raise self._error
