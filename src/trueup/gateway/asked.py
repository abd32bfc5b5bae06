"""What the gateway itself has to know of a request before anybody is asked."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trueup.errors import RequestError
from trueup.gateway.json_text import written
from trueup.protocol.fields import boolean, integer, text
from trueup.protocol.sampling import required

EMBEDDINGS = "/v1/embeddings"
FORECASTS = "/v1/forecasts"
CHAT = "/v1/chat/completions"
PRIVATE_KEY = "trueup"
# OpenAI's limit; that of our own workers is theirs to check.
MAX_N = 128
READERS = (("model", text), ("stream", boolean), ("n", integer(1, MAX_N)))
# Of one request, OpenAI's own limit: each of them is an answer with an account of its own.
MAX_TEXTS = 2048
# Whole in a JavaScript number as well.
SEED_BITS = 53
# They have to differ, not to be secret.
_seeds = random.Random()


@dataclass(slots=True, kw_only=True)
class Asked:
    """A request: `body` as it came and `shape`, the same as an object.

    `choices` are those of text; embeddings have `inputs` instead, forecasts a `horizon`, and are
    sent as a table where `is_table`. `seed` is the client's, else one of ours, the same for every
    try.
    """

    path: str
    body: bytes
    shape: Mapping[str, Any]
    model: str
    choices: int = 0
    inputs: int = 0
    horizon: int = 0
    is_table: bool = False
    is_stream: bool = False
    wants_usage: bool = False
    has_seed: bool = False
    seed: int = 0

    @property
    def is_chat(self) -> bool:
        """Whether the answer has messages, not texts."""
        return self.path == CHAT

    @property
    def is_drawn(self) -> bool:
        """Whether the answer depends on a seed."""
        return self.choices > 0 or self.is_forecast

    @property
    def is_forecast(self) -> bool:
        """Whether candles are asked for."""
        return self.path == FORECASTS


def asked_of(path: str, body: bytes, shape: Mapping[str, Any]) -> Asked:
    """Read what decides how a request is answered; the rest is for who answers it.

    Raises:
        RequestError: one of these fields is missing or cannot be meant.
    """
    if PRIVATE_KEY in shape:
        raise RequestError(
            f"`{PRIVATE_KEY}` is not a parameter of this request",
            param=PRIVATE_KEY,
            code="unknown_parameter",
        )
    values: dict[str, Any] = {
        name: reader(name, value)
        for name, reader in READERS
        if (value := shape.get(name)) is not None
    }
    model = required(values, "model")
    if path == EMBEDDINGS:
        return Asked(path=path, body=body, shape=shape, model=model, inputs=_count(shape, "input"))
    has_seed = isinstance(shape.get("seed"), int)
    seed = shape["seed"] if has_seed else _seeds.getrandbits(SEED_BITS)
    if path == FORECASTS:
        horizon = shape.get("horizon")
        return Asked(
            path=path,
            body=body,
            shape=shape,
            model=model,
            horizon=horizon if isinstance(horizon, int) else 0,
            is_stream=values.get("stream", False),
            has_seed=has_seed,
            seed=seed,
        )
    prompts = 1 if path == CHAT else _count(shape, "prompt")
    choices = values.get("n", 1) * prompts
    if choices > MAX_TEXTS:
        raise RequestError(
            f"`n` asks for {choices} answers in all, expected at most {MAX_TEXTS}",
            param="n",
            hint=f"send the {prompts} prompts in several requests",
        )
    options = shape.get("stream_options")
    return Asked(
        path=path,
        body=body,
        shape=shape,
        model=model,
        choices=choices,
        is_stream=values.get("stream", False),
        wants_usage=isinstance(options, dict) and options.get("include_usage") is True,
        has_seed=has_seed,
        seed=seed,
    )


def with_seed(body: bytes, shape: Mapping[str, Any], seed: int) -> bytes:
    """The request with a seed of ours; all other bytes stay where that is possible."""
    if "seed" in shape:  # it is null
        return written({**shape, "seed": seed})
    return b'{"seed":%d,' % seed + body.lstrip()[1:]


def _count(shape: Mapping[str, Any], name: str) -> int:
    """How many texts a field has: one text or one list of token ids, or a list of either.

    Raises:
        RequestError: they are more than one request may have.
    """
    value = shape.get(name)
    if not isinstance(value, list) or not value or isinstance(value[0], int):
        return 1
    if len(value) > MAX_TEXTS:
        raise RequestError(
            f"`{name}` has {len(value)} {name}s, expected at most {MAX_TEXTS}",
            param=name,
            hint=f"send them in several requests of up to {MAX_TEXTS} {name}s",
        )
    return len(value)
