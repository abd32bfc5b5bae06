"""A script of the user's own: one JSON object as its argument, one on stdout, a start a message.

It is asked `base_model_path`, `adapter_path`, `template` and `message`, and beside them the whole
conversation as `messages` and the `system` prompt. It answers `{"role": "assistant", "content": …}`
or `{"error": …}`; what it prints before that is passed over.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import orjson

from trueup.backends.base import BackendRequest, BackendResponse, Health
from trueup.backends.hosts.host import Host
from trueup.backends.llamafactory.capabilities import capabilities_of
from trueup.backends.llamafactory.faults import Faults
from trueup.backends.llamafactory.place import script_command, subjects
from trueup.backends.llamafactory.request import Asked, read_request
from trueup.backends.llamafactory.wire import Writer
from trueup.config.llamafactory_settings import LlamaFactorySettings
from trueup.errors import BackendError, RequestError
from trueup.events import State

# The system takes no longer argument.
MAX_ARGUMENT_BYTES = 128 * 1024 - 1


class OneShotBackend:
    """One script under one name, run for one request at a time: each start loads a model."""

    title = "LlamaFactory"
    preset = "llamafactory"
    model = None
    version = None

    def __init__(self, settings: LlamaFactorySettings, host: Host) -> None:
        self.name = settings.name
        self.capabilities = replace(
            capabilities_of(settings), streams=False, continuation="none", takes_seed=False
        )
        self.address = f"{settings.script_path} on {host.name}"
        self.runs = None
        self._settings = settings
        self._host = host
        self._faults = Faults(settings, host.name)
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._last_error: str | None = None

    def check(self, path: str, shape: Mapping[str, Any]) -> None:
        """Read the request as it will be asked."""
        read_request(path, shape)

    def conceal(self, text: str) -> str:
        """There is no key."""
        return text

    @asynccontextmanager
    async def open(self, request: BackendRequest) -> AsyncIterator[BackendResponse]:
        """Run the script, in turn; leaving ends it."""
        asked = read_request(request.path, orjson.loads(request.body))
        argument = self._argument(asked)
        self._waiting += 1
        try:
            await self._turn.acquire()
        finally:
            self._waiting -= 1
        try:
            request.on_sent()
            content = await self._answer(argument)
            self._last_error = None
        except BackendError as error:
            self._last_error = error.cause
            raise
        finally:
            self._turn.release()
        kind = "text/event-stream" if asked.is_stream else "application/json"
        yield BackendResponse(
            status=200, headers={"content-type": kind}, body=self._body(asked, content)
        )

    def _argument(self, asked: Asked) -> str:
        messages = asked.message["messages"]
        text = json.dumps(
            {
                "base_model_path": self._settings.base_model_path,
                "adapter_path": self._settings.adapter_path,
                "template": self._settings.template,
                "message": messages[-1]["content"],
                "messages": messages,
                "system": asked.message["system"] or self._settings.default_system,
            },
            ensure_ascii=False,
        )
        if (length := len(text.encode("utf-8", "replace"))) > MAX_ARGUMENT_BYTES:
            raise RequestError(
                f"the conversation has {length} bytes, and a script's argument up to "
                f"{MAX_ARGUMENT_BYTES}",
                param="messages",
                code="conversation_too_long",
                hint="leave `script_path` out: the mode script takes it then",
            )
        return text

    async def _answer(self, argument: str) -> str:
        """What the script says.

        Raises: BackendError.
        """
        seconds = self.capabilities.limits.total_seconds
        command = script_command(self._settings)
        finished = await self._host.run(command, stdin=argument.encode(), seconds=seconds)
        said = last_object(finished.stdout.decode("utf-8", "replace"))
        content = None if said is None else said.get("content")
        if isinstance(content, str):
            return content
        if said is None and finished.status in subjects(self._settings):
            raise self._faults.of_command(finished)
        raise self._faults.of_script(said, finished)

    async def _body(self, asked: Asked, content: str) -> AsyncIterator[bytes]:
        writer = Writer(asked.model, int(time.time()))
        end = {"finish_reason": "stop", "usage": None}
        piece = writer.delta({"text": content, "token_ids": []})
        if asked.is_stream:
            yield writer.begin() + piece + writer.end(end, wants_usage=False)
        else:
            yield writer.whole(end)

    async def look(self) -> None:
        """There is nothing to ask before somebody asks."""

    async def load(self) -> None:
        """Each request loads its own."""

    async def health(self) -> Health:
        """Whether it runs now."""
        state: State = "ready" if self._last_error is None else "failed"
        return Health(
            state=state,
            queued=self._waiting,
            leases=int(self._turn.locked()),
            last_error=self._last_error,
        )

    async def close(self) -> None:
        """End what runs."""
        await self._host.close()


def last_object(text: str) -> dict[str, Any] | None:
    """The last JSON object with a `content` or an `error` that begins a line of a text."""
    decoder = json.JSONDecoder()
    start = len(text)
    while (start := text.rfind("{", 0, start)) >= 0:
        if text[:start].rpartition("\n")[2].strip():
            continue
        try:
            found, _ = decoder.raw_decode(text, start)
        except ValueError:
            continue
        if isinstance(found, dict) and found.keys() & {"content", "error"}:
            return found
    return None
