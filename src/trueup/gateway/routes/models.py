"""GET /v1/models and GET /v1/models/{name}."""

from __future__ import annotations

from trueup.gateway.exchange import Exchange
from trueup.gateway.serving import Serving
from trueup.protocol.model import model_list

PREFIX = "/v1/models/"


async def list_models(exchange: Exchange, serving: Serving) -> None:
    """Everything that is served, with its state and plan."""
    rows = [await served.row() for served in await serving.router.all()]
    await exchange.answer_json(model_list(rows))


async def show_model(exchange: Exchange, serving: Serving) -> None:
    """One model; the name may have slashes."""
    served = await serving.router.find(exchange.path.removeprefix(PREFIX))
    await exchange.answer_json((await served.row()).as_dict())
