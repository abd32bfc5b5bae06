"""GET /api/streams: every answer under way, the oldest first."""

from __future__ import annotations

from trueup.gateway.exchange import Exchange
from trueup.gateway.serving import Serving


async def list_streams(exchange: Exchange, serving: Serving) -> None:
    """Who waits for what, since when, and when anything last came; no prompts, no text."""
    streams = [each.snapshot() for each in tuple(serving.answering)]
    streams.sort(key=lambda each: each["age_seconds"], reverse=True)
    await exchange.answer_json({"streams": streams})
