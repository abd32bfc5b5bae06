"""GET /metrics: what Prometheus scrapes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trueup.errors import RequestError
from trueup.gateway.exchange import Exchange
from trueup.gateway.serving import Serving

if TYPE_CHECKING:
    from trueup.gateway.metrics import Metrics

PATH = "/metrics"


async def show_none(exchange: Exchange, serving: Serving) -> None:
    """Nobody counts: the gateway was started without its metrics.

    Raises:
        RequestError: always.
    """
    raise RequestError("nothing is counted here", code="not_found", status=404)


async def show(exchange: Exchange, metrics: Metrics) -> None:
    """Everything that was counted, as text or as OpenMetrics, whichever is asked for."""
    body, content_type = metrics.render(exchange.header("accept") or "")
    await exchange.answer(200, body, content_type=content_type)
