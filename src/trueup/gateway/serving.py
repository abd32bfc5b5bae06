"""What the routes share, and how a request of a client becomes an answer."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from trueup.errors import RequestError
from trueup.events import RequestFinished, RequestStarted, emit
from trueup.gateway.answering import Answering
from trueup.gateway.asked import Asked, asked_of
from trueup.gateway.breaker import Breakers
from trueup.gateway.chain import Chain
from trueup.gateway.exchange import Exchange
from trueup.gateway.lessons import Lessons
from trueup.gateway.outlet import ClientLimits
from trueup.gateway.retry import RetryPolicy
from trueup.gateway.router import Router, Served
from trueup.state import StateStore

# What gives something else than text, and what that is.
GIVES = {"embedding": "embeddings", "forecast": "forecasts"}
TEXT = "text"
MAX_LISTED = 8


@dataclass(slots=True, kw_only=True)
class Serving:
    """The state of a running gateway; `is_ready` turns true when it may be sent traffic."""

    router: Router = field(default_factory=Router)
    limits: ClientLimits = field(default_factory=ClientLimits)
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    breakers: Breakers = field(default_factory=Breakers)
    lessons: Lessons = field(default_factory=lambda: Lessons(StateStore()))
    is_ready: bool = False
    answering: set[Answering] = field(default_factory=set)
    started_at: float = field(default_factory=time.monotonic)

    def stop_answers(self) -> None:
        """End every answer under way; each client is told."""
        for each in tuple(self.answering):
            each.interruption.interrupt("server stops")


async def answer(exchange: Exchange, serving: Serving) -> None:
    """Read a request, have it answered along the chain of its model, and send that.

    Raises:
        TrueUpError: there is no answer and nothing was sent.
    """
    await answer_to(exchange, serving, *await exchange.read_json())


async def answer_to(
    exchange: Exchange,
    serving: Serving,
    body: bytes,
    shape: Mapping[str, Any],
    *,
    is_table: bool = False,
) -> None:
    """The same of a request that was read; `is_table` has a forecast sent as CSV.

    Raises:
        TrueUpError: there is no answer and nothing was sent.
    """
    asked = asked_of(exchange.path, body, shape)
    asked.is_table = is_table
    chain = await serving.router.chain(asked.model)
    await _check_kind(chain[0], asked, serving.router)
    exchange.model = asked.model
    answering = Answering(
        exchange,
        asked,
        chain,
        Chain(
            asked=asked,
            request_id=exchange.request_id,
            profile=exchange.profile,
            is_strict=exchange.is_strict,
            breakers=serving.breakers,
            lessons=serving.lessons,
            policy=serving.policy,
        ),
        serving.limits,
    )
    serving.answering.add(answering)
    emit(
        RequestStarted(
            at_seconds=answering.began_at,
            request_id=exchange.request_id,
            model=asked.model,
            path=exchange.path,
            is_stream=asked.is_stream,
        )
    )
    try:
        await answering.run()
    except BaseException:
        exchange.outcome = "failed"
        raise
    finally:
        serving.answering.discard(answering)
        _tell_finished(exchange, answering)


async def _check_kind(served: Served, asked: Asked, router: Router) -> None:
    """See that the model answers such requests, before it is loaded for one.

    Raises:
        RequestError: it does not; the models that do are told.
    """
    wanted = "embeddings" if asked.inputs else "forecasts" if asked.is_forecast else TEXT
    given = GIVES.get(served.kind, TEXT)
    if given == wanted:
        return
    others = [
        each.id
        for each in await router.names()
        if GIVES.get((await each.in_turn())[0].kind, TEXT) == wanted
    ]
    raise RequestError(
        f"the model `{asked.model}` gives {given}, not {wanted}",
        param="model",
        code="model_kind",
        hint=f"served for this: {', '.join(f'`{name}`' for name in others[:MAX_LISTED])}"
        if others
        else "no model that is served here answers such a request",
    )


def _tell_finished(exchange: Exchange, answering: Answering) -> None:
    now, delivery, chain = time.monotonic(), answering.delivery, answering.chain
    whole = answering.whole
    usage: Mapping[str, Any] = (whole.usage if whole else delivery.stated()) or {}
    reasons = [each.finish_reason for each in (whole or delivery).choices]
    first = answering.first_token_at
    exchange.chunks = delivery.chunks
    prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if whole is not None and whole.is_estimated:
        prompt = None  # nobody counted it
    emit(
        RequestFinished(
            at_seconds=now,
            request_id=exchange.request_id,
            model=answering.asked.model,
            outcome=exchange.outcome,
            status=exchange.status,
            chunks=exchange.chunks,
            seconds=now - answering.began_at,
            path=exchange.path,
            backend=chain.current.backend.name if chain.current else None,
            code=exchange.error_code,
            tries=chain.tries,
            continuations=delivery.continuations,
            prompt_tokens=prompt if isinstance(prompt, int) else None,
            completion_tokens=completion
            if isinstance(completion, int)
            else delivery.tokens or None,
            first_token_seconds=None if first is None else first - answering.began_at,
            finish_reasons=tuple(reason for reason in reasons if reason),
            bars_in=usage.get("bars_in"),
            bars_out=usage.get("bars_out"),
        )
    )
