"""GET /openapi.json: what this server answers, for tools."""

from __future__ import annotations

from trueup.gateway.exchange import Exchange
from trueup.gateway.openapi import document
from trueup.gateway.serving import Serving


async def show(exchange: Exchange, serving: Serving) -> None:
    """The OpenAPI document."""
    await exchange.answer_json(document())
