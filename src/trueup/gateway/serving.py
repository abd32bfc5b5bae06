"""What the routes share, and how a checked request of a client becomes an answer."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import quote

import orjson

from trueup.backends.base import BackendRequest
from trueup.errors import RequestError
from trueup.events import RequestFinished, RequestStarted, emit
from trueup.gateway.contract import PRIVATE_KEY
from trueup.gateway.exchange import Exchange
from trueup.gateway.response import check_embeddings
from trueup.gateway.router import Router, Served
from trueup.gateway.stream import Answering, Limits

# Whole in a JavaScript number as well.
SEED_BITS = 53
EMBEDDING = "embedding"
MAX_LISTED = 8


@dataclass(slots=True, kw_only=True)
class Serving:
    """The state of a running gateway; `is_ready` turns true when it may be sent traffic."""

    router: Router = field(default_factory=Router)
    limits: Limits = field(default_factory=Limits)
    is_ready: bool = False
    answering: set[Answering] = field(default_factory=set)
    started_at: float = field(default_factory=time.monotonic)

    def stop_answers(self) -> None:
        """End every answer under way; each client is told."""
        for each in tuple(self.answering):
            each.interruption.interrupt("server stops")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the gateway needs to know of a request that its protocol has checked.

    `choices` are those of text; embeddings have `inputs` instead.
    """

    model: str
    choices: int = 0
    inputs: int = 0
    is_stream: bool = False
    has_seed: bool = False


async def answer_asked(
    exchange: Exchange, serving: Serving, asked: Asked, body: bytes, shape: Mapping[str, Any]
) -> None:
    """Have the model's backend answer, and send that to the client.

    Raises:
        TrueUpError: there is no answer and nothing was sent.
    """
    if PRIVATE_KEY in shape:
        raise RequestError(
            f"`{PRIVATE_KEY}` is not a parameter of this request",
            param=PRIVATE_KEY,
            code="unknown_parameter",
        )
    served = await serving.router.find(asked.model)
    await _check_kind(served, asked, serving.router)
    exchange.model = served.id
    exchange.source = served.backend.name
    exchange.add_header("x-trueup-backend", quote(served.backend.name, safe="/:@+,;=-_.~ "))
    request = BackendRequest(
        request_id=exchange.request_id,
        path=exchange.path,
        body=body if asked.has_seed or asked.inputs else with_seed(body, shape),
        is_stream=asked.is_stream,
        client=exchange.client,
    )
    answering = Answering(exchange, served.backend, serving.limits)
    serving.answering.add(answering)
    began = time.monotonic()
    emit(
        RequestStarted(
            at_seconds=began,
            request_id=exchange.request_id,
            model=served.id,
            path=exchange.path,
            is_stream=asked.is_stream,
        )
    )
    try:
        if asked.is_stream:
            await answering.stream(request, choices=asked.choices)
        elif asked.inputs:
            await answering.whole(request, partial(check_embeddings, inputs=asked.inputs))
        else:
            await answering.whole(request)
    except BaseException:
        exchange.outcome = "failed"
        raise
    finally:
        serving.answering.discard(answering)
        _tell_finished(exchange, served.id, began)


async def _check_kind(served: Served, asked: Asked, router: Router) -> None:
    """See that the model answers such requests, before it is loaded for one.

    Raises:
        RequestError: it does not; the models that do are told.
    """
    wants_embeddings = asked.inputs > 0
    if (served.kind == EMBEDDING) == wants_embeddings:
        return
    others = [
        each.id
        for each in await router.names()
        if ((await each.answering()).kind == EMBEDDING) == wants_embeddings
    ]
    does = "gives text, not embeddings" if wants_embeddings else "gives embeddings, not text"
    raise RequestError(
        f"the model `{asked.model}` {does}",
        param="model",
        code="model_kind",
        hint=f"served for this: {', '.join(f'`{name}`' for name in others[:MAX_LISTED])}"
        if others
        else "no model that is served here answers such a request",
    )


def with_seed(body: bytes, shape: Mapping[str, Any]) -> bytes:
    """The request with a seed of ours; all other bytes stay where that is possible."""
    seed = secrets.randbits(SEED_BITS)
    if "seed" in shape:  # it is null
        return orjson.dumps({**shape, "seed": seed})
    return b'{"seed":%d,' % seed + body.lstrip()[1:]


def _tell_finished(exchange: Exchange, model: str, began: float) -> None:
    now = time.monotonic()
    emit(
        RequestFinished(
            at_seconds=now,
            request_id=exchange.request_id,
            model=model,
            outcome=exchange.outcome,
            status=exchange.status,
            chunks=exchange.chunks,
            seconds=now - began,
        )
    )
