from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tests.pool.processes import events_of
from tests.worker.fake_engine import FakeEngine, fake_plan, load_fake
from trueup.adapt.plan import Plan
from trueup.worker.app import App
from trueup.worker.model_thread import ModelThread

CHAT = "/v1/chat/completions"
LIMIT_SECONDS = 30.0


class Client:
    """One ASGI connection: what was sent, and the moment to leave."""

    def __init__(self, app: App, path: str, body: Any, method: str = "POST") -> None:
        self.status: int | None = None
        self.headers: dict[bytes, bytes] = {}
        self.pieces: list[bytes] = []
        self.is_complete = False
        self.sent = asyncio.Event()
        self._leaving = asyncio.Event()
        self._body: bytes | None = body if isinstance(body, bytes) else json.dumps(body).encode()
        scope = {"type": "http", "method": method, "path": path}
        self.task = asyncio.create_task(app(scope, self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body}
        await self._leaving.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            assert self.status is None
            self.status, self.headers = message["status"], dict(message["headers"])
        else:
            assert not self.is_complete
            self.pieces.append(message["body"])
            self.is_complete = not message.get("more_body", False)
        self.sent.set()

    def leave(self) -> None:
        self._leaving.set()

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def events(self) -> list[Any]:
        return list(events_of(self.body))


class Bench:
    """An app over a model thread with the fake engine."""

    def __init__(self, plan: Plan | None = None) -> None:
        self.engine = FakeEngine()
        self.reports: list[Any] = []

        def load(plan: Plan, progress: Callable[[float], None]) -> FakeEngine:
            return self.engine if plan.implementation == "ok" else load_fake(plan, progress)

        self.model = ModelThread(plan or fake_plan(), load, self.reports.append)
        self.app = App(self.model, sandbox=("landlock",))

    def chat(self, order: str, **more: Any) -> Client:
        body = {"model": "m", "messages": [{"role": "user", "content": order}], **more}
        return Client(self.app, CHAT, body)

    async def answer(self, order: str, **more: Any) -> Client:
        client = self.chat(order, **more)
        await client.task
        return client

    async def loaded(self, state: str = "ready") -> None:
        self.model.start()
        await until(lambda: self.model.state == state)


async def until(is_so: Callable[[], bool]) -> None:
    while not is_so():  # noqa: ASYNC110 (a state of another thread, and nothing tells of it)
        await asyncio.sleep(0.001)


def run(main: Callable[[Bench], Coroutine[Any, Any, None]], plan: Plan | None = None) -> None:
    async def limited() -> None:
        async with asyncio.timeout(LIMIT_SECONDS):
            await main(Bench(plan))

    asyncio.run(limited())


def test_a_whole_answer() -> None:
    async def main(bench: Bench) -> None:
        await bench.loaded()
        client = await bench.answer("say a b c")
        assert (client.status, client.headers[b"content-type"]) == (200, b"application/json")
        assert client.headers[b"content-length"] == b"%d" % len(client.body)
        assert client.json["object"] == "chat.completion"
        assert client.json["model"] == "m"
        [choice] = client.json["choices"]
        assert choice["message"] == {"role": "assistant", "content": "abc"}
        assert choice["finish_reason"] == "stop"
        assert client.json["usage"] == {
            "prompt_tokens": 3,
            "completion_tokens": 5,
            "total_tokens": 8,
        }

    run(main)


def test_a_streamed_answer() -> None:
    async def main(bench: Bench) -> None:
        await bench.loaded()
        client = await bench.answer("say a b", stream=True, stream_options={"include_usage": True})
        assert client.headers[b"content-type"] == b"text/event-stream; charset=utf-8"
        first, a, b, finish, usage, done = client.events
        assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
        assert a["choices"][0]["delta"] == {"content": "a"}
        assert a["trueup"] == {"position": 0, "token_ids": [0]}
        assert b["trueup"] == {"position": 1, "token_ids": [1]}
        assert finish["choices"][0] == {
            "index": 0,
            "delta": {},
            "logprobs": None,
            "finish_reason": "stop",
        }
        assert finish["trueup"]["token_ids"] == [99]
        assert usage["choices"] == []
        assert usage["usage"]["prompt_tokens"] == 3
        assert done == "[DONE]"
        assert len({event["id"] for event in client.events[:-1]}) == 1
        assert client.is_complete

    run(main)


def test_a_completion_streamed_and_whole() -> None:
    async def main(bench: Bench) -> None:
        await bench.loaded()
        body = {"model": "m", "prompt": "say a b"}
        client = Client(bench.app, "/v1/completions", body)
        await client.task
        assert client.json["object"] == "text_completion"
        assert client.json["choices"][0]["text"] == "ab"
        client = Client(bench.app, "/v1/completions", {**body, "stream": True})
        await client.task
        texts = [event["choices"][0]["text"] for event in client.events[:-1]]
        assert texts == ["a", "b", ""]
        assert client.events[-2]["choices"][0]["finish_reason"] == "stop"

    run(main)


def test_an_engine_that_breaks_before_the_first_byte_is_a_status() -> None:
    async def main(bench: Bench) -> None:
        await bench.loaded()
        for stream in (False, True):
            client = await bench.answer("break-first", stream=stream)
            assert client.status == 500
            assert client.json["error"]["code"] == "engine_failed"
            assert "`ValueError: nothing at all`" in client.json["error"]["message"]

    run(main)


def test_an_engine_that_breaks_in_mid_stream_is_one_error_event() -> None:
    async def main(bench: Bench) -> None:
        await bench.loaded()
        client = await bench.answer("break", stream=True)
        # Where the break is met in one turn with the first token, that token is sent as well.
        assert client.status == 200
        *tokens, error, done = client.events
        assert [event["choices"][0]["delta"]["content"] for event in tokens] == ["", "one "]
        assert error["error"]["code"] == "engine_failed"
        assert done == "[DONE]"
        assert client.is_complete
        assert (await bench.answer("break")).status == 500
        assert (await bench.answer("say on")).status == 200

    run(main)


@pytest.mark.parametrize("stream", [False, True])
def test_a_prompt_that_the_engine_refuses_is_a_400(stream: bool) -> None:
    async def main(bench: Bench) -> None:
        await bench.loaded()
        client = await bench.answer("refuse", stream=stream)
        assert client.status == 400
        assert client.json["error"]["code"] == "context_length_exceeded"

    run(main)


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_before_the_first_byte_ends_its_generation(stream: bool) -> None:
    async def main(bench: Bench) -> None:
        await bench.loaded()
        client = bench.chat("stall", stream=stream)
        await until(lambda: bench.engine.started == ["stall"])
        client.leave()
        await client.task
        await until(lambda: bench.engine.finished == ["stall (cancelled)"])
        assert client.status is None

    run(main)


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_in_mid_answer_ends_its_generation(stream: bool) -> None:
    async def main(bench: Bench) -> None:
        await bench.loaded()
        client = bench.chat("forever", stream=stream)
        await until(lambda: bench.engine.started == ["forever"])
        if stream:
            await client.sent.wait()
        client.leave()
        await client.task
        await until(lambda: bench.engine.finished == ["forever (cancelled)"])
        assert not client.is_complete

    run(main)


def test_a_client_that_leaves_the_queue_is_never_generated_for() -> None:
    async def main(bench: Bench) -> None:
        await bench.loaded()
        running = bench.chat("stall")
        queued = bench.chat("say never")
        last = bench.chat("say last")
        await until(lambda: bench.engine.started == ["stall"] and bench.model.queued == 2)
        queued.leave()
        await queued.task
        running.leave()
        await last.task
        assert last.status == 200
        assert bench.engine.finished == ["stall (cancelled)", "say last"]

    run(main)


def test_a_send_that_fails_ends_the_generation() -> None:
    async def main(bench: Bench) -> None:
        await bench.loaded()

        async def receive() -> dict[str, Any]:
            if not asked:
                asked.append(True)
                message = {"role": "user", "content": "forever"}
                body = {"model": "m", "stream": True, "messages": [message]}
                return {"type": "http.request", "body": json.dumps(body).encode()}
            await asyncio.Event().wait()
            raise AssertionError

        async def send(message: Any) -> None:
            raise OSError("gone")

        asked: list[bool] = []
        with pytest.raises(OSError, match="gone"):
            await bench.app({"type": "http", "method": "POST", "path": CHAT}, receive, send)
        await until(lambda: bench.engine.finished == ["forever (cancelled)"])

    run(main)


def test_jobs_are_answered_in_their_order() -> None:
    async def main(bench: Bench) -> None:
        await bench.loaded()
        clients = [bench.chat(f"say {number}") for number in range(20)]
        await asyncio.gather(*(client.task for client in clients))
        assert bench.engine.finished == [f"say {number}" for number in range(20)]

    run(main)


def test_health_tells_of_the_load_and_of_the_confinement() -> None:
    async def main(bench: Bench) -> None:
        async def health() -> Any:
            client = Client(bench.app, "/health", b"", method="GET")
            await client.task
            assert client.status == 200
            return client.json

        before = await health()
        assert (before["state"], before["progress"], before["finding"]) == ("starting", 0, None)
        assert before["memory_bytes"] > 0
        busy = await bench.answer("say hi")
        assert (busy.status, busy.headers[b"retry-after"]) == (503, b"1")
        assert busy.json["error"]["code"] == "model_loading"
        await bench.loaded()
        after = await health()
        assert (after["state"], after["progress"], after["queued"]) == ("ready", 1, 0)
        assert (after["prefilled_tokens"], after["decoded_tokens"]) == (0, 0)
        assert after["sandbox"] == ["landlock"]
        assert bench.reports == [{"state": "ready", "memory_bytes": after["memory_bytes"]}]

    run(main)


def test_a_failed_load_is_told_by_health_and_to_every_request() -> None:
    async def main(bench: Bench) -> None:
        await bench.loaded("failed")
        client = Client(bench.app, "/health", b"", method="GET")
        await client.task
        assert client.json["state"] == "failed"
        assert client.json["finding"]["code"] == "checkpoint_error"
        assert client.json["finding"]["message"] == "the shard `a` is missing; get it"
        answer = await bench.answer("say hi")
        assert answer.status == 503
        assert answer.json["error"]["where"] == "/model"
        assert bench.reports[-1] == {"state": "failed", "finding": client.json["finding"]}

    run(main, fake_plan(implementation="fail"))


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "invalid_json"),
        (b"[]", 400, "invalid_value"),
        (b'"text"', 400, "invalid_value"),
        ({"model": "m"}, 400, "missing_required_parameter"),
        ({"model": "m", "messages": [], "tools": [{}]}, 400, None),
    ],
)
def test_a_bad_body_is_a_400(body: Any, status: int, code: str | None) -> None:
    async def main(bench: Bench) -> None:
        await bench.loaded()
        client = Client(bench.app, CHAT, body)
        await client.task
        assert client.status == status
        if code is not None:
            assert client.json["error"]["code"] == code

    run(main)


def test_an_unknown_path_is_a_404() -> None:
    async def main(bench: Bench) -> None:
        for method, path in (("GET", "/v1/models"), ("GET", CHAT), ("POST", "/health")):
            client = Client(bench.app, path, b"", method=method)
            await client.task
            assert client.status == 404

    run(main)
