"""POST /v1/completions."""

from __future__ import annotations

from trueup.gateway.exchange import Exchange
from trueup.gateway.serving import Asked, Serving, answer_asked
from trueup.protocol.completion import parse_completion_request


async def create(exchange: Exchange, serving: Serving) -> None:
    """Continue one or several prompts."""
    body, shape = await exchange.read_json()
    request = parse_completion_request(shape)
    asked = Asked(
        model=request.model,
        choices=request.sampling.n * len(request.prompts),
        is_stream=request.stream,
        has_seed=request.sampling.seed is not None,
    )
    await answer_asked(exchange, serving, asked, body, shape)
