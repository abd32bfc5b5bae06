"""The gateway as an ASGI application: paths to routes, access, errors, the access log.

Start reading here: everything else in this package is called from these routes.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, TextIO

from trueup.config.settings import ServerSettings
from trueup.events import RequestRefused, emit, subscribe
from trueup.gateway.access_log import AccessLog
from trueup.gateway.auth import Access
from trueup.gateway.errors import answer_error, log_bug, unknown_path, wrong_method
from trueup.gateway.exchange import ClientGone, Exchange, Receive, Scope, Send
from trueup.gateway.noted import answer_noted
from trueup.gateway.room import Room
from trueup.gateway.routes import backends, forecasts, metrics, models, openapi, status, streams
from trueup.gateway.serving import Serving, answer

if TYPE_CHECKING:
    from trueup.gateway.metrics import Metrics

Route = Callable[[Exchange, Serving], Awaitable[None]]

ROUTES: dict[str, dict[str, Route]] = {
    "/v1/chat/completions": {"POST": answer},
    "/v1/completions": {"POST": answer},
    "/v1/embeddings": {"POST": answer},
    "/v1/forecasts": {"POST": forecasts.forecast},
    "/v1/models": {"GET": models.list_models},
    models.PREFIX: {"GET": models.show_model},
    "/health": {"GET": status.health},
    "/ready": {"GET": status.ready},
    "/version": {"GET": status.version},
    "/api/ps": {"GET": status.processes},
    "/api/streams": {"GET": streams.list_streams},
    metrics.PATH: {"GET": metrics.show_none},
    backends.PATH: {"GET": backends.list_backends},
    f"{backends.PATH}{backends.LESSONS}": {"DELETE": backends.forget_all},
    backends.PREFIX: {"DELETE": backends.forget},
    "/openapi.json": {"GET": openapi.show},
}
# Below these a path goes on with a name.
PREFIXES = (models.PREFIX, backends.PREFIX)
# Answers take long: so many of them at a time. Whoever watches the server is never refused.
LIMITED_PREFIX = "/v1/"
DEFAULTS = ServerSettings()


class Gateway:
    """The application; `log` gets one line for each request, None keeps it silent.

    Inside `watching` it counts, and its log tells what the backends did.
    """

    def __init__(
        self,
        serving: Serving,
        access: Access,
        *,
        log: TextIO | None = None,
        settings: ServerSettings = DEFAULTS,
    ) -> None:
        self.serving = serving
        self.settings = settings
        self._access = access
        self._log: AccessLog | None = None
        if log is not None and settings.access_log != "off":
            self._log = AccessLog(log, form=settings.access_log, log_prompts=settings.log_prompts)
        self._metrics: Metrics | None = None
        self._room = Room(settings.max_requests)

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Count what happens, and have it in the log, while the block lasts."""
        from trueup.gateway.metrics import Metrics  # a tenth of a second that only servers need

        self._metrics = Metrics()
        with contextlib.ExitStack() as stack:
            stack.callback(subscribe(self._metrics.note))
            if self._log is not None:
                stack.callback(subscribe(self._log.note))
            yield

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; whatever happens, the server goes on."""
        exchange = Exchange(scope, receive, send, max_body_bytes=self.settings.max_body_bytes)
        log, began = self._log, time.monotonic()
        if log is not None:
            log.begin(exchange)
        try:
            await self._answer(exchange)
        except ClientGone:
            exchange.outcome = "left"
        finally:
            if log is not None:
                log.end(exchange, time.monotonic() - began)

    async def _answer(self, exchange: Exchange) -> None:
        cors = self._access.cors
        try:
            cors.add_headers(exchange)
            if await cors.answer_preflight(exchange):
                return
            self._access.check(exchange)
            if not exchange.path.startswith(LIMITED_PREFIX):
                await self._route(exchange)
                return
            if not self._room.take():
                await self._room.wait(exchange.profile.retry_seconds)
            try:
                await self._route(exchange)
            finally:
                self._room.leave()
        except ClientGone:
            raise
        except Exception as error:
            exchange.outcome = "failed"
            is_refused = exchange.model is None
            if exchange.status is not None:  # uvicorn closes the connection: the body is cut
                log_bug(exchange, error)
                return
            try:
                if not await answer_noted(exchange, error):
                    await answer_error(exchange, error)
            except ClientGone:
                raise
            except Exception as second:
                log_bug(exchange, second)
            if is_refused:
                _tell_refused(exchange)

    async def _route(self, exchange: Exchange) -> None:
        path = exchange.path
        methods = ROUTES.get(path)
        if methods is None:
            prefix = next((each for each in PREFIXES if path.startswith(each)), "")
            methods = ROUTES.get(prefix)
        if methods is None:
            raise unknown_path(path, ROUTES)
        method = "GET" if exchange.method == "HEAD" else exchange.method
        route = methods.get(method)
        if route is not None:
            if route is metrics.show_none and self._metrics is not None:
                await metrics.show(exchange, self._metrics)
            else:
                await route(exchange, self.serving)
            return
        allowed = ", ".join((*methods, *(("HEAD",) if "GET" in methods else ()), "OPTIONS"))
        exchange.add_header("allow", allowed)
        if method != "OPTIONS":
            raise wrong_method(exchange.method, path, allowed)
        await exchange.start(204, ())
        await exchange.write(b"", more=False)


def _tell_refused(exchange: Exchange) -> None:
    emit(
        RequestRefused(
            at_seconds=time.monotonic(),
            request_id=exchange.request_id,
            status=exchange.status or 500,
            code=exchange.error_code or "internal_error",
        )
    )
