"""A model in a worker of our own: a lease of the pool, then HTTP on the worker's Unix socket.

Every request has a connection of its own: closing it is how the worker is told to stop.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp

from trueup.backends.base import BackendRequest, BackendResponse, Capabilities, Health
from trueup.errors import BackendError
from trueup.pool.pool import Pool, Worker

CONNECT_SECONDS = 5.0
READ_BUFFER_BYTES = 2**18


class LocalBackend:
    """One model of the pool."""

    capabilities = Capabilities(continues=True)

    def __init__(self, model_id: str, pool: Pool) -> None:
        self.name = model_id
        self._pool = pool

    @asynccontextmanager
    async def open(self, request: BackendRequest) -> AsyncIterator[BackendResponse]:
        """Lease the worker, loading the model where it is not loaded, and ask it.

        A worker that ended before it said anything, while idle for one, is replaced once.
        """
        async with AsyncExitStack() as stack:
            response = await self._asked(request, stack)
            try:
                yield BackendResponse(
                    status=response.status,
                    headers={name.lower(): value for name, value in response.headers.items()},
                    body=self._pieces(response),
                )
            finally:
                response.close()

    async def _asked(
        self, request: BackendRequest, stack: AsyncExitStack
    ) -> aiohttp.ClientResponse:
        for is_last in (False, True):
            async with AsyncExitStack() as attempt:
                worker = await attempt.enter_async_context(
                    self._pool.lease(self.name, client=request.client)
                )
                session = await attempt.enter_async_context(_session(worker))
                request.on_sent()
                try:
                    response = await _post(session, request)
                except (aiohttp.ClientError, TimeoutError, OSError) as error:
                    if is_last or not await self._pool.has_ended(worker):
                        raise self._fault("did not answer", error) from error
                    continue
                stack.push_async_callback(attempt.pop_all().aclose)
                return response
        raise AssertionError("the last attempt returns or raises")

    async def health(self) -> Health:
        """The pool's word on this model."""
        for model in self._pool.snapshot():
            if model.id == self.name:
                return Health(
                    state=model.state,
                    progress=model.progress,
                    memory_bytes=model.memory_bytes,
                    queued=model.queued,
                    leases=model.leases,
                    idle_seconds=model.idle_seconds,
                    pid=model.pid,
                    last_error=model.last_error.cause if model.last_error else None,
                )
        return Health(state="stopped")

    async def close(self) -> None:
        """Nothing is held between requests; the pool is closed by its owner."""

    async def _pieces(self, response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        read = response.content.readany
        try:
            while piece := await read():
                yield piece
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._fault("broke off its answer", error) from error

    def _fault(self, what: str, error: Exception) -> BackendError:
        # aiohttp's words for a connection that is gone are about its parser.
        is_closed = isinstance(error, aiohttp.ClientPayloadError | aiohttp.ServerDisconnectedError)
        how = "its connection closed" if is_closed else str(error) or type(error).__name__
        return BackendError(
            f"the worker of `{self.name}` {what}: {how}",
            retryable=True,
            code="worker_failed",
            where=self.name,
            hint="ask again: a worker that has ended is started anew",
        )


def _session(worker: Worker) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.UnixConnector(str(worker.socket_path), force_close=True),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
        auto_decompress=False,
        read_bufsize=READ_BUFFER_BYTES,
    )


async def _post(session: aiohttp.ClientSession, request: BackendRequest) -> aiohttp.ClientResponse:
    return await session.post(
        f"http://worker{request.path}",
        data=request.body,
        headers={"Content-Type": "application/json", "X-Request-Id": request.request_id},
        allow_redirects=False,
    )
