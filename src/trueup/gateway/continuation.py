"""Requests that go on with an answer which broke off: pure, from the request and what is there.

Our workers go on after token ids; other servers after a partial message, where they can.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trueup.backends.base import Capabilities
from trueup.gateway.delivery import PRIVATE_KEY, Delivery


def continued_shape(
    path: str, shape: Mapping[str, Any], delivery: Delivery, capabilities: Capabilities
) -> dict[str, Any] | None:
    """The body that has an answer continued after what was delivered; None where it cannot be."""
    if capabilities.continuation == "token_ids":
        return _after_tokens(shape, delivery)
    if capabilities.continuation == "none" or len(delivery.choices) != 1:
        return None
    choice = delivery.choices[0]
    if any(left < 0 for left in _left(shape, choice.tokens).values()):
        return None  # what was counted are no tokens: there is no telling how many are left
    text = "".join(choice.text)
    # What the model has thought or called is not in the text: it would go on from elsewhere.
    if not text or choice.reasoning or choice.calls or choice.is_hidden or shape.get("tools"):
        return None
    if shape.get("functions"):
        return None
    if not delivery.is_chat:
        prompt = shape.get("prompt")
        if not isinstance(prompt, str) or shape.get("echo") or shape.get("suffix"):
            return None
        return {**shape, "prompt": prompt + text, **_limit(shape, choice.tokens)}
    if shape.get("response_format"):
        return None
    partial: dict[str, Any] = {"role": "assistant", "content": text}
    more: dict[str, Any] = {}
    if capabilities.continuation == "prefix":
        partial["prefix"] = True
    else:
        more = {"continue_final_message": True, "add_generation_prompt": False}
    messages = list(shape.get("messages", ()))
    last = messages[-1] if messages and isinstance(messages[-1], dict) else {}
    if last.get("role") == "assistant":  # the client's own beginning of the answer
        if not isinstance(last.get("content"), str):
            return None
        partial = {**last, **partial, "content": last["content"] + text}
        messages.pop()
    messages.append(partial)
    return {**shape, "messages": messages, **more, **_limit(shape, choice.tokens)}


def is_at_limit(shape: Mapping[str, Any], delivery: Delivery) -> bool:
    """Whether all the tokens that the request allows are there: nothing is left to be asked for."""
    return any(left == 0 for left in _left(shape, delivery.choices[0].tokens).values())


def _after_tokens(shape: Mapping[str, Any], delivery: Delivery) -> dict[str, Any]:
    given = {
        str(index): choice.token_ids
        for index, choice in enumerate(delivery.choices)
        if not choice.finish_reason
    }
    return {**shape, PRIVATE_KEY: {"continue_token_ids": given}}


def _limit(shape: Mapping[str, Any], tokens: int) -> dict[str, int]:
    return {name: max(1, left) for name, left in _left(shape, tokens).items()}


def _left(shape: Mapping[str, Any], tokens: int) -> dict[str, int]:
    """What is left of the limits on tokens; theirs were counted by chunks."""
    return {
        name: limit - tokens
        for name in ("max_tokens", "max_completion_tokens")
        if isinstance(limit := shape.get(name), int)
    }
