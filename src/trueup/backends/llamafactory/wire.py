"""From what the far worker says to OpenAI's wire: pure."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from trueup.protocol.answer import chat_id, usage
from trueup.protocol.chat import chat_chunk, chat_response, chat_usage_chunk

DONE = b"data: [DONE]\n\n"


class Writer:
    """One answer; `given_tokens` are those that the client has already."""

    def __init__(self, model: str, created: int, *, given_tokens: int = 0) -> None:
        self._head: dict[str, Any] = {"id": chat_id(), "created": created, "model": model}
        self._position = given_tokens
        self._text: list[str] = []

    def begin(self) -> bytes:
        """The first chunk, with the role."""
        return self._event(chat_chunk(**self._head, index=0, delta={"role": "assistant"}))

    def delta(self, event: Mapping[str, Any]) -> bytes:
        """A chunk of text with the tokens that it is of."""
        token_ids = event["token_ids"]
        self._text.append(event["text"])
        shape = chat_chunk(**self._head, index=0, delta={"content": event["text"]})
        shape["trueup"] = {"position": self._position, "token_ids": token_ids}
        self._position += len(token_ids)
        return self._event(shape)

    @property
    def text(self) -> str:
        """What was said so far."""
        return "".join(self._text)

    def end(self, event: Mapping[str, Any], *, wants_usage: bool, hint: str | None = None) -> bytes:
        """The calls, the finish with what is to be told of the answer, the usage."""
        out = b""
        for index, call in enumerate(_calls(event)):
            delta: Any = {"tool_calls": [{"index": index, **call}]}
            out += self._event(chat_chunk(**self._head, index=0, delta=delta))
        reason = event["finish_reason"]
        shape = chat_chunk(**self._head, index=0, delta={}, finish_reason=reason)
        out += self._event(_hinted(shape, hint))
        if wants_usage and event["usage"] is not None:
            counted = usage(**event["usage"])
            out += self._event(chat_usage_chunk(**self._head, usage=counted))
        return out + DONE

    def whole(self, event: Mapping[str, Any], *, hint: str | None = None) -> bytes:
        """All of it as one answer."""
        choice = (self.text, event["finish_reason"])
        counted = usage(**(event["usage"] or {"prompt_tokens": 0, "completion_tokens": 0}))
        shape = chat_response(**self._head, choices={0: choice}, usage=counted)
        if event["usage"] is None:  # nobody has counted
            del shape["usage"]
        if calls := _calls(event):
            shape["choices"][0]["message"] |= {"content": choice[0] or None, "tool_calls": calls}
        return orjson.dumps(_hinted(shape, hint))

    def _event(self, shape: Mapping[str, Any]) -> bytes:
        return b"data: %b\n\n" % orjson.dumps(shape)


def _hinted(shape: dict[str, Any], hint: str | None) -> dict[str, Any]:
    return shape if hint is None else {**shape, "trueup": {"hint": hint}}


def _calls(event: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return [
        {"id": f"call_{secrets.token_hex(12)}", "type": "function", "function": dict(call)}
        for call in event.get("tool_calls") or ()
    ]
