"""Answers that are no text: embeddings, and forecasts whole or as a stream of bars."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from trueup.errors import TrueUpError
from trueup.gateway.asked import Asked
from trueup.gateway.asking import Asking
from trueup.gateway.chain import Chain
from trueup.gateway.delivery import Delivery
from trueup.gateway.forecast_csv import CONTENT_TYPE as TABLE
from trueup.gateway.forecast_csv import table_of_answer
from trueup.gateway.forecast_stream import ForecastDelivery, ForecastReading
from trueup.gateway.recovery import tell_continuation
from trueup.gateway.relay import Sink
from trueup.gateway.response import check_embeddings, check_forecast
from trueup.gateway.router import Served
from trueup.gateway.sending import Mode
from trueup.gateway.tries import Try
from trueup.gateway.whole import incomplete

__all__ = ["JSON", "TABLE", "bytes_of", "delivery_of", "relay_forecast"]

JSON = "application/json"


def delivery_of(asked: Asked) -> Delivery:
    """Nothing yet of what was asked for."""
    if asked.is_forecast:
        return ForecastDelivery(asked.horizon)
    return Delivery(
        choices=asked.choices,
        is_chat=asked.is_chat,
        wants_usage=asked.wants_usage,
        prompt_bytes=len(asked.body),
    )


async def bytes_of(asking: Asking, asked: Asked, delivery: Delivery) -> bytes:
    """A whole answer, as it came or as the table that was asked for.

    Raises:
        TrueUpError: there is none, or not all of it.
    """
    body = await asking.body()
    if asked.inputs:
        check_embeddings(body, asked.inputs)
        return body
    delivery.usage = check_forecast(body)
    return await asyncio.to_thread(table_of_answer, body) if asked.is_table else body


async def relay_forecast(
    chain: Chain,
    served: Sequence[Served],
    delivery: ForecastDelivery,
    asking: Callable[[Try, Mode], Asking],
    sink: Sink,
) -> None:
    """Bring a stream of bars to its end; every try of the chain goes on from what is there.

    Raises:
        TrueUpError: none did; code `stream_incomplete` where something was delivered.
    """

    async def ask(attempt: Try) -> None:
        if delivery.has_content:
            tell_continuation(chain, delivery, attempt.backend.name, "asked_again")
        reading = ForecastReading(delivery)
        if await asking(attempt, "stream").relay(reading, sink) is not None:
            raise incomplete("answered with text where bars were asked for")

    try:
        await chain.ask(served, ask)
    except TrueUpError as error:
        if not delivery.has_content:
            raise
        raise delivery.broken(error) from error
