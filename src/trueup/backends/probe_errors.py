"""Wrong requests, and what a server's errors look like."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import orjson

from trueup.backends.probe import Kind, Known, Reply, Seen, error_shape, error_text, trouble_of
from trueup.backends.probe_questions import asked, embedding_asked

NO_MODEL = "trueup-check-no-such-model"
TEXT: tuple[Kind, ...] = ("chat", "completion")


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongRequest:
    """A body that a server should refuse with a status of 4xx and an error in OpenAI's shape."""

    name: str
    body: Callable[[Known], bytes]
    kinds: tuple[Kind, ...] = (*TEXT, "embedding")


def _unknown_model(known: Known) -> bytes:
    shape = embedding_asked(known) if known.kind == "embedding" else asked(known)
    return orjson.dumps({**shape, "model": NO_MODEL})


WRONG_REQUESTS = (
    WrongRequest(name="unknown model", body=_unknown_model),
    WrongRequest(
        name="temperature 99",
        body=lambda known: orjson.dumps(asked(known, temperature=99)),
        kinds=TEXT,
    ),
    WrongRequest(name="no JSON", body=lambda known: b"{"),
)


def error_seen(reply: Reply) -> Seen:
    """What a server did with a wrong request."""
    if reply.status == 200:
        return trouble_of(reply) or Seen(verdict="ignored", text="status 200 and an answer")
    if reply.status is None:
        trouble = trouble_of(reply)
        return trouble or Seen(verdict="fails", text="no answer")
    shape = error_shape(reply)
    text = f"status {reply.status}, {shape}: {error_text(reply)}"
    if reply.status >= 500:
        return Seen(verdict="fails", text=text)
    return Seen(verdict="honoured" if shape == "OpenAI's" else "unclear", text=text)
