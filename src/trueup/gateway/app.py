"""The gateway as an ASGI application: paths to routes, access, errors, the access log.

Start reading here: everything else in this package is called from these routes.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TextIO

from trueup.gateway.auth import Access
from trueup.gateway.errors import answer_error, log_bug, unknown_path, wrong_method
from trueup.gateway.exchange import ClientGone, Exchange, Receive, Scope, Send
from trueup.gateway.routes import models, status
from trueup.gateway.serving import Serving, answer

Route = Callable[[Exchange, Serving], Awaitable[None]]

ROUTES: dict[str, dict[str, Route]] = {
    "/v1/chat/completions": {"POST": answer},
    "/v1/completions": {"POST": answer},
    "/v1/embeddings": {"POST": answer},
    "/v1/models": {"GET": models.list_models},
    models.PREFIX: {"GET": models.show_model},
    "/health": {"GET": status.health},
    "/ready": {"GET": status.ready},
    "/version": {"GET": status.version},
    "/api/ps": {"GET": status.processes},
}
# Asked every second by whoever watches the server.
UNLOGGED_PATHS = frozenset({"/health", "/ready", "/api/ps"})


class Gateway:
    """The application; `log` gets one line for each request, None keeps it silent."""

    def __init__(self, serving: Serving, access: Access, *, log: TextIO | None = None) -> None:
        self.serving = serving
        self._access = access
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; whatever happens, the server goes on."""
        exchange = Exchange(scope, receive, send)
        began = time.monotonic()
        try:
            await self._answer(exchange)
        except ClientGone:
            exchange.outcome = "left"
        finally:
            self._note(exchange, time.monotonic() - began)

    async def _answer(self, exchange: Exchange) -> None:
        try:
            self._access.check(exchange)
            await self._route(exchange)
        except ClientGone:
            raise
        except Exception as error:
            exchange.outcome = "failed"
            if exchange.status is not None:  # uvicorn closes the connection: the body is cut
                log_bug(exchange, error)
                return
            try:
                await answer_error(exchange, error)
            except Exception as second:
                log_bug(exchange, second)

    async def _route(self, exchange: Exchange) -> None:
        path = exchange.path
        methods = ROUTES.get(path)
        if methods is None and path.startswith(models.PREFIX):
            methods = ROUTES[models.PREFIX]
        if methods is None:
            raise unknown_path(path, ROUTES)
        method = "GET" if exchange.method == "HEAD" else exchange.method
        route = methods.get(method)
        if route is not None:
            await route(exchange, self.serving)
            return
        allowed = ", ".join((*methods, *(("HEAD",) if "GET" in methods else ()), "OPTIONS"))
        exchange.add_header("allow", allowed)
        if method != "OPTIONS":
            raise wrong_method(exchange.method, path, allowed)
        await exchange.start(204, ())
        await exchange.write(b"", more=False)

    def _note(self, exchange: Exchange, seconds: float) -> None:
        if self._log is None or exchange.path in UNLOGGED_PATHS:
            return
        code = f" code={exchange.error_code}" if exchange.error_code else ""
        model = f" model={exchange.model}" if exchange.model else ""
        chunks = f" chunks={exchange.chunks}" if exchange.chunks else ""
        line = (
            f"{time.strftime('%H:%M:%S')} {exchange.method} {exchange.path} "
            f"{exchange.status or '-'} {exchange.outcome} {seconds * 1000:.0f} ms "
            f"{exchange.request_id}{code}{model}{chunks}"
        )
        # A path may hold line breaks, and a model's name what its owner liked.
        self._log.write("".join(c if c.isprintable() else "?" for c in line) + "\n")
