"""The mode api: LlamaFactory's own API, launched under the keeper or run by others on a host.

Its port is loopback's there and comes here as a Unix socket. What is known to break it is kept from
it by the preset's table, and by checking the turns of a conversation before it is asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

import orjson

from trueup.backends.base import BackendRequest, BackendResponse, Capabilities
from trueup.backends.hosts.host import Host
from trueup.backends.http_answer import Answer
from trueup.backends.llamafactory.backend import LlamaFactoryBackend
from trueup.backends.llamafactory.capabilities import capabilities_of
from trueup.backends.llamafactory.far.lines import Message
from trueup.backends.llamafactory.request import CHAT, Asked, read_request
from trueup.backends.openai_compatible import OpenAICompatibleBackend
from trueup.backends.presets import PRESETS
from trueup.config.llamafactory_settings import PRESET, LlamaFactorySettings
from trueup.config.secret import Secret
from trueup.config.settings import BackendSettings
from trueup.errors import BackendError, ConfigError, TrueUpError

# A request that got no answer at all, and how long the end of its server may take to be told.
UNANSWERED = ("backend_closed", "backend_unreachable")
DEATH_SECONDS = 5.0
# What a way through a host leads to.
LOOPBACK = ("127.0.0.1", "localhost")
PLAIN_ROLES = {"user", "assistant"}


class ForwardedBackend(OpenAICompatibleBackend):
    """An API on a host's loopback; the way there is opened when somebody asks."""

    def __init__(
        self, settings: BackendSettings, capabilities: Capabilities, host: Host, *, owns_host: bool
    ) -> None:
        super().__init__(settings, PRESETS[PRESET], capabilities)
        self._host = host
        self._owns_host = owns_host
        self._ways = AsyncExitStack()
        self._opening = asyncio.Lock()

    def check(self, path: str, shape: Mapping[str, Any]) -> None:
        """Refuse turns that would break its stream after the status."""
        if path == CHAT:
            _conversation(shape)

    async def ask(self, request: BackendRequest) -> Answer:
        """The head of an answer."""
        await self._reach()
        if request.path == CHAT:
            request = replace(request, body=_in_turn(request.body))
        return await super().ask(request)

    async def _get(self, path: str) -> tuple[int, bytes]:
        await self._reach()
        return await super()._get(path)

    async def _reach(self) -> None:
        async with self._opening:
            if self._socket_path is None:
                way = self._host.forward(self.address.endpoint.port)
                self._socket_path = str(await self._ways.enter_async_context(way))

    async def close(self) -> None:
        """Close the connections and the way."""
        await super().close()
        await self._ways.aclose()
        if self._owns_host:
            await self._host.close()


def attached(settings: LlamaFactorySettings, host: Host) -> ForwardedBackend:
    """An API that others run, as its host sees it: on the loopback there.

    Raises: ConfigError for a URL that leads elsewhere.
    """
    told = BackendSettings(
        name=settings.name,
        url=settings.url or "",
        preset=PRESET,
        model=settings.model,
        api_key=settings.api_key,
        context_tokens=settings.context_tokens,
        place=settings.place,
    )
    backend = ForwardedBackend(told, _capabilities(settings), host, owns_host=True)
    if backend.address.endpoint.host not in LOOPBACK:
        raise ConfigError(
            f"`url` is {backend.address}, and the way through {host.name} leads to its loopback",
            where=settings.place or None,
            hint=f"write http://127.0.0.1:{backend.address.endpoint.port}, and as `host` the "
            "machine on which it listens",
        )
    return backend


