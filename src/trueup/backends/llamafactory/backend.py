"""A model that LlamaFactory runs, kept loaded by a far worker; what the gateway asks.

The worker is started by the first request and unloaded when idle. What the far side speaks stays
in here: the gateway reads OpenAI's wire.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import orjson

from trueup.backends.base import BackendRequest, BackendResponse, Health
from trueup.backends.hosts.host import Host
from trueup.backends.llamafactory.answering import Answering
from trueup.backends.llamafactory.capabilities import PLAIN, capabilities_of
from trueup.backends.llamafactory.far.lines import Message
from trueup.backends.llamafactory.faults import Faults
from trueup.backends.llamafactory.garbage import Hints
from trueup.backends.llamafactory.idle import Idle
from trueup.backends.llamafactory.link import Way
from trueup.backends.llamafactory.request import Asked, read_request
from trueup.backends.llamafactory.session import Session
from trueup.backends.llamafactory.templates import warning_of
from trueup.backends.llamafactory.wire import Writer
from trueup.config.llamafactory_settings import LlamaFactorySettings
from trueup.errors import BackendError
from trueup.events import ModelStateChanged, State, emit

STATES: Mapping[str, State] = {
    "stopped": "stopped",
    "loading": "starting",
    "ready": "ready",
    "failed": "failed",
}


class LlamaFactoryBackend:
    """One model under one name; must be used in one event loop."""

    title = "LlamaFactory"
    preset = "llamafactory"
    model = None

    def __init__(
        self,
        settings: LlamaFactorySettings,
        host: Host,
        root: str,
        *,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        """`root` is the folder of workers on the host, as shell text; `say` tells of a load."""
        self.name = settings.name
        self.version: str | None = None
        self.capabilities = capabilities_of(settings)
        parts = (settings.base_model_path, settings.adapter_path)
        self.address = f"{' + '.join(part for part in parts if part)} on {host.name}"
        # What tells the same model in another's words.
        self.runs = {
            "base_model_path": settings.base_model_path,
            "adapter_path": settings.adapter_path,
            "template": settings.template,
            "work_dir": settings.work_dir,
            "host": None if settings.ssh is None else settings.ssh.host,
            "port": None if settings.ssh is None else settings.ssh.port,
        }
        self._settings = settings
        self._host = host
        self._say = say
        self._faults = Faults(settings, host.name)
        self._session = Session(
            Way(settings, host, root, self._faults),
            name=settings.name,
            lease_seconds=settings.lease_seconds,
            changed=self._changed,
            say=say,
        )
        self._state: State = "stopped"
        self._is_told = False
        self._hints = Hints()
        self._running = self._waiting = self._loads = 0
        self._idle = Idle(
            settings.idle_seconds,
            is_used=self._is_used,
            settle=self._session.settle,
            unload=self._session.unload,
        )
        if warning := warning_of(settings.template):
            say(f"warning: `{settings.name}`: {warning}")

    def check(self, path: str, shape: Mapping[str, Any]) -> None:
        """Read the request as it will be asked, before anything is loaded."""
        read_request(path, shape)

    def conceal(self, text: str) -> str:
        """There is no key."""
        return text

    @asynccontextmanager
    async def open(self, request: BackendRequest) -> AsyncIterator[BackendResponse]:
        """Ask, loading the model where it is not loaded; waits for the request's turn."""
        asked = read_request(request.path, orjson.loads(request.body))
        self._idle.wake()
        self._waiting += 1
        is_waiting, answering = True, None
        try:
            answering = await self._session.ask(dict(asked.message))
            await self._started(answering)
            self._waiting, self._running, is_waiting = self._waiting - 1, self._running + 1, False
            request.on_sent()
            kind = "text/event-stream" if asked.is_stream else "application/json"
            yield BackendResponse(
                status=200,
                headers={"content-type": kind},
                body=self._body(asked, answering),
            )
        finally:
            if is_waiting:
                self._waiting -= 1
            else:
                self._running -= 1
            if answering is not None:
                await self._session.leave(answering)
            self._idle.rest()

    async def _started(self, answering: Answering) -> None:
        """Wait for a load, and for the answers before it.

        Raises: TrueUpError.
        """
        began = time.monotonic()
        while True:
            left: float | None = None
            if self._session.state.get("state") != "ready":
                left = self._settings.load_seconds - (time.monotonic() - began)
            try:
                async with asyncio.timeout(left):
                    event = await answering.next()
            except TimeoutError:
                if self._session.state.get("state") == "ready":
                    continue  # loaded meanwhile: the rest is a queue
                raise self._slow_load() from None
            if event["event"] == "started":
                return
            if event["event"] == "error":
                raise self._faults.of_event(event)

    def _slow_load(self) -> BackendError:
        stage = self._session.state.get("stage", "starting")
        return BackendError(
            f"`{self.name}` is not loaded after {self._settings.load_seconds:g} s: it is {stage}",
            retryable=False,
            code="worker_failed",
            where=self.name,
            hint="a larger `load_seconds` waits longer",
        )

    async def _body(self, asked: Asked, answering: Answering) -> AsyncIterator[bytes]:
        writer = Writer(asked.model, int(time.time()), given_tokens=asked.given_tokens)
        if asked.is_stream:
            yield writer.begin()
        while True:
            event = await answering.next()
            kind = event["event"]
            if kind == "delta":
                piece = writer.delta(event)
                if asked.is_stream:
                    yield piece
            elif kind == "end":
                hint = self._hint(writer.text, event["finish_reason"])
                if asked.is_stream:
                    yield writer.end(event, wants_usage=asked.wants_usage, hint=hint)
                else:
                    yield writer.whole(event, hint=hint)
                return
            elif kind == "error":
                raise self._faults.of_event(event)

    def _hint(self, text: str, finish_reason: str) -> str | None:
        """What an answer tells of the model's settings; it is said here, too."""
        hint = self._hints.of(text, finish_reason)
        if hint is not None:
            self._say(f"warning: `{self.name}`: {hint}")
        return hint

    async def look(self) -> None:
        """Nothing is asked before somebody asks: that would load the model."""

    async def load(self) -> None:
        """Have the model loaded.

        Raises: TrueUpError.
        """
        self._idle.wake()
        self._loads += 1
        try:
            async with asyncio.timeout(self._settings.load_seconds):
                await self._session.load()
                while self._session.state.get("state") not in ("ready", "failed"):
                    await self._session.changes()
        except TimeoutError:
            raise self._slow_load() from None
        finally:
            self._loads -= 1
            self._idle.rest()
        if self._session.state["state"] == "failed":
            raise self._faults.of_event(self._session.state["error"])

    async def health(self) -> Health:
        """What the worker said last."""
        idle = self._idle.since
        return Health(
            state=self._state,
            memory_bytes=self._session.memory_bytes if self._state == "ready" else None,
            queued=self._waiting,
            leases=self._running,
            idle_seconds=None if idle is None else time.monotonic() - idle,
            pid=self._session.state.get("pid"),
            last_error=self._last_error(),
            version=self.version,
        )

    def _last_error(self) -> str | None:
        error = self._session.state.get("error")
        return None if error is None else self._faults.of_event(error).cause

    async def close(self) -> None:
        """Unload the model and leave nothing behind."""
        await self._idle.close()
        await self._session.close()
        await self._host.close()

    def _is_used(self) -> bool:
        return bool(self._running or self._waiting or self._loads)

    def _changed(self) -> None:
        """Tell of what the worker says of itself."""
        said = self._session.state
        before, self._state = self._state, STATES.get(str(said.get("state")), "failed")
        if self._state != before:
            error = self._last_error()
            emit(
                ModelStateChanged(
                    at_seconds=time.monotonic(),
                    model_id=self.name,
                    before=before,
                    after=self._state,
                    reason=error,
                )
            )
        if self._state == "ready":
            self._is_told = False
            if said.get("is_plain") and before != "ready":
                self._say(f"warning: `{self.name}`: {PLAIN}")
            self.version = said.get("version")
            self._learn(said)
        elif self._state == "starting" and "weights_bytes" in said and not self._is_told:
            self._is_told = True
            self._say(_memory_line(self.name, self._host.name, said))

    def _learn(self, said: Message) -> None:
        """What is known of a model once it is loaded."""
        known = self.capabilities
        context = self._settings.context_tokens or said.get("context_tokens")
        if not said.get("continues"):
            known = replace(known, continuation="none", takes_seed=False)
        self.capabilities = replace(
            known, is_exact=said.get("dtype") == "float32", context_tokens=context
        )


def _memory_line(name: str, host: str, said: Message) -> str:
    weights, free = said.get("weights_bytes"), said.get("free_bytes")
    needs = "weights of unknown size" if weights is None else f"{_size(weights)} of weights"
    has = "" if free is None else f", {_size(free)} of memory are free"
    return f"`{name}` is being loaded on {host}: {needs}{has}"


def _size(count: int) -> str:
    unit, name = (10**9, "GB") if count >= 10**9 else (10**6, "MB")
    return f"{count / unit:.1f} {name}"
