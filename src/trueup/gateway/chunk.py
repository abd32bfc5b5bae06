"""Single chunks of streams: what one says, in whatever shape, and how it is written again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trueup.errors import BackendError
from trueup.gateway.choice import Choice
from trueup.gateway.json_text import written
from trueup.gateway.odd_json import PairJoiner, odd_json
from trueup.gateway.whole import REASONING_KEYS

MALFORMED = "stream_malformed"
# Of a choice of a completion, and of a delta.
TEXT_KEYS = ("text", "content", *REASONING_KEYS)


def event_of(chunk: Mapping[str, Any]) -> bytes:
    """A chunk as an event."""
    return b"data: %b\n\n" % written(chunk)


def delta_of(choice: Mapping[str, Any], *, is_chat: bool) -> tuple[Mapping[str, Any], bool]:
    """What a choice adds, and whether it says so in the right shape."""
    text, delta = choice.get("text"), choice.get("delta")
    if not is_chat and text is not None:
        return {"content": text}, True
    is_delta = isinstance(delta, dict)
    said = delta if is_delta else choice.get("message")  # a whole one, in a stream of one event
    if isinstance(said, dict):
        # Some servers have the words of a completion in the shape of a chat.
        return (said, is_delta) if is_chat else ({"content": said.get("content")}, False)
    if delta is not None:
        raise malformed(f"a delta that is a {type(delta).__name__}")
    return {"content": text}, False  # and the other way round


def count_tokens(choice: Choice, private: Mapping[str, Any]) -> None:
    """Keep the tokens that our own workers tell of."""
    token_ids = private["token_ids"]
    choice.token_ids += token_ids
    choice.tokens = max(choice.tokens, private["position"] + len(token_ids))


def malformed(what: str) -> BackendError:
    """The error of a stream that cannot be read."""
    return BackendError(f"the backend sent {what}", retryable=True, code=MALFORMED)


def is_of(chunk: Mapping[str, Any], head: Mapping[str, Any]) -> bool:
    """Whether a chunk has the time and the model of its answer, or none; some servers vary them."""
    created, model = head["created"], head["model"]
    return bool(chunk.get("created", created) == created and chunk.get("model", model) == model)


def join_halves(chunk: Mapping[str, Any], pairs: dict[tuple[int, str], PairJoiner]) -> None:
    """Put halves of characters together that came in two chunks; `pairs` has what was begun."""
    choices = chunk.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if not isinstance(choice, dict):
            continue
        index = choice.get("index")
        index = index if isinstance(index, int) and index >= 0 else 0
        delta = choice.get("delta")
        for said in (choice, delta) if isinstance(delta, dict) else (choice,):
            for key in TEXT_KEYS:
                if isinstance(text := said.get(key), str):
                    said[key] = pairs.setdefault((index, key), PairJoiner()).push(text)


def repaired_events(data: bytes, *, is_lenient: bool) -> list[dict[str, Any]] | None:
    """The chunks in an event that is no JSON; None where there are none to be had.

    Several lines may each be one, of a server that forgets the empty lines between; some servers
    write what only Python reads. `is_lenient` takes what is no UTF-8, with U+FFFD for it.
    """
    lines = [line for line in data.split(b"\n") if line != b"[DONE]"]
    chunks = []
    for line in lines if len(lines) > 1 else [data]:
        chunk = odd_json(line.decode("utf-8", "replace") if is_lenient else line)
        if not isinstance(chunk, dict):
            return None
        chunks.append(chunk)
    return chunks
