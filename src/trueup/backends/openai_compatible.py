"""A server that others run and that speaks OpenAI's wire: asked over HTTP, its bytes as they come.

It decides nothing about retries, parameters or silence: that is the gateway's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from trueup.backends.base import BackendRequest, BackendResponse, Capabilities, Health
from trueup.backends.http import Address, RequestHeads, fault_of
from trueup.backends.http_answer import Answer, Body
from trueup.backends.http_client import Client
from trueup.backends.http_fault import HttpFault
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
UNAUTHORIZED = (401, 403)
NOT_FOUND = 404
SERVER_ERROR = 500
UNAVAILABLE = 503
# What stands for a key.
CONCEALED = "***"


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
        self._heads = RequestHeads(settings, self.address)
        self._open_client: Client | None = None
        self._socket_path: str | None = None
        self._state: State = "starting"
        self._last_error: str | None = None
        self.leases = 0
        self._looked_at: float | None = None
        self._looking: asyncio.Task[None] | None = None
        self._is_closed = False

    def __repr__(self) -> str:
        return f"OpenAICompatibleBackend({self.name!r}, {str(self.address)!r})"

    def check(self, path: str, shape: Mapping[str, Any]) -> None:
        """Nothing is known to be impossible before it was asked."""

    def conceal(self, text: str) -> str:
        """The text without the key."""
        key = self._settings.api_key
        return text.replace(key.reveal(), CONCEALED) if key is not None else text

    def open(self, request: BackendRequest) -> _Opened:
        """Ask; leaving closes the connection unless the body was read to its end."""
        return _Opened(self, request)

    async def ask(self, request: BackendRequest) -> Answer:
        """The head of an answer.

        Raises:
            BackendError: there is none.
        """
        body = request.body
        wire = b"%bX-Request-Id: %b\r\nContent-Length: %d\r\n\r\n%b" % (
            self._heads.of("POST", request.path),
            request.request_id.encode("latin-1"),
            len(body),
            body,
        )
        try:
            answer = await self._client().ask(wire)
        except HttpFault as fault:
            raise self.fault(fault) from fault
        self._note(answer.status)
        return answer

    def _client(self) -> Client:
        client = self._open_client
        if client is None:
            client = self._open_client = Client(
                replace(self.address.endpoint, socket_path=self._socket_path),
                connect_seconds=self.capabilities.limits.connect_seconds,
            )
        return client

    def fault(self, fault: HttpFault, *, in_body: bool = False) -> BackendError:
        """A failure of the connection in our words; it is noted."""
        error = fault_of(self.name, self.address, fault, in_body=in_body)
        if not in_body and not fault.is_ours:
            self._state, self._last_error = "failed", error.cause
        return error

    async def broken(self, fault: HttpFault) -> BackendError:
        """The error of an answer that broke off."""
        return self.fault(fault, in_body=True)

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
            leases=self.leases,
            last_error=self._last_error if self._state == "failed" else None,
            version=self.version,
        )

    async def load(self) -> None:
        """Its model is others' to load."""

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
        if self._open_client is not None:
            await self._open_client.close()
            self._open_client = None

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
            status, body = await self._get("/v1/models")
        except (HttpFault, TimeoutError) as error:
            silent = HttpFault(f"it was silent for {LOOK_SECONDS:g} s")
            self.fault(error if isinstance(error, HttpFault) else silent)
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
            status, body = await self._get(self._preset.version_path)
        except (HttpFault, TimeoutError):
            return
        if status == 200:
            self.version = version(body, self._preset.version_key)

    async def _get(self, path: str) -> tuple[int, bytes]:
        async with asyncio.timeout(LOOK_SECONDS):
            answer = await self._client().ask(self._heads.of("GET", path) + b"\r\n")
            try:
                body = b""
                async for piece in answer:
                    body += piece
                    if len(body) > MAX_LOOK_BYTES:
                        break
                return answer.status, body
            finally:
                answer.leave()


class _Opened:
    """A request under way; leaving it closes the connection unless the answer is whole.

    No generator: entering and leaving one costs more than all that is done here.
    """

    def __init__(self, backend: OpenAICompatibleBackend, request: BackendRequest) -> None:
        self._backend = backend
        self._request = request
        self._answer: Answer | None = None

    async def __aenter__(self) -> BackendResponse:
        self._request.on_sent()
        self._backend.leases += 1
        try:
            answer = self._answer = await self._backend.ask(self._request)
        except BaseException:
            self._backend.leases -= 1
            raise
        body = Body(answer, self._backend.broken)
        return BackendResponse(
            status=answer.status,
            headers=answer.headers,
            body=body,
            pump=body.pump,
            is_framed=not answer.ends_with_connection,
        )

    async def __aexit__(self, *_: object) -> None:
        self._backend.leases -= 1
        if self._answer is not None:
            self._answer.leave()
