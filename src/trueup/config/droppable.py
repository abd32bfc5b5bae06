"""Parameters that a backend's settings may name: those that are not the request itself."""

from __future__ import annotations

from trueup.config.names import nearest
from trueup.config.section import stated
from trueup.protocol import chat, completion, embedding

KEPT = frozenset(
    {
        "model",
        "messages",
        "prompt",
        "input",
        "max_tokens",
        "max_completion_tokens",
        "stream",
        "trueup",
    }
)
DROPPABLE = tuple(sorted({*chat.READERS, *completion.READERS, *embedding.READERS} - KEPT))


def checked_name(value: str) -> str:
    """The name of a parameter that may be dropped."""
    if value in KEPT:
        raise stated(f"`{value}` is never dropped: without it the request is another one")
    if value not in DROPPABLE:
        hint = nearest(value, DROPPABLE) or "for example: drop: [tools, logit_bias]"
        raise stated(f"`{value}` is no parameter of a request", hint)
    return value


def checked_untaken(value: str) -> str:
    """The name of a parameter that a backend does not take; servers have names of their own."""
    if value in KEPT - {"max_tokens", "max_completion_tokens"} or not value:
        raise stated(f"`{value}` is what a request consists of: no backend goes without it")
    return value
