"""The stream contract on its way in: what a backend's events say, and what the client gets.

One `StreamReading` reads one try at a backend into a `Delivery`. The bytes of an event go on as
they came wherever nothing of it needs mending. A complete answer is one with the evidence that
the backend is known to give; whatever else happened is a fault.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from trueup.backends.base import Capabilities
from trueup.errors import BackendError, TrueUpError
from trueup.gateway.chunk import (
    contents_of,
    count_tokens,
    delta_of,
    event_of,
    keep_logprobs,
    repaired_events,
)
from trueup.gateway.delivery import PRIVATE_KEY, Choice, Delivery
from trueup.gateway.odd_json import PairJoiner, whole_text
from trueup.gateway.refusal import stated_error
from trueup.gateway.sse import EventSplitter
from trueup.gateway.stop import StopCut
from trueup.gateway.toolcalls import CallFragments, finish_reason_of, finished_calls
from trueup.gateway.whole import FAILED_REASONS, REASONING_KEYS, error_in, incomplete

READ_DELTA_KEYS = frozenset({"role", "content", "tool_calls", *REASONING_KEYS})


class StreamReading:
    """Reads one stream; `is_over` says that nothing more of it is wanted.

    `fault` is what went wrong: pieces that came before it were still taken. `is_cut`: the answer
    was ended here and the backend is to be left. `events` counts those that brought something:
    they are progress, also where nothing is written yet. `stop` are strings at which the answer
    is cut. `is_lenient` takes what is no UTF-8, with U+FFFD for it.

    Foreign servers' finish chunks are held until the stream is at its end: some go on after one.
    """

    def __init__(
        self,
        delivery: Delivery,
        capabilities: Capabilities,
        *,
        stop: Sequence[str] = (),
        is_lenient: bool = False,
    ) -> None:
        self.is_over = False
        self.is_cut = False
        self.fault: TrueUpError | None = None
        self.events = 0
        self._delivery = delivery
        # Only our own workers tell of tokens; what others say under this name is theirs.
        self._is_ours = capabilities.continuation == "token_ids"
        self._end_of_answer = capabilities.end_of_answer
        self._is_lenient = is_lenient
        self._splitter = EventSplitter()
        self._cuts = [StopCut(stop) for _ in delivery.choices] if stop else None
        self._calls = [CallFragments() for _ in delivery.choices]
        self._pairs = [PairJoiner() for _ in delivery.choices]
        self._reasons: dict[int, tuple[str, bytes | None]] = {}
        self._key = "delta" if delivery.is_chat else "text"
        # The first try gives the answer its head; later ones are told under it.
        self._id: Any = None

    @property
    def is_complete(self) -> bool:
        """Every choice has come to its end, whether its finish was written yet or not."""
        return all(
            choice.finish_reason or index in self._reasons
            for index, choice in enumerate(self._delivery.choices)
        )

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
        return out[0] if len(out) == 1 else b"".join(out)

    def end(self) -> bytes:
        """The backend's body has come to its orderly end."""
        out: list[bytes] = []
        if not self.is_over:
            with contextlib.suppress(TrueUpError):  # half an event: the evidence decides
                if (rest := self._splitter.rest()) and rest != b"[DONE]":
                    out.append(self._event(rest))
            try:
                out.append(self._ended(is_orderly=self._end_of_answer == "end"))
            except TrueUpError as error:
                out.append(self.fail(error))
        return b"".join(out)

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
            for index, state in enumerate(self._delivery.choices):
                if not state.finish_reason:
                    self._reasons.setdefault(index, ("stop", None))
        return self._release()

    def _release(self) -> bytes:
        """The finish chunks that were held."""
        out = []
        for index, (reason, event) in self._reasons.items():
            state = self._delivery.choices[index]
            if event is not None and not self._calls[index] and not self._delivery.continuations:
                state.finish_reason = reason
                self._delivery.chunks += 1
                out.append(event)
            else:
                out.append(self._finished(index, reason))
        self._reasons.clear()
        return b"".join(out)

    def _event(self, data: bytes) -> bytes:
        try:
            chunk = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            return self._odd_event(data, error)
        if chunk.__class__ is not dict:
            raise _malformed(f"an event that is a {type(chunk).__name__}, not an object")
        return self._chunk(chunk, data)

    def _chunk(self, chunk: dict[str, Any], data: bytes | None) -> bytes:
        """The client's bytes for a chunk; `data` is what may go as it came, None for nothing."""
        choices = chunk.get("choices")
        if not choices:
            return self._without_choices(chunk)
        if choices.__class__ is not list:
            raise _malformed("a chunk whose `choices` is no list")
        if chunk.get("error"):  # beside a last choice: the answer was broken off
            raise stated_error(chunk["error"], status=502)
        delivery = self._delivery
        is_known = chunk.get("id") == self._id is not None
        if is_known and data is not None and self._cuts is None and len(choices) == 1:
            written = self._plain(chunk, choices[0], data)
            if written is not None:
                return written
        delivery.take_head(chunk)
        if self._id is None and chunk.get("id") == delivery.head["id"]:
            self._id = chunk["id"]
        return self._mended(chunk, choices, data)

    def _plain(self, chunk: dict[str, Any], choice: Any, data: bytes) -> bytes | None:
        """The short way of most chunks: a text for an open choice, and nothing else."""
        if choice.__class__ is not dict or choice.get("finish_reason") is not None:
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
        if state.finish_reason or index in self._reasons:
            return None
        if not (state.has_role or self._key == "text"):
            return None
        if choice.get("logprobs") is not None:
            keep_logprobs(state, choice["logprobs"])
        state.text.append(said)
        self._delivery.chunks += 1
        self.events += 1
        private = chunk.pop(PRIVATE_KEY, None) if self._is_ours else None
        if private is None:
            state.tokens += 1
            return b"data: %b\n\n" % data if b"\n" not in data else event_of(chunk)
        count_tokens(state, private)
        return event_of(chunk)

    def _mended(self, chunk: dict[str, Any], choices: list[Any], data: bytes | None) -> bytes:
        """Read every choice of a chunk; write what the client is to have of it."""
        delivery = self._delivery
        private = chunk.pop(PRIVATE_KEY, None) if self._is_ours else None
        usage = chunk.get("usage")
        if isinstance(usage, dict):
            delivery.usage = usage
        before = delivery.chunks
        out = []
        is_same = (
            private is None
            and usage is None
            and data is not None
            and b"\n" not in data
            and chunk.get("id") == delivery.head["id"]
        )
        for place, choice in enumerate(choices):
            if not isinstance(choice, dict):
                raise _malformed("a choice that is no object")
            index = choice.get("index")
            if index is None:
                index, is_same = place, False
            if not isinstance(index, int) or not 0 <= index < len(delivery.choices):
                is_same = False
                continue
            state = delivery.choices[index]
            if state.finish_reason:  # a second one, or words after the end
                is_same = False
                continue
            if private is not None:
                count_tokens(state, private)
            event = b"data: %b\n\n" % data if is_same and len(choices) == 1 and data else None
            written, same = self._choice(index, state, choice, event)
            if private is None and written:
                state.tokens += 1
            is_same = is_same and same
            out.append(written)
        if is_same and data is not None:
            delivery.chunks = before + 1
            return b"data: %b\n\n" % data
        return b"".join(out)

    def _choice(
        self, index: int, state: Choice, choice: Mapping[str, Any], event: bytes | None
    ) -> tuple[bytes, bool]:
        """The chunks of one choice of a chunk, and whether the chunk can go as it came.

        `event` is the chunk as it came, where it may still go so.
        """
        delivery = self._delivery
        delta, is_same = delta_of(choice, is_chat=delivery.is_chat)
        content, reason = delta.get("content"), choice.get("finish_reason")
        if reason in FAILED_REASONS:
            raise incomplete(f"ended with finish reason `{reason}`", "stream_incomplete")
        if content is not None and not isinstance(content, str):
            raise _malformed("a content that is no text")
        logprobs = choice.get("logprobs")
        if logprobs is not None:
            keep_logprobs(state, logprobs)
        is_same = is_same and reason != "" and (not reason or not delivery.continuations)
        if delivery.is_chat:
            is_same = is_same and ("role" in delta) != state.has_role
            is_same = is_same and delta.get("role", "assistant") == "assistant"
        out: list[bytes] = []
        reasoned = False
        for key in REASONING_KEYS:
            if isinstance(said := delta.get(key), str) and said:
                reasoned = True
                state.reasoning.append(said)
                out.append(delivery.piece(index, {key: said}))
        if calls := delta.get("tool_calls"):
            is_same = False
            self._calls[index].add(calls if isinstance(calls, list) else [calls])
        if self._cuts is not None:
            content, is_same = self._cuts[index].push(content or ""), False
            if self._cuts[index].is_stopped:
                reason = "stop"
        extra = {k: v for k, v in delta.items() if k not in READ_DELTA_KEYS and v not in (None, [])}
        state.extra.update(extra)
        if content or extra or ("role" in delta and not state.has_role):
            out.append(delivery.piece(index, {"content": content or "", **extra}, logprobs))
        if content or calls or extra or reasoned:
            self.events += 1
            self._reasons.pop(index, None)  # it went on after its end
        if reason:
            self.events += 1
            is_same = is_same and isinstance(reason, str) and not self._calls[index]
            if self._is_ours or self._cuts is not None:
                out.append(self._finished(index, str(reason)))
            else:  # the first of several is the true one
                held = event if is_same and not out else None
                self._reasons.setdefault(index, (str(reason), held))
                is_same = False
        return b"".join(out), is_same and bool(out)

    def _finished(self, index: int, reason: str) -> bytes:
        """The last chunks of a choice: what was held back, and its finish."""
        delivery, out = self._delivery, b""
        if self._cuts is not None and (held := self._cuts[index].finish()):
            out = delivery.piece(index, {"content": held})
        if fragments := self._calls[index]:
            calls = finished_calls(fragments.shapes(), is_cut=reason == "length")
            out += delivery.calls(index, calls)
            reason = finish_reason_of(reason, calls)
        out += delivery.finish(index, reason)
        if self._cuts is not None and delivery.is_complete:
            self.is_over = self.is_cut = True  # the backend would go on
        return out

    def _without_choices(self, chunk: Mapping[str, Any]) -> bytes:
        usage = chunk.get("usage")
        if isinstance(usage, dict):
            self._delivery.usage = usage
        elif (stated := error_in(chunk)) is not None:
            raise stated_error(stated, status=502)
        return b""

    def _odd_event(self, data: bytes, error: Exception) -> bytes:
        """An event that is no JSON: several lines that are, what only Python reads, or damage."""
        repaired = repaired_events(data, is_lenient=self._is_lenient)
        if repaired is None:
            raise _malformed(f"an event that is no JSON ({error})") from error
        for chunk in repaired:
            for index, delta in contents_of(chunk):
                if index < len(self._pairs):
                    delta["content"] = self._pairs[index].push(delta["content"])
        return b"".join(self._chunk(whole_text(chunk), None) for chunk in repaired)


def _malformed(what: str) -> BackendError:
    return BackendError(f"the backend sent {what}", retryable=True, code="stream_malformed")