class ApiBackend(LlamaFactoryBackend):
    """An API of our own, loaded by the first request and unloaded when idle."""

    title = "LlamaFactory API"

    def __init__(
        self,
        settings: LlamaFactorySettings,
        host: Host,
        root: str,
        *,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        super().__init__(settings, host, root, say=say)
        self.capabilities = replace(_capabilities(settings), queues=True)
        self._api: ForwardedBackend | None = None
        self._api_facts: tuple[str, str, str] | None = None
        self._loading = asyncio.Lock()

    def conceal(self, text: str) -> str:
        """The text without the key that was made for it."""
        return self._api.conceal(text) if self._api is not None else text

    def check(self, path: str, shape: Mapping[str, Any]) -> None:
        """Refuse what is no chat, and turns out of order, before it is loaded."""
        if path != CHAT:
            read_request(path, shape)
        _conversation(shape)

    @asynccontextmanager
    async def open(self, request: BackendRequest) -> AsyncIterator[BackendResponse]:
        """Ask, loading the model where it is not loaded, or its server has died unseen."""
        api = await self._loaded()
        self._running += 1
        try:
            async with AsyncExitStack() as answer:
                try:
                    response = await answer.enter_async_context(api.open(request))
                except BackendError as error:
                    if error.code not in UNANSWERED or not await self._has_died(api):
                        raise
                    api = await self._loaded()
                    response = await answer.enter_async_context(api.open(request))
                yield response
        finally:
            self._running -= 1
            self._idle.rest()

    async def _loaded(self) -> ForwardedBackend:
        """The API that is loaded now; who gets it counts itself as running before it waits."""
        self._idle.wake()
        self._waiting += 1
        try:
            async with self._loading:
                await self.load()
                return await self._reached()
        finally:
            self._waiting -= 1
            self._idle.rest()

    async def _has_died(self, api: ForwardedBackend) -> bool:
        """Whether the server that has not answered is no more: its keeper tells of it at once."""
        try:
            async with asyncio.timeout(DEATH_SECONDS):
                while self._api is api and self._session.state.get("state") == "ready":
                    if _facts_of(self._session.state) != self._api_facts:
                        break
                    await self._session.changes()
        except TimeoutError:
            return False
        except TrueUpError:  # the keeper is gone too
            return True
        return True

    async def _reached(self) -> ForwardedBackend:
        """The API that is loaded now; each load has a port and a key of its own."""
        facts = _facts_of(self._session.state)
        if self._api is not None and self._api_facts == facts:
            return self._api
        if self._api is not None:
            await self._api.close()
        url, key, model = facts
        told = BackendSettings(
            name=self.name, url=url, preset=PRESET, model=model, api_key=Secret(key)
        )
        self._api = ForwardedBackend(told, self.capabilities, self._host, owns_host=False)
        self._api_facts = facts
        return self._api

    async def close(self) -> None:
        """Unload the model and leave nothing behind."""
        if self._api is not None:
            await self._api.close()
        await super().close()


def _facts_of(state: Message) -> tuple[str, str, str]:
    """Where the API listens, with what key, and what its model is called."""
    return f"http://127.0.0.1:{state['port']}/v1", str(state["key"]), str(state["model"])


def _capabilities(settings: LlamaFactorySettings) -> Capabilities:
    """What the preset knows of it, with this model's limits."""
    ours = capabilities_of(settings)
    return replace(
        PRESETS[PRESET].capabilities, limits=ours.limits, context_tokens=settings.context_tokens
    )


def _conversation(shape: Mapping[str, Any]) -> Asked:
    """Who said what in a request; the rest of it is the API's to read.

    Raises: RequestError for turns out of order.
    """
    wanted = ("model", "messages", "tools")
    return read_request(CHAT, {name: shape[name] for name in wanted if name in shape})


def _in_turn(body: bytes) -> bytes:
    """The request with one turn for what one side said twice in a row."""
    shape = orjson.loads(body)
    asked = _conversation(shape)
    turns = list(asked.message["messages"])
    if any(turn["role"] not in PLAIN_ROLES for turn in turns):
        return body
    if system := asked.message["system"]:
        turns.insert(0, {"role": "system", "content": system})
    return orjson.dumps({**shape, "messages": turns})
