"""One try at one backend: open, look at what comes, read it; its limits are kept here.

What a try brings goes into a `Delivery` (a stream) or comes back as a `Whole`. Whether there is
another try, and where, is `answering.py`'s.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace

from trueup.backends.base import Backend, BackendRequest, BackendResponse
from trueup.errors import BackendError
from trueup.gateway.deadline import Deadline
from trueup.gateway.delivery import Delivery
from trueup.gateway.reading import StreamReading
from trueup.gateway.refusal import ODD, refusal, unreadable
from trueup.gateway.relay import Nowhere, Reading, Relay, Sink
from trueup.gateway.retry import SlowAnswerError
from trueup.gateway.whole import Whole, incomplete, read_whole

# 2048 embeddings of 4096 dimensions, written out, are a little less.
MAX_ANSWER_BYTES = 2**27
# Of an error; some servers repeat all of the request in one.
MAX_ERROR_BYTES = 2**20
ERROR_SECONDS = 3.0
EVENT_STREAM = "text/event-stream"
EVENT_STARTS = (b"data:", b"event:", b":", b"id:", b"retry:", b"\xef\xbb\xbfdata:")
LONGEST_START = max(map(len, EVENT_STARTS))


@dataclass(slots=True, kw_only=True)
class Asking:
    """A try; `end_at` is when this backend's time is over, of the loop's clock.

    `after` is the text that it is asked to go on from. `note_progress` is called with every
    piece that moved the answer on.
    """

    backend: Backend
    request: BackendRequest
    choices: int
    is_chat: bool
    end_at: float
    stop: Sequence[str] = ()
    is_lenient: bool = False
    after: str = ""
    note_progress: Callable[[], None] = lambda: None

    async def stream(self, delivery: Delivery, sink: Sink) -> Whole | None:
        """Relay a stream into `delivery` and to the client.

        Returns the answer where the backend sent a whole one instead of a stream.

        Raises:
            TrueUpError: it broke; what was delivered by then, `delivery` says.
        """
        return await self.relay(self._reading(delivery), sink)

    async def relay(self, reading: Reading, sink: Sink) -> Whole | None:
        """The same with a reading of its own (see `stream`)."""
        limits, whole = self.backend.capabilities.limits, None
        with self._deadline() as deadline:
            first = limits.first_token_seconds
            request = self._when_sent(lambda: deadline.go_on(first))
            async with self.backend.open(request) as response:
                deadline.go_on(deadline.seconds)
                await _check_status(response, deadline)
                first_piece, is_stream = await _looked_at(response)
                if is_stream:
                    await self._relay(reading, sink, deadline).run(first_piece, response)
                else:
                    whole = await self._read(response, first_piece, deadline)
        if deadline.has_passed and (out := reading.fail(self._silent(deadline))):
            await sink.write(out)
        if reading.fault is not None:
            raise reading.fault
        return whole

    def _relay(self, reading: Reading, sink: Sink, deadline: Deadline) -> Relay:
        patience = self.backend.capabilities.limits.between_tokens_seconds
        return Relay(reading, sink, deadline, self.note_progress, patience)

    async def whole(
        self, *, first_seconds: float | None = None, has_other_way: bool = False
    ) -> Whole:
        """Ask for a whole answer; `first_seconds` is how long it may take to begin.

        `has_other_way`: it may be asked for as a stream then.

        Raises:
            TrueUpError: there is none.
        """
        whole = reading = scratch = None
        limits = self.backend.capabilities.limits
        seconds = first_seconds or limits.total_seconds
        with self._deadline(seconds) as deadline:
            request = self._when_sent(lambda: deadline.go_on(seconds))
            async with self.backend.open(request) as response:
                deadline.go_on(deadline.seconds)
                await _check_status(response, deadline)
                first, is_stream = await _looked_at(response)
                if is_stream:
                    deadline.extend(limits.between_tokens_seconds)
                    scratch = self._scratch()
                    reading = self._reading(scratch)
                    await self._relay(reading, Nowhere(), deadline).run(first, response)
                else:
                    whole = await self._read(response, first, deadline)
        if reading is not None and scratch is not None:
            if deadline.has_passed:  # after its end it may be left open
                reading.fail(self._silent(deadline))
            if reading.fault is not None:
                raise reading.fault
            return scratch.whole()
        if whole is None:
            silent = self._silent(deadline)
            if has_other_way and not self._is_out:
                raise SlowAnswerError(silent.cause) from None
            raise silent
        return whole

    async def body(self) -> bytes:
        """Ask for what is no text and is sent on as it comes.

        Raises:
            TrueUpError: the backend refuses, breaks off or stays silent.
        """
        body = None
        # Nothing of it can come before all of it is computed.
        with self._deadline(self.backend.capabilities.limits.total_seconds) as deadline:
            request = self._when_sent(lambda: deadline.go_on(deadline.seconds))
            async with self.backend.open(request) as response:
                deadline.go_on(deadline.seconds)
                await _check_status(response, deadline)
                body = await self._content(response, b"", deadline)
        if body is None:
            raise self._silent(deadline)
        return body

    async def assembled(self) -> Whole:
        """Ask for a stream and put it together: for whoever wants the answer whole.

        Raises:
            TrueUpError: there is none.
        """
        scratch = self._scratch()
        whole = await self.stream(scratch, Nowhere())
        return whole or scratch.whole()

    def _reading(self, delivery: Delivery) -> StreamReading:
        return StreamReading(
            delivery,
            self.backend.capabilities,
            stop=self.stop,
            is_lenient=self.is_lenient,
            after=self.after,
        )

    def _scratch(self) -> Delivery:
        """Where a stream is put together."""
        prompt_bytes = len(self.request.body)
        return Delivery(choices=self.choices, is_chat=self.is_chat, prompt_bytes=prompt_bytes)

    async def _read(self, response: BackendResponse, first: bytes, deadline: Deadline) -> Whole:
        content = await self._content(response, first, deadline)
        try:
            return read_whole(
                content,
                choices=self.choices,
                is_chat=self.is_chat,
                is_lenient=self.is_lenient,
            )
        except ODD as error:
            raise unreadable(error) from error

    async def _content(self, response: BackendResponse, first: bytes, deadline: Deadline) -> bytes:
        """The whole body; every piece of it that is not blank is progress."""
        patience = self.backend.capabilities.limits.between_tokens_seconds

        def note(piece: bytes) -> None:
            if not piece.isspace():
                deadline.extend(patience)
                self.note_progress()

        return await read_all(response.body, MAX_ANSWER_BYTES, first=first, note=note)

    def _deadline(self, seconds: float | None = None) -> Deadline:
        limits = self.backend.capabilities.limits
        first = limits.connect_seconds + (seconds or limits.first_token_seconds)
        deadline = Deadline(first, end_at=self.end_at)
        if self.backend.capabilities.queues:
            deadline.hold()  # until it has its turn: what passes until then is a queue or a load
        return deadline

    def _when_sent(self, call: Callable[[], None]) -> BackendRequest:
        """The request, told of where it may have to wait for its turn."""
        is_told = self.backend.capabilities.queues
        return replace(self.request, on_sent=call) if is_told else self.request

    @property
    def _is_out(self) -> bool:
        """Whether the time for all of the answer is over."""
        return asyncio.get_running_loop().time() >= self.end_at

    def _silent(self, deadline: Deadline) -> BackendError:
        limits = self.backend.capabilities.limits
        return BackendError(
            f"`{self.backend.name}` was not done after {limits.total_seconds:g} s"
            if self._is_out
            else f"`{self.backend.name}` was silent for {deadline.seconds:g} s",
            retryable=True,
            code="backend_silent",
            status=504,
            where=self.backend.name,
            hint="`trueup ps` shows what the model does"
            if self.backend.capabilities.queues
            else f"`limits` of `backends.{self.backend.name}` say how long it is waited for",
        )


async def read_all(
    body: AsyncIterator[bytes],
    limit: int,
    *,
    first: bytes = b"",
    note: Callable[[bytes], None] = lambda piece: None,
) -> bytes:
    """The whole body; `first` was read already, `note` is called with every further piece.

    Raises:
        BackendError: it is longer than `limit` bytes, or breaks off.
    """
    pieces = [first]
    length = len(first)
    async for piece in body:
        note(piece)
        pieces.append(piece)
        length += len(piece)
        if length > limit:
            raise BackendError(f"the backend's answer is longer than {limit} bytes", retryable=True)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


async def _check_status(response: BackendResponse, deadline: Deadline) -> None:
    if response.status != 200:
        deadline.hold(is_firm=True)  # the status is there: what is said to it has its own limit
        body = await _error_body(response)
        try:
            raise refusal(response.status, response.headers, body)
        except ODD as error:
            raise unreadable(error) from error


async def _error_body(response: BackendResponse) -> bytes:
    """What a backend says to its status, as far as it comes soon; the status says enough."""
    body = bytearray()
    with contextlib.suppress(BackendError, TimeoutError):
        async with asyncio.timeout(ERROR_SECONDS):
            async for piece in response.body:
                body += piece
                if len(body) >= MAX_ERROR_BYTES:
                    break
    return bytes(body[:MAX_ERROR_BYTES])


async def _looked_at(response: BackendResponse) -> tuple[bytes, bool]:
    """What came first, and whether it is a stream: by its bytes, whatever its type says."""
    first = b""
    async for piece in response.body:
        first = (first + piece).lstrip()  # some keep a request alive with blanks
        is_told = first.startswith((b"{", *EVENT_STARTS))
        if is_told or len(first) >= LONGEST_START:
            break
    start = first
    media = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if start.startswith(EVENT_STARTS) or (media == EVENT_STREAM and not start.startswith(b"{")):
        return first, True
    if not start:
        raise incomplete("answered with status 200 and an empty body")
    if not start.startswith(b"{"):
        raise incomplete(f"answered with status 200 and `{media or 'no content type'}`, no JSON")
    return first, False
