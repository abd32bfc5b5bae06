"""What a client has of its answer so far, and how the next pieces of it are written.

One `Delivery` lives as long as the request: tries at backends come and go, what was delivered
stays. It builds bytes and keeps account; it moves nothing and decides nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from trueup.gateway.choice import Choice, has_logprobs, keep_logprobs, logprobs_after
from trueup.gateway.json_text import written
from trueup.gateway.whole import Whole, WholeChoice, count_of, is_counted, usage_of
from trueup.protocol.answer import chat_id, completion_id

# Of a text whose tokens nobody counted: what tokenizers of the field come to, roughly.
BYTES_PER_TOKEN = 4
PRIVATE_KEY = "trueup"

# How an answer goes on that broke off.
How = Literal["token_ids", "prefix", "asked_again"]


class Delivery:
    """One answer of `choices` choices on its way to the client.

    `wants_usage`: the client asked for a usage chunk. `chunks` counts events that were written.
    `usage` is what the backend counted, `hint` what it says of the answer. `continuations` and
    `is_exact` tell of repairs, `changes` of what is otherwise than the response's headers said.
    """

    def __init__(
        self, *, choices: int, is_chat: bool, wants_usage: bool = False, prompt_bytes: int = 0
    ) -> None:
        self.choices = [Choice() for _ in range(choices)]
        self.is_chat = is_chat
        self.wants_usage = wants_usage
        self.head: dict[str, Any] = {}
        self.chunks = 0
        self.usage: Mapping[str, Any] | None = None
        self.is_usage_estimated = False
        self.hint: str | None = None
        self.continuations = 0
        self.is_exact = True
        self.changes: Callable[[], Mapping[str, Any]] = dict
        self._prompt_bytes = prompt_bytes
        # A continuation that brought nothing yet.
        self._resuming: How | None = None
        self._is_resuming_exact = True
        # Tokens from before the backend that counts came in, and those of them that it counts
        # as its prompt.
        self._uncounted_tokens = self._prompted_tokens = 0

    def begin(self) -> None:
        """Another try is to write: of one that wrote nothing nothing is left."""
        if not self.chunks:
            self.choices = [Choice() for _ in self.choices]
            self.head, self.usage = {}, None

    @property
    def is_complete(self) -> bool:
        """Every choice has had its finish chunk."""
        return all(choice.finish_reason for choice in self.choices)

    @property
    def has_content(self) -> bool:
        """Whether the client has anything that a new answer would have to begin with."""
        return any(choice.has_content for choice in self.choices)

    @property
    def tokens(self) -> int:
        """Tokens delivered so far, counted by chunks where nobody counts better."""
        return sum(choice.tokens for choice in self.choices)

    def take_head(self, chunk: Mapping[str, Any]) -> None:
        """Have the id, the time and the model of the first chunk for the whole answer."""
        if self.head:
            return
        given_id, created, model = chunk.get("id"), chunk.get("created"), chunk.get("model")
        new_id = chat_id if self.is_chat else completion_id
        self.head = {
            "id": given_id if isinstance(given_id, str) and given_id else new_id(),
            "object": "chat.completion.chunk" if self.is_chat else "text_completion",
            "created": created if created.__class__ is int else int(time.time()),
            "model": model if isinstance(model, str) else "",
        }
        if isinstance(fingerprint := chunk.get("system_fingerprint"), str):
            self.head["system_fingerprint"] = fingerprint

    def event(self, choice: Mapping[str, Any], private: Mapping[str, Any] | None = None) -> bytes:
        """A chunk with one choice."""
        self._resumed()
        shape: dict[str, Any] = {**self.head, "choices": [choice]}
        if private:
            shape[PRIVATE_KEY] = private
        self.chunks += 1
        return b"data: %b\n\n" % written(shape)

    def piece(self, index: int, delta: Mapping[str, Any], logprobs: Any = None) -> bytes:
        """A chunk that adds `delta` to a choice; its role goes before the first one."""
        state = self.choices[index]
        content = delta.get("content")
        before = b""
        if self.is_chat:
            if not state.has_role:
                before = self.role(index)
                delta = delta if before else {"role": "assistant", **delta}
                state.has_role = True
            shape = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": None}
        else:
            shape = {"index": index, "text": content or "", "logprobs": logprobs,
                     "finish_reason": None}  # fmt: skip
        if content:
            state.text.append(content)
        if logprobs is not None:
            keep_logprobs(state, logprobs)
        return before + self.event(shape)

    def hold_role(self, index: int, event: bytes | None) -> None:
        """Keep a choice's role chunk, as it came where it may go so, until the answer begins."""
        state = self.choices[index]
        if state.role_event or state.has_role:
            return
        if event is None:
            delta = {"role": "assistant", "content": ""}
            choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": None}
            event = b"data: %b\n\n" % written({**self.head, "choices": [choice]})
        state.role_event = event

    def role(self, index: int) -> bytes:
        """The role chunk that was held, b"" where there is none."""
        state = self.choices[index]
        if not state.role_event:
            return b""
        event, state.role_event, state.has_role = state.role_event, b"", True
        self.chunks += 1
        return event

    def calls(self, index: int, calls: Sequence[Mapping[str, Any]]) -> bytes:
        """The chunks of complete tool calls."""
        state = self.choices[index]
        out = []
        for call in calls:
            out.append(self.piece(index, {"tool_calls": [{"index": len(state.calls), **call}]}))
            state.calls.append(call)
        return b"".join(out)

    def finish(self, index: int, reason: str, *, logprobs: Any = None) -> bytes:
        """The finish chunk of a choice; tells of repairs where there were any."""
        self._resumed()
        state = self.choices[index]
        out = self.role(index)
        if self.is_chat and not state.has_role:
            out = self.piece(index, {"content": ""})
        state.finish_reason = reason
        keep_logprobs(state, logprobs)
        ending: dict[str, Any] = {"delta": {}} if self.is_chat else {"text": ""}
        choice = {"index": index, **ending, "logprobs": logprobs, "finish_reason": reason}
        return out + self.event(choice, self.repairs())

    @property
    def is_mended(self) -> bool:
        """Whether its last chunk has something to tell."""
        return self.is_resuming or bool(self.repairs())

    def repairs(self) -> dict[str, Any]:
        """What the client is told in a finish chunk of how its answer came about."""
        told = dict(self.changes())
        if self.continuations:
            told |= {"continuations": self.continuations, "exact": self.is_exact}
        if self.hint is not None:
            told["hint"] = self.hint
        return told

    def rest(self, whole: Whole) -> bytes:
        """The chunks of what the client does not have yet of a whole answer (see `differs`)."""
        self.begin()
        self.take_head(whole.head)
        out = []
        for index, (state, choice) in enumerate(zip(self.choices, whole.choices, strict=True)):
            if state.finish_reason:
                continue
            reasoning = choice.reasoning[len("".join(state.reasoning)) :]
            if reasoning:
                state.reasoning.append(reasoning)
                said = dict.fromkeys(choice.reasoning_keys, reasoning)
                out.append(self.piece(index, said))
            text = choice.text[len("".join(state.text)) :]
            logprobs = logprobs_after(choice.logprobs, state.logprobs)
            if text or has_logprobs(logprobs) or not state.has_role:
                out.append(self.piece(index, {"content": text}, logprobs))
            if choice.extra:
                out.append(self.piece(index, choice.extra))
            if calls := choice.calls[len(state.calls) :]:
                out.append(self.calls(index, calls))
            state.tokens = max(state.tokens, _token_estimate(choice.text))
            out.append(self.finish(index, choice.finish_reason))
        self.usage, self.is_usage_estimated = whole.usage, whole.is_estimated
        return b"".join(out)

    def differs(self, whole: Whole) -> bool:
        """Whether a whole answer does not begin with what the client has."""
        pairs = zip(self.choices, whole.choices, strict=True)
        return any(not state.finish_reason and _differs(state, choice) for state, choice in pairs)

    def usage_event(self) -> bytes:
        """The usage chunk, b"" where it was not asked for; estimated where nobody counted."""
        if not self.wants_usage:
            return b""
        shape: dict[str, Any] = {**self.head, "choices": [], "usage": self.counted()}
        if self.is_usage_estimated:
            shape[PRIVATE_KEY] = {"usage": "estimated"}
        return b"data: %b\n\n" % written(shape)

    def counted(self) -> dict[str, Any]:
        """The token counts of the whole answer."""
        if self.usage is None or not is_counted(self.usage):
            self.is_usage_estimated = True
            stated = count_of(self.usage, "prompt_tokens")
            return usage_of(stated or self._prompt_bytes // BYTES_PER_TOKEN, self.tokens)
        usage = dict(self.usage)
        if extra := self._uncounted_tokens:
            for name in ("completion_tokens", "total_tokens"):
                usage[name] = count_of(usage, name) + extra
            if prompted := min(self._prompted_tokens, count_of(usage, "prompt_tokens")):
                usage["prompt_tokens"] -= prompted
                usage["total_tokens"] -= prompted
            self.is_usage_estimated |= self._prompted_tokens > 0
        return usage

    def stated(self) -> dict[str, Any]:
        """The same where a backend counted; nothing where none did."""
        return self.counted() if is_counted(self.usage) else {}

    def resume(self, how: How, *, is_exact: bool) -> None:
        """Another answer is to go on from here; that counts once something of it is written."""
        self._resuming, self._is_resuming_exact = how, is_exact
        self.usage = None

    def give_up(self) -> None:
        """Nothing more of an answer comes."""
        self._resuming = None

    @property
    def is_resuming(self) -> bool:
        """Whether nothing was written yet of an answer that is to go on."""
        return self._resuming is not None

    def _resumed(self) -> None:
        how, self._resuming = self._resuming, None
        if how is None:
            return
        self.continuations += 1
        self.is_exact &= self._is_resuming_exact
        self._uncounted_tokens = self._prompted_tokens = 0
        if how == "prefix":
            self._uncounted_tokens = self._prompted_tokens = self.tokens
        elif how == "token_ids":
            self._uncounted_tokens = sum(c.tokens for c in self.choices if c.finish_reason)

    def whole(self) -> Whole:
        """All that was delivered, as a whole answer."""
        usage = self.counted()
        return Whole(
            head=self.head,
            choices=[
                WholeChoice(
                    text="".join(state.text),
                    finish_reason=state.finish_reason or "stop",
                    reasoning="".join(state.reasoning),
                    reasoning_keys=state.reasoning_keys,
                    calls=list(state.calls),
                    logprobs=state.logprobs or None,
                    extra=state.extra,
                )
                for state in self.choices
            ],
            usage=usage,
            is_estimated=self.is_usage_estimated,
        )


def _differs(state: Choice, choice: WholeChoice) -> bool:
    text, reasoning = "".join(state.text), "".join(state.reasoning)
    if not choice.text.startswith(text) or not choice.reasoning.startswith(reasoning):
        return True
    # Reasoning comes first: once the text has begun there can be no more of it.
    if text and choice.reasoning != reasoning:
        return True
    return list(choice.calls[: len(state.calls)]) != state.calls or state.is_hidden


def _token_estimate(text: str) -> int:
    return -(-len(text.encode()) // BYTES_PER_TOKEN)
