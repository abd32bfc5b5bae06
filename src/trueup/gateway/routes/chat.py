"""POST /v1/chat/completions."""

from __future__ import annotations

from trueup.gateway.exchange import Exchange
from trueup.gateway.serving import Asked, Serving, answer_asked
from trueup.protocol.chat import parse_chat_request


async def create(exchange: Exchange, serving: Serving) -> None:
    """Answer a conversation."""
    body, shape = await exchange.read_json()
    request = parse_chat_request(shape)
    asked = Asked(
        model=request.model,
        choices=request.sampling.n,
        is_stream=request.stream,
        has_seed=request.sampling.seed is not None,
    )
    await answer_asked(exchange, serving, asked, body, shape)
