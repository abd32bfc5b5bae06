"""Far workers of the stand-in: backends to ask, and the processes that belong to them."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from trueup.backends.base import Backend, BackendRequest
from trueup.backends.llamafactory.backend import LlamaFactoryBackend
from trueup.backends.llamafactory.opening import open_llamafactory
from trueup.config.llamafactory_settings import LlamaFactorySettings

FAKE = Path(__file__).parent / "fake"
PATH = "/v1/chat/completions"


@dataclass
class Bench:
    """A place where workers of the stand-in are started; `loads` has a line for each load."""

    folder: Path
    path: Path = FAKE
    said: list[str] = field(default_factory=list)

    @property
    def base(self) -> Path:
        return self.folder / "base"

    @property
    def gate(self) -> Path:
        """The answer to `hold` goes on when it exists."""
        return self.folder / "gate"

    def loads(self) -> list[int]:
        """The pids of the processes that have loaded a model."""
        file = self.folder / "loads"
        return [int(line) for line in file.read_text().split()] if file.exists() else []

    def settings(self, **more: Any) -> LlamaFactorySettings:
        told = {"name": "far", "base_model_path": str(self.base), "python": sys.executable}
        return LlamaFactorySettings(**{**told, **more})

    @asynccontextmanager
    async def backend(self, **more: Any) -> AsyncIterator[LlamaFactoryBackend]:
        backend = open_llamafactory(self.settings(**more), say=self.said.append)
        assert isinstance(backend, LlamaFactoryBackend)
        try:
            yield backend
        finally:
            await backend.close()


def request(content: str | list[Any], **more: Any) -> BackendRequest:
    messages = [{"role": "user", "content": content}] if isinstance(content, str) else content
    shape = {"model": "far", "messages": messages, **more}
    body = json.dumps(shape).encode()
    return BackendRequest(request_id="r", path=PATH, body=body, is_stream=bool(more.get("stream")))


@dataclass
class Answer:
    """What a stream said."""

    text: str = ""
    finish_reason: str | None = None
    usage: dict[str, int] | None = None
    calls: list[Any] = field(default_factory=list)
    token_ids: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    is_done: bool = False
    hint: str | None = None

    def take(self, piece: bytes) -> None:
        for event in piece.decode().split("\n\n")[:-1]:
            data = event.removeprefix("data: ")
            if data == "[DONE]":
                self.is_done = True
                continue
            chunk = json.loads(data)
            self.usage = chunk.get("usage", self.usage)
            if private := chunk.get("trueup"):
                self.hint = private.get("hint")
                self.token_ids += private.get("token_ids", [])
                if "position" in private:
                    self.positions.append(private["position"])
            for choice in chunk["choices"]:
                self.text += choice["delta"].get("content") or ""
                self.calls += choice["delta"].get("tool_calls") or []
                self.finish_reason = choice["finish_reason"] or self.finish_reason


async def streamed(backend: Backend, content: Any, **more: Any) -> Answer:
    answer = Answer()
    options = {"stream_options": {"include_usage": True}}
    async with backend.open(request(content, stream=True, **options, **more)) as response:
        async for piece in response.body:
            answer.take(piece)
    return answer


async def whole(backend: Backend, content: Any, **more: Any) -> dict[str, Any]:
    async with backend.open(request(content, **more)) as response:
        shape: dict[str, Any] = json.loads(b"".join([piece async for piece in response.body]))
    return shape


def relay_of(pid: int) -> psutil.Process:
    """The relay that a process of ours has started."""
    (relay,) = [each for each in psutil.Process(pid).children() if "attach" in each.cmdline()]
    return relay


def keeper_of(model_pid: int) -> psutil.Process:
    keeper = psutil.Process(model_pid).parent()
    assert keeper is not None
    assert "keep" in keeper.cmdline()
    return keeper


def is_gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody has waited for is no process any more."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def until(is_so: Callable[[], bool | Awaitable[bool]]) -> None:
    """Wait for what nobody can tell of: another process' end, a count in a server."""
    while True:
        found = is_so()
        if await found if isinstance(found, Awaitable) else found:
            return
        await asyncio.sleep(0.01)


async def ended(*pids: int) -> None:
    """Wait until these processes have ended."""
    await until(lambda: all(is_gone(pid) for pid in pids))


async def counted(backend: LlamaFactoryBackend, *, leases: int = 0, queued: int = 0) -> None:
    """Wait until so many are answered, and so many wait."""

    async def is_so() -> bool:
        health = await backend.health()
        return health.leases >= leases and health.queued >= queued

    await until(is_so)
