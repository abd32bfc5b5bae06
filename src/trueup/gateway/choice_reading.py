"""One choice of a stream: its deltas, its tool calls until they are whole, and its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from trueup.gateway.choice import has_logprobs, joined_logprobs, keep_extra, keep_logprobs
from trueup.gateway.chunk import delta_of, malformed
from trueup.gateway.delivery import Delivery
from trueup.gateway.finish import finish_reason
from trueup.gateway.refusal import stated_error
from trueup.gateway.restart import RestartGuard
from trueup.gateway.stop import StopCut
from trueup.gateway.toolcalls import CallFragments, finish_reason_of, finished_calls
from trueup.gateway.whole import REASONING_KEYS

READ_KEYS = frozenset({"role", "content", "tool_calls", *REASONING_KEYS})


class ChoiceReading:
    """Reads one choice into the delivery.

    `holds`: its finish is held until `release`, since some servers go on after one: words after
    an end count where another end follows them. `stop` are strings at which it is cut, `after`
    is what it continues. `has_moved` says whether the last chunk brought anything.
    """

    def __init__(
        self,
        delivery: Delivery,
        index: int,
        *,
        stop: Sequence[str] = (),
        holds: bool = False,
        after: str = "",
    ) -> None:
        self.has_moved = False
        self._delivery = delivery
        self._index = index
        self._state = delivery.choices[index]
        self._holds = holds
        self._cut = StopCut(stop) if stop else None
        self._calls = CallFragments()
        self._reason: str | None = None
        self._event: bytes | None = None
        self._late: list[Mapping[str, Any]] = []
        self._logprobs: Any = None  # of what is held back
        self._guard = RestartGuard(after) if after else None

    @property
    def is_plain(self) -> bool:
        """Whether its texts go as they come."""
        return self._cut is None and (self._guard is None or self._guard.is_done)

    @property
    def is_ended(self) -> bool:
        """Whether it has come to its end, written or held."""
        return self._reason is not None or self._state.finish_reason is not None

    @property
    def is_cut(self) -> bool:
        """Whether one of its stop strings ended it."""
        return self._cut is not None and self._cut.is_stopped

    def end(self, reason: str) -> None:
        """Take it as ended, where it is not."""
        if not self.is_ended:
            self._reason = reason

    def release(self) -> bytes:
        """Its last chunks, where they were held.

        Raises:
            BackendError: its tool calls are no calls.
        """
        if self._reason is None:
            return b""
        reason, event = self._reason, self._event
        if reason == "tool_calls" and not self._calls and not self._state.calls:
            raise malformed("an end with tool calls, and no tool call")
        self._reason = self._event = None
        if event is None or self._calls or self._delivery.is_mended:
            return self._finished(reason)
        role = self._delivery.role(self._index)
        keep_logprobs(self._state, self._logprobs)
        self._logprobs = None
        self._state.finish_reason = reason
        self._delivery.chunks += 1
        return role + event

    def read(self, choice: Mapping[str, Any], event: bytes | None) -> tuple[bytes, bool]:
        """Its chunks for what a chunk says, and whether the chunk can go as it came.

        `event` is the chunk as it came, where it may still go so.

        Raises:
            BackendError: the choice says that it failed, or is in no known shape.
        """
        if not self.is_ended:
            return self._read(choice, event)
        # Words after an end, perhaps: they are told once another end has come after them.
        self._late.append(choice)
        if finish_reason(choice.get("finish_reason")) is None:
            self.has_moved = False
            return b"", False
        late, self._late = self._late, []
        if not any(_brings(each, is_chat=self._delivery.is_chat) for each in late):
            self.has_moved = False
            return b"", False
        self._reason = self._event = None
        return b"".join(self._read(each, None)[0] for each in late), False

    def _read(self, choice: Mapping[str, Any], event: bytes | None) -> tuple[bytes, bool]:
        delivery, state, index = self._delivery, self._state, self._index
        if choice.get("error"):
            raise stated_error(choice["error"], status=502)
        delta, is_same = delta_of(choice, is_chat=delivery.is_chat)
        content, reason = delta.get("content"), finish_reason(choice.get("finish_reason"))
        is_same = is_same and reason == choice.get("finish_reason")
        if content is not None and not isinstance(content, str):
            raise malformed("a content that is no text")
        logprobs = choice.get("logprobs")
        has_scores = logprobs is not None and has_logprobs(logprobs)
        if delivery.is_chat:
            has_role = state.has_role or bool(state.role_event)
            is_same = is_same and ("role" in delta) != has_role
            is_same = is_same and delta.get("role", "assistant") == "assistant"
        out: list[bytes] = []
        said = {key: said for key in REASONING_KEYS if isinstance(said := delta.get(key), str)}
        if thoughts := dict.fromkeys(filter(None, said.values())):  # some say it under each name
            state.reasoning.extend(thoughts)
            state.reasoning_keys = tuple(said)
            out.append(delivery.piece(index, said))
        calls = delta.get("tool_calls")
        if calls:
            self._calls.add(calls if isinstance(calls, list) else [calls])
        if self._guard is not None:
            content = self._guard.push(content or "", is_last=reason is not None)
            is_same = False
        if self._cut is not None:
            content = self._cut.push(content or "")
            reason = "stop" if self._cut.is_stopped else reason
        extra = {k: v for k, v in delta.items() if k not in READ_KEYS and v not in (None, [])}
        if extra:
            keep_extra(state, extra, is_beside=bool(content or thoughts or calls))
        if extra and not content and any(isinstance(each, str) for each in extra.values()):
            state.has_other = True
        self.has_moved = bool(content or calls or extra or out or reason or has_scores)
        if self._logprobs is not None:
            logprobs, self._logprobs = joined_logprobs(self._logprobs, logprobs), None
            has_scores = True
        # A token may have no text: the half of a character, or one that no text shows.
        if content or extra or (has_scores and not reason and not self._is_held_back):
            out.append(delivery.piece(index, {"content": content or "", **extra}, logprobs))
        elif has_scores:
            self._logprobs = logprobs
        elif "role" in delta and not (out or calls or reason):
            delivery.hold_role(index, event if is_same else None)
        is_same = is_same and not calls and self._cut is None
        if reason is not None:
            is_same = is_same and not self._calls
            if self._holds:
                self._reason, self._event = reason, event if is_same and not out else None
                return b"".join(out), False
            is_same = is_same and not delivery.is_mended
            out.append(self._finished(reason))
        return b"".join(out), is_same and bool(out)

    @property
    def _is_held_back(self) -> bool:
        """Whether something of it waits to be whole or certain."""
        is_guarded = self._guard is not None and not self._guard.is_done
        return bool(self._calls) or self._cut is not None or is_guarded

    def _finished(self, reason: str) -> bytes:
        """What was held back, and its finish."""
        delivery, index, out = self._delivery, self._index, b""
        logprobs, self._logprobs = self._logprobs, None
        if self._cut is not None and self._cut.is_stopped:
            logprobs = None  # of what is not told
        if self._cut is not None and (held := self._cut.finish()):
            out, logprobs = delivery.piece(index, {"content": held}, logprobs), None
        if self._calls:
            calls = finished_calls(self._calls.shapes(), is_cut=reason == "length")
            out += delivery.calls(index, calls)
            reason = finish_reason_of(reason, calls)
        return out + delivery.finish(index, reason, logprobs=logprobs)


def _brings(choice: Mapping[str, Any], *, is_chat: bool) -> bool:
    """Whether a choice of a chunk has words or calls."""
    delta, _ = delta_of(choice, is_chat=is_chat)
    return any(delta.get(key) for key in ("content", "tool_calls", *REASONING_KEYS))
