"""How the server is: /health, /ready, /version for anybody, /api/ps for `trueup ps`."""

from __future__ import annotations

import os
import time
from dataclasses import asdict

from trueup import __version__
from trueup.gateway.exchange import Exchange
from trueup.gateway.serving import Serving


async def health(exchange: Exchange, serving: Serving) -> None:
    """The process runs; nothing is said about models."""
    await exchange.answer_json({"status": "ok", "version": __version__})


async def ready(exchange: Exchange, serving: Serving) -> None:
    """Whether traffic may be sent here: 200, else 503."""
    if serving.is_ready:
        await exchange.answer_json({"status": "ready"})
        return
    waits_for = "preload" if serving.router.is_open else "plans"
    await exchange.answer_json(
        {"status": "starting", "waits_for": waits_for},
        status=503,
        headers=(("retry-after", "1"),),
    )


async def version(exchange: Exchange, serving: Serving) -> None:
    """The version of this server."""
    await exchange.answer_json({"version": __version__})


async def processes(exchange: Exchange, serving: Serving) -> None:
    """What is loaded now, with measured memory."""
    models = [
        {"id": served.id, **asdict(await served.backend.health())}
        for served in await serving.router.all()
    ]
    await exchange.answer_json(
        {
            "pid": os.getpid(),
            "uptime_seconds": round(time.monotonic() - serving.started_at, 3),
            "models": models,
        }
    )
