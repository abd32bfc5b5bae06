"""GET /v1/models and GET /v1/models/{name}."""

from __future__ import annotations

from trueup.gateway.exchange import Exchange
from trueup.gateway.serving import Serving
from trueup.protocol.model import model_list

PREFIX = "/v1/models/"


async def list_models(exchange: Exchange, serving: Serving) -> None:
    """Every name that may be asked for, with its state; a model's plan, a role's chain."""
    rows = [await named.row(serving.breakers.admits) for named in await serving.router.names()]
    await exchange.answer_json(model_list(rows))


async def show_model(exchange: Exchange, serving: Serving) -> None:
    """One model, role or alias; the name may have slashes."""
    named = await serving.router.named(exchange.path.removeprefix(PREFIX))
    await exchange.answer_json((await named.row(serving.breakers.admits)).as_dict())
