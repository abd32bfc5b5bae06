"""What every answer carries: its id, the shape around its choices, its counts, our private key."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any


def chat_id() -> str:
    """A new id of a chat completion."""
    return f"chatcmpl-{secrets.token_hex(12)}"


def completion_id() -> str:
    """A new id of a text completion."""
    return f"cmpl-{secrets.token_hex(12)}"


def usage(*, prompt_tokens: int, completion_tokens: int) -> dict[str, int]:
    """The token counts of an answer."""
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }


def answer_body(
    id: str,
    kind: str,
    created: int,
    model: str,
    choices: Sequence[Mapping[str, Any]],
    usage: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """What is around the choices of every answer and chunk; `kind` is the key `object`."""
    around: dict[str, Any] = {
        "id": id,
        "object": kind,
        "created": created,
        "model": model,
        "choices": list(choices),
    }
    return around if usage is None else {**around, "usage": dict(usage)}


def private(*, position: int, token_ids: Sequence[int]) -> dict[str, Any]:
    """The value of a chunk's private key `trueup`, which the gateway keeps to itself.

    `position` is the index of the chunk's first token in the answer.
    """
    return {"position": position, "token_ids": list(token_ids)}
