"""A model in a worker of our own: a lease of the pool, then HTTP on the worker's Unix socket.

Every request has a connection of its own: closing it is how the worker is told to stop.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from trueup import __version__
from trueup.backends.base import (
    Accepts,
    BackendRequest,
    BackendResponse,
    Capabilities,
    Health,
    Limits,
)
from trueup.backends.http_answer import Answer, Body
from trueup.backends.http_client import Client, Endpoint, request_head
from trueup.backends.http_fault import HttpFault
from trueup.errors import BackendError
from trueup.pool.pool import Pool, Worker
from trueup.protocol.chat import parse_chat_request
from trueup.protocol.completion import parse_completion_request
from trueup.protocol.embedding import parse_embedding_request
from trueup.protocol.forecast import parse_forecast_request

CONNECT_SECONDS = 5.0
# Workers that one request may meet dead before one is asked.
MAX_WORKERS = 3
# A worker that loads or computes is watched by the pool; these end one that hangs.
LIMITS = Limits(
    connect_seconds=CONNECT_SECONDS,
    first_token_seconds=1800.0,
    between_tokens_seconds=300.0,
    total_seconds=3600.0,
)
PARSERS: dict[str, Callable[[Mapping[str, Any]], object]] = {
    "/v1/chat/completions": parse_chat_request,
    "/v1/completions": parse_completion_request,
    "/v1/embeddings": parse_embedding_request,
    "/v1/forecasts": parse_forecast_request,
}
# What the gateway emulates where that is exact, and else refuses with a reason.
UNSUPPORTED = frozenset(
    {"tools", "tool_choice", "functions", "function_call", "response_format", "logit_bias",
     "logprobs", "top_logprobs", "parallel_tool_calls"}
)  # fmt: skip
HEADERS = {"Content-Type": "application/json", "Connection": "close"}


class LocalBackend:
    """One model of the pool."""

    model = None
    version = __version__

    def __init__(self, model_id: str, pool: Pool, *, is_exact: bool = False) -> None:
        self.name = model_id
        self.capabilities = Capabilities(
            continuation="token_ids",
            is_exact=is_exact,
            takes_seed=True,
            queues=True,
            accepts=Accepts(unsupported=UNSUPPORTED),
            limits=LIMITS,
        )
        self._pool = pool

    def check(self, path: str, shape: Mapping[str, Any]) -> None:
        """Read the request as the worker will: what it would refuse is refused before a load."""
        PARSERS[path](shape)

    def conceal(self, text: str) -> str:
        """There is no key."""
        return text

    @asynccontextmanager
    async def open(self, request: BackendRequest) -> AsyncIterator[BackendResponse]:
        """Lease the worker, loading the model where it is not loaded, and ask it.

        A worker that ended before it said anything, while idle for one, is replaced.
        """
        async with AsyncExitStack() as stack:
            answer, worker = await self._asked(request, stack)
            body = Body(answer, functools.partial(self._broken, worker))
            try:
                yield BackendResponse(
                    status=answer.status, headers=answer.headers, body=body, pump=body.pump
                )
            finally:
                answer.leave()

    async def _asked(self, request: BackendRequest, stack: AsyncExitStack) -> tuple[Answer, Worker]:
        for left in reversed(range(MAX_WORKERS)):
            async with AsyncExitStack() as attempt:
                worker = await attempt.enter_async_context(
                    self._pool.lease(self.name, client=request.client)
                )
                request.on_sent()
                client = Client(
                    Endpoint(socket_path=str(worker.socket_path)),
                    connect_seconds=CONNECT_SECONDS,
                    idle_seconds=0,
                )
                attempt.push_async_callback(client.close)
                try:
                    answer = await client.ask(_wire(request))
                except HttpFault as fault:
                    if not await self._pool.has_ended(worker) or not left:
                        raise self._fault("did not answer", fault) from fault
                    continue
                stack.push_async_callback(attempt.pop_all().aclose)
                return answer, worker
        raise AssertionError("the last attempt returns or raises")

    async def health(self) -> Health:
        """The pool's word on this model."""
        for model in self._pool.snapshot():
            if model.id == self.name:
                return Health(
                    state=model.state,
                    progress=model.progress,
                    memory_bytes=model.memory_bytes,
                    device_bytes=model.device_bytes,
                    queued=model.queued,
                    leases=model.leases,
                    idle_seconds=model.idle_seconds,
                    pid=model.pid,
                    last_error=model.last_error.cause if model.last_error else None,
                )
        return Health(state="stopped")

    async def close(self) -> None:
        """Nothing is held between requests; the pool is closed by its owner."""

    async def _broken(self, worker: Worker, fault: HttpFault) -> BackendError:
        """The error of an answer that broke off.

        The lease is held until the pool knows: whoever is next gets another worker.
        """
        await self._pool.has_ended(worker)
        return self._fault("broke off its answer", fault)

    def _fault(self, what: str, fault: HttpFault) -> BackendError:
        return BackendError(
            f"the worker of `{self.name}` {what}: {fault}",
            retryable=True,
            code="worker_failed",
            where=self.name,
            hint="ask again: a worker that has ended is started anew",
        )


def _wire(request: BackendRequest) -> bytes:
    head = request_head("POST", request.path, "worker", HEADERS)
    more = f"X-Request-Id: {request.request_id}\r\nContent-Length: {len(request.body)}\r\n\r\n"
    return head + more.encode("latin-1") + request.body
