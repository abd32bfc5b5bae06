"""Single chunks of streams: what one says, in whatever shape, and how it is written again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from trueup.errors import BackendError
from trueup.gateway.choice import Choice
from trueup.gateway.json_text import written
from trueup.gateway.odd_json import odd_json


def event_of(chunk: Mapping[str, Any]) -> bytes:
    """A chunk as an event."""
    return b"data: %b\n\n" % written(chunk)


def delta_of(choice: Mapping[str, Any], *, is_chat: bool) -> tuple[Mapping[str, Any], bool]:
    """What a choice adds, and whether it says so in the right shape."""
    if not is_chat:
        return {"content": choice.get("text")}, True
    delta = choice.get("delta")
    if isinstance(delta, dict):
        return delta, True
    message = choice.get("message")  # a whole one, in a stream of one event
    if isinstance(message, dict):
        return message, False
    if delta is not None:
        raise malformed(f"a delta that is a {type(delta).__name__}")
    return {}, False


def count_tokens(choice: Choice, private: Mapping[str, Any]) -> None:
    """Keep the tokens that our own workers tell of."""
    token_ids = private["token_ids"]
    choice.token_ids += token_ids
    choice.tokens = max(choice.tokens, private["position"] + len(token_ids))


def malformed(what: str) -> BackendError:
    """The error of a stream that cannot be read."""
    return BackendError(f"the backend sent {what}", retryable=True, code="stream_malformed")


def contents_of(chunk: Mapping[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Every delta of a chunk that has a text, with the index of its choice."""
    choices = chunk.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        delta = choice.get("delta") if isinstance(choice, dict) else None
        if isinstance(delta, dict) and isinstance(delta.get("content"), str):
            index = choice.get("index")
            yield index if isinstance(index, int) and index >= 0 else 0, delta


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
