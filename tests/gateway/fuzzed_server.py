"""The real gateway on a real socket in front of fakes that answer rightly; run as a process."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson

from tests.fakes import FakeBackend
from trueup.backends.base import Accepts, BackendRequest, BackendResponse, Capabilities
from trueup.gateway.app import Gateway
from trueup.gateway.auth import Access
from trueup.gateway.policies import POLICIES
from trueup.gateway.router import Served, ServedAlias, ServedRole
from trueup.gateway.server import Server, listen, url_of
from trueup.gateway.serving import Serving

WORDS = ("One", " two")
CHECKED = {"response_format", "tool_choice", "tools", "functions", "function_call"}


class Answering(FakeBackend):
    """Answers each request as it asks, whatever else stands in it."""

    @asynccontextmanager
    async def open(self, request: BackendRequest) -> AsyncIterator[BackendResponse]:
        shape = orjson.loads(request.body)
        is_stream = shape.get("stream") is True
        kind = "text/event-stream" if is_stream else "application/json"
        answer = answer_to(request.path, shape, is_stream=is_stream)
        request.on_sent()
        yield BackendResponse(status=200, headers={"content-type": kind}, body=_pieces(answer))


async def _pieces(answer: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(answer), 1000):
        yield answer[start : start + 1000]


def answer_to(path: str, shape: Any, *, is_stream: bool) -> bytes:
    if path == "/v1/embeddings":
        rows = [{"index": i, "embedding": [0.5]} for i in range(_texts(shape.get("input")))]
        return orjson.dumps({"object": "list", "data": rows, "model": "e"})
    is_chat = path == "/v1/chat/completions"
    count = (shape.get("n") or 1) * (1 if is_chat else _texts(shape.get("prompt")))
    head = {"id": "1", "created": 1, "model": "chat"}
    if not is_stream:
        text = "".join(WORDS)
        said = {"message": {"role": "assistant", "content": text}} if is_chat else {"text": text}
        choices = [{"index": i, **said, "finish_reason": "stop"} for i in range(count)]
        return orjson.dumps({**head, "choices": choices})
    events = []
    for text, reason in (*((word, None) for word in WORDS), (None, "stop")):
        delta = {} if text is None else {"content": text}
        said = {"delta": delta} if is_chat else {"text": text or ""}
        for index in range(count):
            choice = {"index": index, **said, "finish_reason": reason}
            events.append(orjson.dumps({**head, "choices": [choice]}))
    return b"".join(b"data: %s\n\n" % event for event in (*events, b"[DONE]"))


def _texts(value: Any) -> int:
    return len(value) if isinstance(value, list) and not isinstance(value[0], int) else 1


async def main() -> None:
    serving = Serving(is_ready=True)
    others, own = Capabilities(), Capabilities(continuation="token_ids")
    chat = Served(id="chat", kind="chat", backend=Answering(name="chat", capabilities=others))
    local = Served(id="own", kind="chat", backend=Answering(name="own", capabilities=own))
    embedder = Answering(name="embedding", capabilities=others)
    embedding = Served(id="embedding", kind="embedding", backend=embedder)
    # What it lacks is translated, emulated or dropped; what needs checked answers it has.
    accepts = Accepts(unsupported=frozenset(POLICIES) - CHECKED)
    lacking = Answering(name="lacking", is_foreign=True, capabilities=Capabilities(accepts=accepts))
    bare = Served(id="lacking", kind="chat", backend=lacking)
    role = ServedRole(id="role", chain=(chat,))
    names = [role, ServedAlias(id="alias", target=role)]
    serving.router.open(chat, local, embedding, bare, roles=names)
    listener = listen("127.0.0.1", 0)
    server = Server(Gateway(serving, Access(())), drain_seconds=1)
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, stopped.set)
    async with server.running(listener):
        print(url_of(listener), flush=True)
        await stopped.wait()


if __name__ == "__main__":
    asyncio.run(main())
