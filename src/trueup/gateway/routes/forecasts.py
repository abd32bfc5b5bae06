"""POST /v1/forecasts: candles as JSON or as a table in, a forecast as either out."""

from __future__ import annotations

from trueup.errors import RequestError
from trueup.gateway.exchange import Exchange
from trueup.gateway.forecast_csv import MEDIA, request_of_table, wants_table
from trueup.gateway.json_text import written
from trueup.gateway.serving import Serving, answer_to


async def forecast(exchange: Exchange, serving: Serving) -> None:
    """Answer a forecast (see `serving.answer`)."""
    if exchange.media_type == MEDIA:
        shape = request_of_table(await exchange.read_bytes(), exchange.query)
        exchange.body = body = written(shape)
    else:
        body, shape = await exchange.read_json()
    is_table = wants_table(exchange.header("accept"))
    if is_table and shape.get("stream") is True:
        raise RequestError(
            "a stream is made of events of JSON, and the answer was asked for as a table",
            param="stream",
            where="Accept",
            hint="leave out `stream`, or the header `Accept: text/csv`",
        )
    await answer_to(exchange, serving, body, shape, is_table=is_table)
