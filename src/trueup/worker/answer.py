"""A request's answer in OpenAI's JSON: whole, or as server-sent events.

Steps in, bytes out; runs in the worker's event loop and knows nothing of HTTP.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from trueup.engines.base import Step
from trueup.protocol import answer as wire
from trueup.protocol.chat import ChatRequest, chat_chunk, chat_response, chat_usage_chunk
from trueup.protocol.completion import (
    CompletionRequest,
    completion_chunk,
    completion_response,
    completion_usage_chunk,
)

DONE = b"data: [DONE]\n\n"


def event(shape: Mapping[str, Any]) -> bytes:
    """One server-sent event."""
    return b"data: %b\n\n" % orjson.dumps(shape)


@dataclass(slots=True)
class Choice:
    """What has come of one choice; `held` are steps whose text was empty so far."""

    text: list[str] = field(default_factory=list)
    tokens: int = 0
    finish_reason: str = "stop"
    held_token_ids: list[int] = field(default_factory=list)
    held_position: int = 0
    has_begun: bool = False


class Answer:
    """One request's answer in the making."""

    def __init__(self, request: ChatRequest | CompletionRequest) -> None:
        self.prompt_tokens = 0
        self._request = request
        self._is_chat = isinstance(request, ChatRequest)
        self._choices: dict[int, Choice] = {}
        self._head: dict[str, Any] = {
            "id": wire.chat_id() if self._is_chat else wire.completion_id(),
            "created": int(time.time()),
            "model": request.model,
        }

    def add(self, step: Step) -> None:
        """Take a step of an answer that is sent as a whole."""
        choice = self._choices.setdefault(step.choice, Choice())
        choice.text.append(step.text)
        choice.tokens = step.position + len(step.token_ids)
        choice.finish_reason = step.finish_reason or choice.finish_reason

    def whole(self) -> bytes:
        """The body of an answer that is not streamed."""
        respond: Callable[..., dict[str, Any]] = (
            chat_response if self._is_chat else completion_response
        )
        choices = {
            index: ("".join(choice.text), choice.finish_reason)
            for index, choice in self._choices.items()
        }
        return orjson.dumps(respond(**self._head, choices=choices, usage=self._usage()))

    def events(self, step: Step) -> bytes:
        """The events of a step of a streamed answer, b"" while its text is held back.

        Tokens without text yet travel with the next text: a client that has the tokens has
        their text as well.
        """
        index = step.choice
        choice = self._choices.get(index)
        if choice is None:
            choice = self._choices[index] = Choice()
        choice.tokens = step.position + len(step.token_ids)
        token_ids, position = list(step.token_ids), step.position
        if choice.held_token_ids:
            token_ids, position = choice.held_token_ids + token_ids, choice.held_position
        if not step.text and step.finish_reason is None:
            choice.held_token_ids, choice.held_position = token_ids, position
            return b""
        choice.held_token_ids = []
        out = b""
        if self._is_chat and not choice.has_begun:
            out = event(self._chunk(index, {"role": "assistant", "content": ""}))
            choice.has_begun = True
        if step.text:
            chunk = self._chunk(index, {"content": step.text}, text=step.text)
            chunk["trueup"] = {"position": position, "token_ids": token_ids}
            out += event(chunk)
            position, token_ids = choice.tokens, []
        if step.finish_reason is not None:
            chunk = self._chunk(index, {}, finish_reason=step.finish_reason)
            chunk["trueup"] = {"position": position, "token_ids": token_ids}
            out += event(chunk)
        return out

    def last_events(self) -> bytes:
        """What ends a stream: the usage where it was asked for, and `[DONE]`."""
        if not self._request.include_usage:
            return DONE
        usage_chunk = chat_usage_chunk if self._is_chat else completion_usage_chunk
        return event(usage_chunk(**self._head, usage=self._usage())) + DONE

    def _chunk(
        self, index: int, delta: dict[str, str], *, text: str = "", finish_reason: str | None = None
    ) -> dict[str, Any]:
        if self._is_chat:
            return chat_chunk(**self._head, index=index, delta=delta, finish_reason=finish_reason)
        return completion_chunk(**self._head, index=index, text=text, finish_reason=finish_reason)

    def _usage(self) -> dict[str, int]:
        return wire.usage(
            prompt_tokens=self.prompt_tokens,
            completion_tokens=sum(choice.tokens for choice in self._choices.values()),
        )
