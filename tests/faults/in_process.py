"""Our own gateway in this process's event loop, with limits that tests can wait for."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

from trueup.backends.registry import open_backend
from trueup.config.settings import BackendSettings, LimitSettings
from trueup.gateway.app import Gateway
from trueup.gateway.auth import Access
from trueup.gateway.retry import RetryPolicy
from trueup.gateway.router import Served, ServedRole
from trueup.gateway.server import Server, listen, url_of
from trueup.gateway.serving import Serving

# A test waits for silence to be over; what is slow in it is far quicker than this.
LIMITS: Mapping[str, float] = {
    "connect_seconds": 5.0,
    "first_token_seconds": 2.0,
    "between_tokens_seconds": 2.0,
    "total_seconds": 15.0,
}
SLOW_SECONDS = 0.1


@contextlib.asynccontextmanager
async def gateway_of(configuration: Mapping[str, Any]) -> AsyncIterator[str]:
    """Serve a configuration of `gateways.configuration`; yields the base URL."""
    serving = Serving(policy=RetryPolicy(first_pause_seconds=0.01, longest_pause_seconds=0.05))
    backends = [
        open_backend(
            BackendSettings(name=name, **{**row, "limits": LimitSettings(**row["limits"])})
        )
        for name, row in configuration["backends"].items()
    ]
    served = {
        backend.name: Served(id=backend.name, kind="chat", backend=backend) for backend in backends
    }
    roles = [
        ServedRole(id=name, chain=tuple(served[each] for each in role["chain"]))
        for name, role in configuration["roles"].items()
    ]
    serving.router.open(*served.values(), roles=roles)
    serving.is_ready = True
    server = Server(Gateway(serving, Access(()), log=None), drain_seconds=0.0)
    with contextlib.closing(listen("127.0.0.1", 0)) as listener:
        url = url_of(listener)
        try:
            async with server.running(listener):
                yield f"{url}/v1"
        finally:
            for backend in backends:
                await backend.close()
