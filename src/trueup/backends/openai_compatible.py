"""A server that others run and that speaks OpenAI's wire: asked over HTTP, its bytes as they come.

It decides nothing about retries, parameters or silence: that is the gateway's. The one request
that is sent a second time here met a connection that had died while it was idle.
"""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Self

import aiohttp

from trueup.backends.base import BackendRequest, BackendResponse, Capabilities, Health
from trueup.backends.http import (
    FAILURES,
    Address,
    IdleConnectionDiedError,
    fault_of,
    open_session,
)
from trueup.backends.look import listed, version
from trueup.backends.presets import Preset
from trueup.config.settings import BackendSettings
from trueup.errors import BackendError
from trueup.events import State

# How long the word of a server on itself is believed, and how long it may take to give it.
LOOK_EVERY_SECONDS = 300.0
LOOK_AGAIN_SECONDS = 5.0
LOOK_SECONDS = 5.0
MAX_LOOK_BYTES = 2**22
# aiohttp warns of more than that in one piece; what it reads from it sends piece by piece.
MAX_PLAIN_BYTES = 2**20
UNAUTHORIZED = (401, 403)
NOT_FOUND = 404
SERVER_ERROR = 500
UNAVAILABLE = 503


class OpenAICompatibleBackend:
    """One server under one name; must be used in one event loop."""

    def __init__(
        self,
        settings: BackendSettings,
        preset: Preset,
        capabilities: Capabilities,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises: ConfigError where the settings' URL cannot be used."""
        self.name = settings.name
        self.title = preset.title
        self.preset = preset.name
        self.capabilities = capabilities
        self.model = settings.model
        self.version: str | None = None
        self.address = Address(settings.url or preset.url or "", where=settings.place)
        self._settings = settings
        self._preset = preset
        self._clock = clock
        self._reusing: aiohttp.ClientSession | None = None
        self._fresh: aiohttp.ClientSession | None = None
        self._state: State = "starting"
        self._last_error: str | None = None
        self._leases = 0
        self._looked_at: float | None = None
        self._looking: asyncio.Task[None] | None = None
        self._is_closed = False

    def __repr__(self) -> str:
        return f"OpenAICompatibleBackend({self.name!r}, {str(self.address)!r})"

    def check(self, path: str, shape: Mapping[str, Any]) -> None:
        """Nothing is known to be impossible before it was asked."""

    @asynccontextmanager
    async def open(self, request: BackendRequest) -> AsyncIterator[BackendResponse]:
        """Ask; leaving closes the connection unless the body was read to its end."""
        request.on_sent()
        self._leases += 1
        response = None
        try:
            response = await self._asked(request)
            self._note(response.status)
            yield BackendResponse(
                status=response.status,
                headers={name.lower(): value for name, value in response.headers.items()},
                body=_Body(self, response),
            )
        finally:
            self._leases -= 1
            if response is not None:
                response.close()

    async def _asked(self, request: BackendRequest) -> aiohttp.ClientResponse:
        try:
            try:
                return await self._post(self._session(), request)
            except IdleConnectionDiedError:
                # The server gave it up while we took it: most likely it has seen no request.
                return await self._post(self._session(keeps_alive=False), request)
        except FAILURES as error:
            raise self.fault(error) from error

    async def _post(
        self, session: aiohttp.ClientSession, request: BackendRequest
    ) -> aiohttp.ClientResponse:
        body = request.body
        return await session.post(
            self.address.of(request.path),
            data=body if len(body) <= MAX_PLAIN_BYTES else io.BytesIO(body),
            headers={"X-Request-Id": request.request_id},
            allow_redirects=False,
        )

    def _session(self, *, keeps_alive: bool = True) -> aiohttp.ClientSession:
        session = self._reusing if keeps_alive else self._fresh
        if session is None:
            headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
            if self._settings.api_key is not None:
                headers["Authorization"] = f"Bearer {self._settings.api_key.reveal()}"
            session = open_session(
                connect_seconds=self.capabilities.limits.connect_seconds,
                headers=headers,
                keeps_alive=keeps_alive,
            )
            if keeps_alive:
                self._reusing = session
            else:
                self._fresh = session
        return session

    def fault(self, error: Exception, *, in_body: bool = False) -> BackendError:
        """A failure of the connection in our words; it is noted."""
        fault = fault_of(self.name, self.address, error, in_body=in_body)
        if not in_body:
            self._state, self._last_error = "failed", fault.cause
        return fault

    def _note(self, status: int) -> None:
        """Keep what an answer's status says of the server."""
        if status in UNAUTHORIZED:
            what = "wants a key" if self._settings.api_key is None else "refuses the key"
            self._fail(f"{what}: status {status}")
        elif status < SERVER_ERROR:
            self._state = "ready"
            # It may have been started anew with another model.
            every = LOOK_AGAIN_SECONDS if status == NOT_FOUND else LOOK_EVERY_SECONDS
            if self._looking is None and self._is_due(every):
                self._look()

    def _fail(self, what: str) -> None:
        self._state, self._last_error = "failed", f"`{self.name}` at {self.address} {what}"

    async def health(self) -> Health:
        """What is known; what is old is asked for anew, for the next time."""
        every = LOOK_EVERY_SECONDS if self._state == "ready" else LOOK_AGAIN_SECONDS
        if self._looking is None and self._is_due(every):
            self._look()
        return Health(
            state=self._state,
            leases=self._leases,
            last_error=self._last_error if self._state == "failed" else None,
            version=self.version,
        )

    async def look(self) -> None:
        """See now what the server says of itself; never raises."""
        if self._looking is None:
            self._look()
        if self._looking is not None:
            await asyncio.wait((self._looking,))

    async def close(self) -> None:
        """Close the connections; whoever still reads gets an error."""
        self._is_closed = True
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait((self._looking,))
        for session in (self._reusing, self._fresh):
            if session is not None:
                await session.close()
        self._reusing = self._fresh = None

    def _is_due(self, seconds: float) -> bool:
        if self._is_closed:
            return False
        return self._looked_at is None or self._clock() - self._looked_at >= seconds

    def _look(self) -> None:
        self._looked_at = self._clock()
        self._looking = asyncio.create_task(self._learn())
        self._looking.add_done_callback(self._looked)

    def _looked(self, task: asyncio.Task[None]) -> None:
        self._looking = None

    async def _learn(self) -> None:
        try:
            status, body = await self._get(self.address.of("/v1/models"))
        except FAILURES as error:
            self.fault(error)
            return
        if status == UNAVAILABLE:
            self._state = "starting"
        elif status >= SERVER_ERROR:
            self._fail(f"answers with status {status}")
        else:
            self._note(status)
        if status == 200 and (found := listed(body)) is not None:
            if self._settings.model is None:
                self.model = found.name_for(self.name)
            if self._settings.context_tokens is None:
                tokens = found.context_of(self.model or self.name)
                self.capabilities = replace(self.capabilities, context_tokens=tokens)
        if self._preset.version_path and status < SERVER_ERROR:
            await self._learn_version()

    async def _learn_version(self) -> None:
        try:
            status, body = await self._get(self.address.below_root(self._preset.version_path))
        except FAILURES:
            return
        if status == 200:
            self.version = version(body, self._preset.version_key)

    async def _get(self, url: Any) -> tuple[int, bytes]:
        async with (
            asyncio.timeout(LOOK_SECONDS),
            self._session().get(url, allow_redirects=False) as response,
        ):
            body = await response.content.read(MAX_LOOK_BYTES)
            while response.status == 200 and not response.content.at_eof():
                if len(body) > MAX_LOOK_BYTES:
                    break
                body += await response.content.readany()
            return response.status, body


class _Body:
    """The body in the pieces that come, and the connection's failures as ours.

    No generator: one that is left before its end costs a task to clean up.
    """

    def __init__(self, backend: OpenAICompatibleBackend, response: aiohttp.ClientResponse) -> None:
        self._backend = backend
        self._read = response.content.readany

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            piece = await self._read()
        except FAILURES as error:
            raise self._backend.fault(error, in_body=True) from error
        if not piece:
            raise StopAsyncIteration
        return piece
