"""Requests that are refused before anybody was asked, for clients that cannot bear it."""

from __future__ import annotations

from typing import Any

import orjson

from trueup.errors import TrueUpError
from trueup.gateway.delivery import Delivery
from trueup.gateway.exchange import Exchange
from trueup.gateway.farewell import last_bytes
from trueup.protocol.errors import code_of

CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
EVENT_STREAM, HEADERS = "text/event-stream", (("cache-control", "no-cache"),)


async def answer_noted(exchange: Exchange, error: Exception) -> bool:
    """Answer who asked for a stream with a note in its text; whether that was to be done.

    Only where the client cannot bear an error in a stream: it bears no error status either.
    """
    if exchange.profile.error_events or exchange.path not in (CHAT, TEXT):
        return False
    if not isinstance(error, TrueUpError):
        return False
    shape = await _asked(exchange)
    if shape.get("stream") is not True:
        return False
    delivery = Delivery(choices=1, is_chat=exchange.path == CHAT)
    delivery.take_head({"model": shape.get("model")})
    exchange.error_code = code_of(error)
    body = last_bytes(delivery, error, exchange.source, exchange.profile)
    await exchange.answer(200, body, HEADERS, EVENT_STREAM)
    return True


async def _asked(exchange: Exchange) -> dict[str, Any]:
    """What was asked, read now where it was not; nothing where it cannot be read."""
    try:
        shape = orjson.loads(exchange.body) if exchange.body else (await exchange.read_json())[1]
    except (TrueUpError, orjson.JSONDecodeError):
        return {}
    return shape if isinstance(shape, dict) else {}
