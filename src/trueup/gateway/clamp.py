"""How many tokens an answer may have, where the client cannot know a model's context."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trueup.config.settings import ClientProfile
from trueup.errors import RequestError
from trueup.gateway.policies import SUCCESSOR

# Bytes of a prompt for each of its tokens: an estimate on the safe side, so that a part of the
# context may be free although the estimate fills it.
BYTES_PER_TOKEN = 3
TOKENS_AROUND_MESSAGE = 4
LEAST_ROOM = 0.25


def clamped(
    shape: Mapping[str, Any], profile: ClientProfile, context_tokens: int | None
) -> dict[str, int | None]:
    """Limits of tokens that cannot go as they are: null ones, and for some clients large ones."""
    changed: dict[str, int | None] = {}
    for name in SUCCESSOR:
        if name not in shape:
            continue
        value = shape[name]
        if value is None:
            changed[name] = None
        elif profile.clamps_max_tokens and context_tokens is not None and isinstance(value, int):
            least = max(1, int(context_tokens * LEAST_ROOM))
            room = max(least, context_tokens - prompt_tokens(shape))
            if value > room:
                changed[name] = room
    return changed


def check_room(shape: Mapping[str, Any], context_tokens: int | None) -> None:
    """See that a request fits the model's context at all, where that is known.

    Of texts only the model's tokenizer knows their tokens: prompts of token ids alone count.

    Raises:
        RequestError: it does not; some servers say of it no more than that something failed.
    """
    if context_tokens is None:
        return
    ids = _most_ids(shape.get("prompt"))
    if ids > context_tokens:
        raise RequestError(
            f"the prompt has {ids} tokens, but the model's context holds {context_tokens}",
            param="prompt",
            code="context_length_exceeded",
            hint="shorten the prompt",
        )
    for name in SUCCESSOR:
        value = shape.get(name)
        if isinstance(value, int) and value + ids > context_tokens:
            told = f" of {ids} tokens" if ids else ""
            raise RequestError(
                f"`{name}` is {value}, but the model's context holds {context_tokens} tokens with "
                f"the prompt{told}",
                param=name,
                code="context_length_exceeded",
                hint=f"ask for fewer, or leave `{name}` out",
            )


def _most_ids(prompt: Any) -> int:
    """The length of the longest prompt that is given as token ids; 0 for texts."""
    if not isinstance(prompt, list) or not prompt:
        return 0
    if isinstance(prompt[0], int):
        return len(prompt)
    return max((len(each) for each in prompt if isinstance(each, list)), default=0)


def prompt_tokens(shape: Mapping[str, Any]) -> int:
    """An estimate of the tokens of a prompt: of its texts, not of images and the like."""
    messages = _listed(shape.get("messages"))
    texts = _listed(shape.get("prompt"))
    for message in messages:
        texts.extend(_listed(message.get("content") if isinstance(message, dict) else None))
    return TOKENS_AROUND_MESSAGE * len(messages) + sum(map(_tokens, texts))


def _tokens(part: Any) -> int:
    if isinstance(part, dict):
        part = part.get("text")
    if isinstance(part, str):
        return len(part.encode("utf-8", "replace")) // BYTES_PER_TOKEN
    if isinstance(part, list):  # token ids
        return len(part)
    return 1 if isinstance(part, int) else 0


def _listed(value: Any) -> list[Any]:
    if isinstance(value, list):
        return list(value)
    return [] if value is None else [value]
