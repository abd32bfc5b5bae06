"""Stand-ins with a script: a backend that says what it is told to, a client on raw ASGI."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson

from trueup.backends.base import BackendRequest, BackendResponse, Capabilities, Health
from trueup.backends.local import PARSERS

Step = bytes | Exception | Callable[[], Awaitable[None]]
SSE = {"content-type": "text/event-stream"}
# What every client sends.
DEFAULT_HEADERS = {"host": "127.0.0.1:8484", "content-type": "application/json"}


def chunk(text: str = "", *, finish: str | None = None, index: int = 0, position: int = 0) -> bytes:
    """A chat chunk as a worker sends it, with the private key."""
    shape = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "demo",
        "choices": [
            {
                "index": index,
                "delta": {"content": text} if text else {},
                "logprobs": None,
                "finish_reason": finish,
            }
        ],
        "trueup": {"position": position, "token_ids": [5]},
    }
    return b"data: " + orjson.dumps(shape) + b"\n\n"


def answer(*texts: str) -> tuple[bytes, ...]:
    """A whole stream: these texts, a finish chunk, [DONE]."""
    pieces = [chunk(text, position=index) for index, text in enumerate(texts)]
    return (*pieces, chunk(finish="stop", position=len(texts)), b"data: [DONE]\n\n")


def whole_answer(text: str = "hello", *, finish: str | None = "stop") -> bytes:
    """A whole chat completion."""
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return orjson.dumps(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": "demo",
            "choices": [choice],
        }
    )


LOCAL = Capabilities(continuation="token_ids", takes_seed=True, queues=True)


async def forever() -> None:
    """Never returns."""
    await asyncio.Event().wait()


@dataclass(frozen=True)
class Turn:
    """One answer of a backend that has another one for each request."""

    steps: Sequence[Step] = ()
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: SSE)


class FakeBackend:
    """Plays `steps` as the body of every answer; `before` is played before the status.

    Where there are `turns`, each request gets the next one. A step is bytes to send, an exception
    to raise, or something to await.
    `open_count` and `closed_count` tell whether leases leak.
    """

    model: str | None = None
    version: str | None = None

    def __init__(
        self,
        steps: Sequence[Step] = (),
        *,
        name: str = "fake",
        status: int = 200,
        headers: Mapping[str, str] = SSE,
        before: Iterable[Step] = (),
        health: Health | None = None,
        capabilities: Capabilities | None = None,
        is_foreign: bool = False,
        turns: Sequence[Turn] = (),
    ) -> None:
        self.turns = turns
        self.is_foreign = is_foreign
        self.name = name
        self.capabilities = capabilities or (Capabilities() if is_foreign else LOCAL)
        self.steps = steps
        self.status = status
        self.headers = headers
        self.before = before
        self.requests: list[BackendRequest] = []
        self.open_count = 0
        self.closed_count = 0
        self.closed = asyncio.Event()
        self._health = health or Health(state="ready")

    def conceal(self, text: str) -> str:
        return text

    def check(self, path: str, shape: Mapping[str, Any]) -> None:
        """As one of our own workers, unless it is told that it is foreign."""
        if not self.is_foreign:
            PARSERS[path](shape)

    @asynccontextmanager
    async def open(self, request: BackendRequest) -> AsyncIterator[BackendResponse]:
        turn = Turn(self.steps, self.status, self.headers)
        if self.turns:  # the last one is played for ever
            turn = self.turns[min(self.open_count, len(self.turns) - 1)]
        self.requests.append(request)
        self.open_count += 1
        try:
            async for _ in play(self.before):
                pass
            yield BackendResponse(status=turn.status, headers=turn.headers, body=play(turn.steps))
        finally:
            self.closed_count += 1
            self.closed.set()

    async def health(self) -> Health:
        return self._health

    async def close(self) -> None:
        pass


async def play(steps: Iterable[Step]) -> AsyncIterator[bytes]:
    for step in steps:
        if isinstance(step, bytes):
            yield step
        elif isinstance(step, Exception):
            raise step
        else:
            await step()


class FakeClient:
    """One request on raw ASGI and all that was answered; `leave` is the disconnect."""

    def __init__(
        self,
        method: str = "POST",
        path: str = "/v1/chat/completions",
        body: bytes | dict[str, Any] = b"",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._body = orjson.dumps(body) if isinstance(body, dict) else body
        self._is_body_read = False
        self._left = asyncio.Event()
        self.reads = asyncio.Event()
        self.reads.set()
        self.status: int | None = None
        self.headers: dict[str, str] = {}
        self.pieces: list[bytes] = []
        self.is_ended = False
        self.got_piece = asyncio.Event()
        self.scope = {
            "type": "http",
            "method": method,
            "path": path,
            "headers": [
                (name.lower().encode(), value.encode("latin-1"))
                for name, value in {**DEFAULT_HEADERS, **(headers or {})}.items()
            ],
        }

    def leave(self) -> None:
        self._left.set()

    async def receive(self) -> dict[str, Any]:
        if not self._is_body_read:
            self._is_body_read = True
            return {"type": "http.request", "body": self._body, "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        await self.reads.wait()
        if self._left.is_set():
            return
        if message["type"] == "http.response.start":
            assert self.status is None, "a second response was started"
            self.status = message["status"]
            self.headers = {k.decode(): v.decode() for k, v in message["headers"]}
            return
        assert self.status is not None, "a body without a status"
        assert not self.is_ended, "a body after its end"
        self.pieces.append(message["body"])
        self.is_ended = not message["more_body"]
        self.got_piece.set()

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)

    @property
    def text(self) -> str:
        """What the chunks of the first choice, or the whole answer, say."""
        if self.headers["content-type"] == "application/json":
            return str(self.json["choices"][0]["message"]["content"])
        chunks = [orjson.loads(event) for event in self.events if event != b"[DONE]"]
        rows = [row for each in chunks for row in each.get("choices", ()) if row["index"] == 0]
        return "".join(row["delta"].get("content") or "" for row in rows)

    @property
    def events(self) -> list[bytes]:
        """The events of the body, comments left out."""
        return [
            event.removeprefix(b"data: ")
            for event in self.body.split(b"\n\n")
            if event and not event.startswith(b":")
        ]
