"""One HTTP/1.1 answer as it comes in: its head, then its body in pieces.

Our own because streamed answers pass here in thousands of small pieces: `pump` hands them on
from the event loop's callback, without a future and a task's turn for each of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Self

import httptools

from trueup.backends.base import Take
from trueup.backends.http_fault import HttpFault, lost_words
from trueup.backends.inflating import CodingError, Inflater, inflater_of
from trueup.errors import BackendError

MAX_HEAD_BYTES = 2**16
# What is held for a reader that is slower than the server.
MAX_HELD_BYTES = 2**18
SWITCHING_PROTOCOLS = 101
WITHOUT_BODY = frozenset({204, 304})


class Answer:
    """Iterate it, or `pump` it: the pieces of the body, whatever their size.

    `status` and `headers` (lower-cased names) are there after `head`. `is_complete`: its last
    byte came, by its own framing. `keeps_alive`: the server lets the connection be used again.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        hold: Callable[[bool], None],
        on_left: Callable[[Answer], None],
    ) -> None:
        """`hold` is called with True while no more should be read from the server."""
        self.status = 0
        self.headers: dict[str, str] = {}
        self.is_complete = self.is_begun = self.keeps_alive = False
        self._loop = loop
        self._hold = hold
        self._on_left: Callable[[Answer], None] | None = on_left
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        # What servers get wrong without anything being lost by it.
        self._parser.set_dangerous_leniencies(
            lenient_headers=True,
            lenient_optional_cr_before_lf=True,
            lenient_spaces_after_chunk_size=True,
        )
        self._head_bytes = 0
        self._has_head = self.ends_with_connection = False
        self._inflater: Inflater | None = None
        self._pieces: list[bytes] = []
        self._held_bytes = 0
        self._fault: HttpFault | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._take: Take | None = None

    @property
    def is_read(self) -> bool:
        """Whether its last byte came and was taken."""
        return self.is_complete and not self._pieces

    async def head(self) -> None:
        """Wait for status and headers.

        Raises:
            HttpFault: none came.
        """
        while not self._has_head:
            if self._fault is not None:
                raise self._fault
            await self._moved()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        while not self._pieces:
            if self.is_complete:
                raise StopAsyncIteration
            if self._fault is not None:
                raise self._fault
            await self._moved()
        return self._all()

    async def pump(self, take: Take) -> bool:
        """Call `take` with each piece as it comes, until it returns False or the body is over.

        `take` runs in the event loop's callback: it must not wait. Returns whether the body came
        to its end.

        Raises:
            HttpFault: the connection broke. What `take` raises.
        """
        while True:
            if self._pieces:
                if not take(self._all()):
                    return False
            elif self.is_complete:
                return True
            elif self._fault is not None:
                raise self._fault
            else:
                self._take = take
                try:
                    await self._moved()
                finally:
                    is_stopped, self._take = self._take is None, None
                if is_stopped:
                    return False

    def leave(self) -> None:
        """Be done: the connection is kept after a whole answer and else ended."""
        on_left, self._on_left = self._on_left, None
        if on_left is not None:
            on_left(self)
            self._parser = None  # it refers to its callbacks, which are ours

    def feed(self, data: bytes) -> None:
        """Bytes came on the connection."""
        if self._parser is None:
            return
        self.is_begun = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.keeps_alive = False
            what = "the framing of its body is broken" if self._has_head else None
            self._break(what or "it sent no HTTP that can be read")
        if not self._has_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._break("it sent no HTTP that can be read")
        self._hand_on()

    def lost(self, error: Exception | None) -> None:
        """The connection is gone."""
        self.keeps_alive = False
        if self.ends_with_connection and error is None:
            self._complete()
        else:
            self._break(lost_words(error))
        self._hand_on()

    def on_message_begin(self) -> None:
        """A second answer that nobody asked for spoils the connection."""
        if self.is_complete:
            self.keeps_alive = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; those after a body are left out."""
        if not self._has_head:
            self.headers[name.decode("latin-1").lower()] = value.decode("latin-1").strip()

    def on_headers_complete(self) -> None:
        """Status and headers are whole, or those of a word before them."""
        parser = self._parser
        if self._has_head or parser is None:
            return
        status = parser.get_status_code()
        if status < 200 and status != SWITCHING_PROTOCOLS:
            self.headers.clear()
            return
        headers = self.headers
        self._has_head, self.status = True, status
        self.keeps_alive = parser.should_keep_alive()
        self.ends_with_connection = (
            "content-length" not in headers
            and coding_of(headers) != "chunked"
            and status not in WITHOUT_BODY
        )
        if coding := headers.get("content-encoding"):
            self._inflater = inflater_of(coding)

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        if self._inflater is not None:
            try:
                body = self._inflater.push(body)
            except CodingError as error:
                self._break(str(error))
                return
        if body and self._fault is None and not self.is_complete:
            self._pieces.append(body)
            self._held_bytes += len(body)

    def on_message_complete(self) -> None:
        """The body is whole."""
        if self._has_head:
            self._complete()

    def _complete(self) -> None:
        if self._inflater is not None and not self._inflater.is_whole:
            self._break("its compressed body cannot be read")
        elif self._fault is None:
            self.is_complete = True

    def _break(self, words: str) -> None:
        if self._fault is None and not self.is_complete:
            self._fault = HttpFault(words, is_silent=not self.is_begun)

    def _all(self) -> bytes:
        pieces, self._pieces = self._pieces, []
        if self._held_bytes > MAX_HELD_BYTES:
            self._hold(False)
        self._held_bytes = 0
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def _moved(self) -> None:
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _hand_on(self) -> None:
        """Give whoever waits what is there."""
        waiter = self._waiter
        if waiter is None or waiter.done():  # or is being cancelled
            if self._held_bytes > MAX_HELD_BYTES:
                self._hold(True)
            return
        if self._take is not None and self._pieces:
            try:
                if not self._take(self._all()):
                    self._take = None
            except BaseException as error:
                self._take = None
                waiter.set_exception(error)
                return
        if self._take is None or self.is_complete or self._fault is not None:
            waiter.set_result(None)


def coding_of(headers: Mapping[str, str]) -> str:
    """The last coding of a body's transfer, which says where it ends."""
    return headers.get("transfer-encoding", "").rpartition(",")[2].strip().lower()


class Body:
    """An answer's body; `error_of` says what a fault of its connection is."""

    def __init__(
        self, answer: Answer, error_of: Callable[[HttpFault], Awaitable[BackendError]]
    ) -> None:
        self._answer = answer
        self._error_of = error_of

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await self._answer.__anext__()
        except HttpFault as fault:
            raise await self._error_of(fault) from fault

    async def pump(self, take: Take) -> bool:
        """See `Answer.pump`."""
        try:
            return await self._answer.pump(take)
        except HttpFault as fault:
            raise await self._error_of(fault) from fault
