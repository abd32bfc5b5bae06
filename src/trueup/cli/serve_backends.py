"""What `trueup serve` serves: models of its own, and servers that others run, as served names.

Imported after the server listens, so that that is soon.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from trueup.backends.local import LocalBackend
from trueup.backends.refused import RefusedBackend
from trueup.backends.registry import OpenedBackend, open_backend
from trueup.config.settings import Settings
from trueup.errors import AdaptError
from trueup.gateway.router import Served
from trueup.pool.pool import Pool

if TYPE_CHECKING:
    from trueup.adapt.plan import Plan

# Requests that an embedding worker has at the same time; more wait in the pool's queue.
EMBEDDING_LEASES = 64
# A server that does not answer keeps nobody waiting longer when ours starts.
FIRST_LOOK_SECONDS = 2.0


def served_models(
    settings: Settings, plans: Mapping[str, Plan], refused: Mapping[str, AdaptError], pool: Pool
) -> list[Served]:
    """The models, added to the pool; those in `refused` only tell why they do not run."""
    served = []
    for model, (name, plan) in zip(settings.models, plans.items(), strict=True):
        if name in refused:
            backend = RefusedBackend(name, refused[name])
            served.append(Served(id=name, kind=plan.kind, backend=backend, plan=plan.as_dict()))
            continue
        pool.add(
            name,
            plan,
            ttl_seconds=model.ttl_seconds,
            pin=model.pin,
            # Their worker merges requests: it has to have them at the same time.
            concurrency=EMBEDDING_LEASES if plan.embedding is not None else None,
        )
        local = LocalBackend(name, pool, is_exact=plan.dtype == "float32")
        now = partial(_plan_now, plan)
        served.append(Served(id=name, kind=plan.kind, backend=local, current_plan=now))
    return served


def open_backends(
    settings: Settings, say: Callable[[str], None] = lambda line: None
) -> list[OpenedBackend]:
    """The servers of others, not asked yet; `say` is told when one of their models is loaded.

    Raises:
        ConfigError: one of them cannot be meant.
    """
    return [open_backend(each, say=say) for each in settings.backends]


def served_backends(settings: Settings, backends: Sequence[OpenedBackend]) -> list[Served]:
    """The servers of others as served names."""
    return [
        Served(id=each.name, kind=each.kind, backend=backend)
        for each, backend in zip(settings.backends, backends, strict=True)
    ]


async def first_look(backends: Sequence[OpenedBackend]) -> None:
    """Let them say what they are; the model's name there may be known only then."""
    if backends:
        looks = [asyncio.create_task(each.look()) for each in backends]
        _, late = await asyncio.wait(looks, timeout=FIRST_LOOK_SECONDS)
        for each in late:
            each.cancel()


async def lines_on(backends: Sequence[OpenedBackend]) -> list[str]:
    """Who is asked where, and who cannot be asked now."""
    lines = []
    for each in backends:
        model = f", model `{each.model}`" if each.model else ""
        lines.append(f"`{each.name}` is {each.address} ({each.title}{model})")
        health = await each.health()
        if health.last_error:
            lines.append(f"warning: {health.last_error}")
        elif health.state == "starting":
            lines.append(f"warning: `{each.name}` has not answered yet")
    return lines


def _plan_now(plan: Plan) -> dict[str, Any]:
    """The plan as it is shown: what the first load measured is added when it is there."""
    from trueup.adapt.deviation import refreshed

    return refreshed(plan).as_dict()
