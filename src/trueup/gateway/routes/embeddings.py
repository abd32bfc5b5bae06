"""POST /v1/embeddings."""

from __future__ import annotations

from trueup.gateway.exchange import Exchange
from trueup.gateway.serving import Asked, Serving, answer_asked
from trueup.protocol.embedding import parse_embedding_request


async def create(exchange: Exchange, serving: Serving) -> None:
    """Embed one or several texts."""
    body, shape = await exchange.read_json()
    request = parse_embedding_request(shape)
    asked = Asked(model=request.model, inputs=len(request.inputs))
    await answer_asked(exchange, serving, asked, body, shape)
