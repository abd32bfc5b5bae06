"""Single chunks of streams: what one says, in whatever shape, and how it is written again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from trueup.gateway.delivery import Choice


def event_of(chunk: Mapping[str, Any]) -> bytes:
    """A chunk as an event."""
    return b"data: %b\n\n" % orjson.dumps(chunk)


def delta_of(choice: Mapping[str, Any], *, is_chat: bool) -> tuple[Mapping[str, Any], bool]:
    """What a choice adds, and whether it says so in the right shape."""
    if not is_chat:
        return {"content": choice.get("text")}, True
    delta = choice.get("delta")
    if isinstance(delta, dict):
        return delta, True
    message = choice.get("message")  # a whole one, in a stream of one event
    return (message if isinstance(message, dict) else {}), False


def count_tokens(choice: Choice, private: Mapping[str, Any]) -> None:
    """Keep the tokens that our own workers tell of."""
    token_ids = private["token_ids"]
    choice.token_ids += token_ids
    choice.tokens = max(choice.tokens, private["position"] + len(token_ids))


def keep_logprobs(choice: Choice, logprobs: Any) -> None:
    """Keep log probabilities for an answer that is put together from chunks."""
    if isinstance(logprobs, dict) and isinstance(given := logprobs.get("content"), list):
        choice.logprobs += given


def repaired_events(data: bytes, *, is_lenient: bool) -> list[bytes] | None:
    """The events in an event that is no JSON; None where there are none to be had.

    Several lines may each be one, of a server that forgets the empty lines between. `is_lenient`
    takes what is no UTF-8, with U+FFFD for what cannot be read.
    """
    lines = data.split(b"\n")
    if len(lines) > 1 and all(map(_is_json, lines)):
        return [line for line in lines if line != b"[DONE]"]
    if is_lenient:
        text = data.decode("utf-8", "replace").encode()
        if text != data and _is_json(text):
            return [text]
    return None


def _is_json(data: bytes) -> bool:
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError:
        return data == b"[DONE]"
    return True
