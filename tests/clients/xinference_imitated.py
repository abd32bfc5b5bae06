"""A server that answers as Xinference 4.1.0 and its transformers engine did in our runs.

It takes what it ignores, repeats the role, sends a second finish reason after the true one, and
meets what it cannot do with an opaque 500.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tests.cli.odd_server import EVENTS, Said
from tests.clients.checkpoint import CONTEXT_TOKENS

MODEL = "tiny"
VERSION = "4.1.0"
CHAT = "/v1/chat/completions"
ROLES = ("user", "assistant", "tool")
UNLIMITED_TOKENS = 40
TEMPLATE_TOKENS = 20
# It says its role again after so many pieces.
ROLE_AGAIN = 8
OPAQUE = Said(b"Internal Server Error", status=500, content_type="text/plain")


def said(method: str, path: str, shape: Any) -> Said:
    """What it answers with."""
    if path == "/v1/models":
        row = {"id": MODEL, "object": "model", "owned_by": "xinference"}
        return Said({"object": "list", "data": [row]})
    if path == "/v1/cluster/version":
        return Said({"version": VERSION})
    if path == "/v1/completions":  # of a chat model
        return OPAQUE
    if path != CHAT or not isinstance(shape, dict):
        return Said({"detail": "Not Found"}, status=404)
    if shape.get("model") != MODEL:
        detail = f"Model not found in the model list, uid: {shape.get('model')}"
        return Said({"detail": detail}, status=400)
    return _chat(shape)


def _chat(shape: Mapping[str, Any]) -> Said:
    messages = shape.get("messages")
    limit = shape.get("max_tokens") or shape.get("max_completion_tokens")
    if not isinstance(messages, list) or not messages or not _is_in_turn(messages):
        return OPAQUE
    if not isinstance(shape.get("temperature") or 0, int | float) or isinstance(limit, str):
        return OPAQUE
    prompt = TEMPLATE_TOKENS + sum(len(str(each.get("content")).split()) for each in messages)
    if prompt < CONTEXT_TOKENS < prompt + (limit or 0):
        return OPAQUE
    room = max(1, CONTEXT_TOKENS - prompt)  # a prompt that is too long is cut without a word
    tokens = min(limit or UNLIMITED_TOKENS, room)
    usage = {
        "prompt_tokens": prompt,
        "completion_tokens": tokens,
        "total_tokens": prompt + tokens,
    }
    finish = "length" if limit else "stop"
    around = {"id": "chat-1", "model": MODEL, "created": 1}
    if not shape.get("stream"):
        message = {"role": "assistant", "content": "".join(_pieces(tokens))}
        choice = {"index": 0, "message": message, "finish_reason": finish}
        whole = {**around, "object": "chat.completion", "choices": [choice], "usage": usage}
        return Said(whole)
    chunks = [
        {**around, "object": "chat.completion.chunk", **chunk}
        for chunk in _chunks(tokens, finish, usage, is_asked=bool(shape.get("stream_options")))
    ]
    body = "".join(f"data: {json.dumps(chunk)}\r\n\r\n" for chunk in chunks)
    return Said(f"{body}data: [DONE]\r\n\r\n".encode(), content_type=EVENTS)


def _chunks(
    tokens: int, finish: str, usage: Mapping[str, int], *, is_asked: bool
) -> Iterator[dict[str, Any]]:
    for at, piece in enumerate(_pieces(tokens)):
        role = {"role": "assistant"} if at % ROLE_AGAIN == 0 else {}
        delta = {**role, "content": piece}
        yield {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    last = {"index": 0, "delta": {"content": ""}, "finish_reason": finish}
    yield {"choices": [last], "usage": usage}
    if is_asked:
        again = {"index": 0, "delta": {"content": ""}, "finish_reason": "stop"}
        yield {"choices": [again], "usage": usage}


def _pieces(tokens: int) -> Iterator[str]:
    return (f"w{at} " for at in range(tokens))


def _is_in_turn(messages: list[Any]) -> bool:
    """What the model's template takes: a system message comes first or not at all."""
    roles = [each.get("role") if isinstance(each, dict) else None for each in messages]
    return all(role in ROLES for role in roles[1:]) and roles[0] in (*ROLES, "system")
