"""The stream contract on its way in: what a backend's events say, and what the client gets.

One `StreamReading` reads one try at a backend into a `Delivery`. The bytes of an event go on as
they came wherever nothing of it needs mending. A complete answer is one with the evidence that
the backend is known to give; whatever else happened is a fault.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from trueup.backends.base import Capabilities
from trueup.errors import TrueUpError
from trueup.gateway.choice import keep_logprobs
from trueup.gateway.choice_reading import ChoiceReading
from trueup.gateway.chunk import (
    MALFORMED,
    count_tokens,
    event_of,
    is_of,
    join_halves,
    malformed,
    repaired_events,
)
from trueup.gateway.delivery import PRIVATE_KEY, Delivery
from trueup.gateway.odd_json import PairJoiner, whole_text
from trueup.gateway.refusal import ODD, stated_error, unreadable
from trueup.gateway.sse import KEEP_ALIVES, EventSplitter
from trueup.gateway.whole import error_in, incomplete
from trueup.protocol.errors import code_of


class StreamReading:
    """Reads one stream; `is_over` says that nothing more of it is wanted.

    `fault` is what went wrong: pieces that came before it were still taken. `is_cut`: the answer
    was ended here and the backend is to be left. `events` counts those that brought something:
    they are progress, also where nothing is written yet. `stop` are strings at which the answer
    is cut, `after` is the text that it goes on from. `is_lenient` takes what is no UTF-8, with
    U+FFFD for it.

    Foreign servers' finish chunks are held until the stream is at its end: some go on after one.
    """

    def __init__(
        self,
        delivery: Delivery,
        capabilities: Capabilities,
        *,
        stop: Sequence[str] = (),
        is_lenient: bool = False,
        after: str = "",
    ) -> None:
        self.is_over = False
        self.is_cut = False
        self.fault: TrueUpError | None = None
        self.events = 0
        self._may_be_complete = False
        self._delivery = delivery
        delivery.begin()
        # Only our own workers tell of tokens; what others say under this name is theirs.
        self._is_ours = capabilities.continuation == "token_ids"
        self._end_of_answer = capabilities.end_of_answer
        self._is_lenient = is_lenient
        self._splitter = EventSplitter()
        self._is_cut_here = bool(stop)
        self._pairs: dict[tuple[int, str], PairJoiner] = {}
        self._choices = [
            ChoiceReading(
                delivery, index, stop=stop, holds=not self._is_ours and not stop, after=after
            )
            for index in range(len(delivery.choices))
        ]
        self._key = "delta" if delivery.is_chat else "text"
        # The first try gives the answer its head; later ones are told under it.
        self._id: Any = None

    @property
    def is_complete(self) -> bool:
        """Every choice has come to its end, whether its finish was written yet or not."""
        return self._may_be_complete and all(choice.is_ended for choice in self._choices)

    def take(self, piece: bytes) -> bytes:
        """The client's bytes for what the backend sent: whole events, perhaps none."""
        out: list[bytes] = []
        try:
            for data in self._splitter.feed(piece):
                if data == b"[DONE]":
                    out.append(self._ended(is_orderly=True))
                    break
                if written := self._event(data):
                    out.append(written)
        except TrueUpError as error:
            out.append(self.fail(error))
        except ODD as error:
            out.append(self.fail(unreadable(error)))
        return out[0] if len(out) == 1 else b"".join(out)

    def end(self, *, is_framed: bool = True) -> bytes:
        """The backend's body has come to its end; one with a frame is known to be whole."""
        out: list[bytes] = []
        if not self.is_over:
            try:
                out.append(self._rest())
                out.append(self._ended(is_orderly=is_framed and self._end_of_answer == "end"))
            except TrueUpError as error:
                out.append(self.fail(error))
            except ODD as error:
                out.append(self.fail(unreadable(error)))
        return b"".join(out)

    def _rest(self) -> bytes:
        """What the last event says, that no empty line closed; the evidence decides over half."""
        try:
            if (rest := self._splitter.rest()) and rest != b"[DONE]":
                return self._event(rest)
        except ODD:
            pass
        except TrueUpError as error:
            if code_of(error) != MALFORMED:  # the backend stated it
                raise
        return b""

    def fail(self, error: TrueUpError) -> bytes:
        """Something broke; an answer that was complete by then stays complete."""
        self.is_over = True
        if self.is_complete:
            try:
                return self._release()
            except TrueUpError as malformed:
                error = malformed
        if self.fault is None and not self._delivery.is_complete:
            self.fault = error
        return b""

    def _ended(self, *, is_orderly: bool) -> bytes:
        self.is_over = True
        if not self.is_complete:
            if not is_orderly or self._end_of_answer == "finish_reason" or not self.events:
                raise incomplete(
                    f"ended its stream without a finish reason after {self._delivery.chunks} chunks"
                    if self.events
                    else "ended its stream without an answer",
                    "stream_incomplete",
                )
            # This backend gives no reasons: its end is the evidence.
            for choice in self._choices:
                choice.end("stop")
        return self._release()

    def _release(self) -> bytes:
        """The finish chunks that were held."""
        return b"".join(choice.release() for choice in self._choices)

    def _event(self, data: bytes) -> bytes:
        try:
            chunk = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            return self._odd_event(data, error)
        if chunk.__class__ is not dict:
            raise malformed(f"an event that is a {type(chunk).__name__}, not an object")
        return self._chunk(chunk, data)

    def _chunk(self, chunk: dict[str, Any], data: bytes | None) -> bytes:
        """The client's bytes for a chunk; `data` is what may go as it came, None for nothing."""
        choices = chunk.get("choices")
        if not choices:
            return self._without_choices(chunk)
        if choices.__class__ is not list:
            raise malformed("a chunk whose `choices` is no list")
        if chunk.get("error"):  # beside a last choice: the answer was broken off
            raise stated_error(chunk["error"], status=502)
        delivery = self._delivery
        is_known = chunk.get("id") == self._id is not None and is_of(chunk, delivery.head)
        if is_known and data is not None and not self._is_cut_here and len(choices) == 1:
            written = self._plain(chunk, choices[0], data)
            if written is not None:
                return written
        delivery.take_head(chunk)
        if self._id is None and chunk.get("id") == delivery.head["id"]:
            # The first chunk of a continuation is told of: it does not go the short way.
            self._id = None if delivery.is_resuming else chunk["id"]
        return self._mended(chunk, choices, data)

    def _plain(self, chunk: dict[str, Any], choice: Any, data: bytes) -> bytes | None:
        """The short way of most chunks: a text for an open choice, and nothing else."""
        if choice.__class__ is not dict or choice.get("finish_reason") is not None:
            return None
        if "error" in choice:
            return None
        said = choice.get(self._key)
        if self._key == "delta":
            if said.__class__ is not dict or len(said) != 1:
                return None
            said = said.get("content")
        index = choice.get("index")
        if said.__class__ is not str or not said or index.__class__ is not int:
            return None
        choices = self._delivery.choices
        if not 0 <= index < len(choices) or chunk.get("usage") is not None:
            return None
        state = choices[index]
        reading = self._choices[index]
        if reading.is_ended or not reading.is_plain:
            return None
        if not (state.has_role or self._key == "text"):
            return None
        if choice.get("logprobs") is not None:
            keep_logprobs(state, choice["logprobs"])
        state.text.append(said)
        self._delivery.chunks += 1
        self.events += 1
        self._may_be_complete = False  # this choice is open
        private = chunk.pop(PRIVATE_KEY, None) if self._is_ours else None
        if private is None:
            state.tokens += 1
            return b"data: %b\n\n" % data if b"\n" not in data else event_of(chunk)
        count_tokens(state, private)
        return event_of(chunk)

    def _mended(self, chunk: dict[str, Any], choices: list[Any], data: bytes | None) -> bytes:
        """Read every choice of a chunk; write what the client is to have of it."""
        self._may_be_complete = True
        delivery, head = self._delivery, self._delivery.head
        private = chunk.pop(PRIVATE_KEY, None) if self._is_ours else None
        if private:
            delivery.hint, private = private.pop("hint", delivery.hint), private or None
        usage = chunk.get("usage")
        if isinstance(usage, dict):
            delivery.usage = usage
        before, roles = delivery.chunks, []
        out = []
        is_same = (
            private is None
            and usage is None
            and data is not None
            and b"\n" not in data
            and chunk.get("id") == head["id"]
            and is_of(chunk, head)
        )
        for place, choice in enumerate(choices):
            if not isinstance(choice, dict):
                raise malformed("a choice that is no object")
            index = choice.get("index")
            if index.__class__ is not int:
                # With fewer in a chunk than are to come nobody knows which one it is.
                if len(delivery.choices) > 1 and (index is not None or len(choices) == 1):
                    raise malformed(f"a choice whose index is `{index}`")
                index, is_same = place, False
            if index < 0:
                raise malformed(f"a choice whose index is `{index}`")
            if index >= len(delivery.choices):  # more of them than were asked for
                is_same = False
                continue
            state = delivery.choices[index]
            if state.finish_reason:  # of an earlier try, or one that was cut here
                is_same = False
                continue
            if private is not None:
                count_tokens(state, private)
            event = b"data: %b\n\n" % data if is_same and len(choices) == 1 and data else None
            reading, role = self._choices[index], state.role_event
            written, same = reading.read(choice, event)
            if role and state.has_role:  # it was held until now
                roles.append(role)
            if private is None and written:
                state.tokens += 1
            self.events += reading.has_moved
            is_same = is_same and same
            out.append(written)
        if self._is_cut_here and delivery.is_complete:
            # Where one was cut the backend would go on; else its count and its end are to come.
            self.is_over = self.is_cut = any(choice.is_cut for choice in self._choices)
        if is_same and data is not None:
            delivery.chunks = before + 1 + len(roles)
            return b"%bdata: %b\n\n" % (b"".join(roles), data)
        return b"".join(out)

    def _without_choices(self, chunk: Mapping[str, Any]) -> bytes:
        usage = chunk.get("usage")
        if isinstance(usage, dict):
            self._delivery.usage = usage
        elif (stated := error_in(chunk)) is not None:
            raise stated_error(stated, status=502)
        return b""

    def _odd_event(self, data: bytes, error: Exception) -> bytes:
        """An event that is no JSON: several lines that are, what only Python reads, or damage."""
        if not (words := data.strip().lower()) or words in KEEP_ALIVES:
            return b""
        repaired = repaired_events(data, is_lenient=self._is_lenient)
        if repaired is None:
            raise malformed(f"an event that is no JSON ({error})") from error
        for chunk in repaired:
            join_halves(chunk, self._pairs)
        return b"".join(self._chunk(whole_text(chunk), None) for chunk in repaired)
