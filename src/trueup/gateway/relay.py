"""A stream on its way through: what the backend sends is read and handed to the client.

Pieces go through in the event loop's callback as long as the client takes them: no task, no
future and no timer for each. What cannot be written at once waits in the task of the request.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from trueup.backends.base import BackendResponse, Take
from trueup.errors import BackendError, TrueUpError
from trueup.gateway.deadline import Deadline

# Between the finish chunk and `[DONE]` or a usage chunk.
AFTER_FINISH_SECONDS = 5.0
# Between `[DONE]` and the end of the body, which most servers send at once.
AFTER_DONE_SECONDS = 0.02


class Reading(Protocol):
    """What reads a stream: pieces of the backend's in, the client's out (see `StreamReading`)."""

    events: int
    fault: TrueUpError | None

    @property
    def is_over(self) -> bool:
        """Nothing more of the stream is wanted."""

    @property
    def is_cut(self) -> bool:
        """The answer was ended here and the backend is to be left."""

    @property
    def is_complete(self) -> bool:
        """The answer has come to its end, and the stream may go on for a moment."""

    def take(self, piece: bytes) -> bytes:
        """The client's bytes for a piece."""

    def end(self, *, is_framed: bool = True) -> bytes:
        """The body has come to its end."""

    def fail(self, error: TrueUpError) -> bytes:
        """Something broke."""


class Sink(Protocol):
    """Where the pieces of an answer go."""

    def write_now(self, out: bytes) -> bool:
        """Send a piece without waiting; False where that is not possible."""

    async def write(self, out: bytes) -> None:
        """Send a piece; waits while nobody reads."""

    def keep(self, out: bytes) -> None:
        """Have a piece sent with whatever ends the answer: nobody waits for it any more."""


class Nowhere:
    """Takes the pieces of an answer that is wanted whole."""

    def write_now(self, out: bytes) -> bool:
        """Nobody is told."""
        return True

    async def write(self, out: bytes) -> None:
        """Nobody is told."""

    def keep(self, out: bytes) -> None:
        """Nobody is told."""


class Relay:
    """Reads one stream into `reading` and `sink`; `patience_seconds` is for between two events."""

    def __init__(
        self,
        reading: Reading,
        sink: Sink,
        deadline: Deadline,
        note_progress: Callable[[], None],
        patience_seconds: float,
    ) -> None:
        self._reading = reading
        self._sink = sink
        self._write_now = sink.write_now
        self._deadline = deadline
        self._note_progress = note_progress
        self._patience_seconds = patience_seconds
        self._events = 0
        self._unsent = b""
        self._is_left = False

    async def run(self, first: bytes, response: BackendResponse) -> None:
        """Relay `first` and the rest of the body; what broke is in `reading.fault`."""
        try:
            await self._run(first, response)
        finally:
            if self._unsent:  # cut before it could be written: it counts as delivered
                self._sink.keep(self._unsent)

    async def _run(self, first: bytes, response: BackendResponse) -> None:
        reading = self._reading
        try:
            self._take(first)
            is_over = False
            while not is_over:
                await self._send_rest()
                if self._is_left or self._deadline.has_passed:
                    return
                is_over = await pumped(response, self._take)
        except BackendError as error:
            self._hold(reading.fail(error))
        else:
            self._hold(reading.end(is_framed=response.is_framed))
        await self._send_rest()

    def _take(self, piece: bytes) -> bool:
        """Take a piece; False to be asked for the next one."""
        reading = self._reading
        if reading.is_over:
            return True  # to the end of the body: the connection can be used again then
        out = reading.take(piece)
        if reading.events != self._events:
            self._events = reading.events
            self._note_progress()
            self._deadline.extend(
                AFTER_FINISH_SECONDS if reading.is_complete else self._patience_seconds
            )
        if out and not self._write_now(out):
            self._hold(out)
        if reading.is_cut or reading.fault is not None:
            self._is_left = True
        elif reading.is_over:
            self._deadline.extend(AFTER_DONE_SECONDS)
        return not (self._unsent or self._is_left)

    def _hold(self, out: bytes) -> None:
        """Keep what has to wait: it counts as delivered, so nothing may end before it is sent."""
        self._unsent += out
        if self._unsent:
            self._deadline.hold(is_firm=True)

    async def _send_rest(self) -> None:
        """Wait for the client: no time passes for the backend meanwhile."""
        if self._unsent:
            out, self._unsent = self._unsent, b""
            await self._sink.write(out)
            self._deadline.go_on(self._deadline.seconds)


async def pumped(response: BackendResponse, take: Take) -> bool:
    """Give `take` the pieces of a body until it returns False; whether the body is over."""
    if response.pump is not None:
        return await response.pump(take)
    async for piece in response.body:
        if not take(piece):
            return False
    return True
