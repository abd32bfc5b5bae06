"""POST /v1/embeddings of a worker, on raw ASGI over the model thread with a fake encoder."""

from __future__ import annotations

import asyncio
import base64
import struct
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import orjson
import pytest

from tests.worker.fake_engine import fake_plan
from tests.worker.test_app import LIMIT_SECONDS, Client, until
from tests.worker.test_embedding_turns import (
    BROKEN,
    CONTEXT_TOKENS,
    NOT_A_NUMBER,
    FakeEncoder,
    FakeTokenizer,
)
from trueup.adapt.plan import EmbeddingPlan, Plan
from trueup.engines.embedding import EmbeddingEngine
from trueup.worker.app import App
from trueup.worker.model_thread import ModelThread

PATH = "/v1/embeddings"


class Bench:
    """A worker's app whose model embeds `"5 1 1"` as [5, 3]."""

    def __init__(self) -> None:
        self.encoder = FakeEncoder(budget_tokens=8)
        embedding = EmbeddingPlan(pooling="mean", normalize=False, dimensions=2)
        plan = fake_plan(kind="embedding", embedding=embedding, context_tokens=CONTEXT_TOKENS)
        self.model = ModelThread(plan, self._load, lambda report: None)
        self.app = App(self.model)

    def _load(self, plan: Plan, progress: Callable[[float], None]) -> EmbeddingEngine:
        return EmbeddingEngine(self.encoder, FakeTokenizer(), plan, vocabulary_tokens=10**9)

    def ask(self, given: Any, **more: Any) -> Client:
        return Client(self.app, PATH, {"model": "m", "input": given, **more})

    async def answer(self, given: Any, **more: Any) -> Client:
        client = self.ask(given, **more)
        await client.task
        return client


def run(main: Callable[[Bench], Coroutine[Any, Any, None]], *, is_loaded: bool = True) -> None:
    async def limited() -> None:
        async with asyncio.timeout(LIMIT_SECONDS):
            bench = Bench()
            if is_loaded:
                bench.model.start()
                await until(lambda: bench.model.state == "ready")
            await main(bench)

    asyncio.run(limited())


def rows_of(client: Client) -> list[Any]:
    assert client.status == 200, client.body
    assert [row["index"] for row in client.json["data"]] == list(range(len(client.json["data"])))
    return [row["embedding"] for row in client.json["data"]]


def test_numbers() -> None:
    async def main(bench: Bench) -> None:
        client = await bench.answer(["5 1 1", "7"])
        assert client.headers[b"content-type"] == b"application/json"
        assert client.headers[b"content-length"] == b"%d" % len(client.body)
        assert client.json == {
            "object": "list",
            "data": [
                {"object": "embedding", "index": 0, "embedding": [5.0, 3.0]},
                {"object": "embedding", "index": 1, "embedding": [7.0, 1.0]},
            ],
            "model": "m",
            "usage": {"prompt_tokens": 4, "total_tokens": 4},
        }

    run(main)


def test_base64_is_little_endian_fp32() -> None:
    async def main(bench: Bench) -> None:
        (row,) = rows_of(await bench.answer("5 1 1", encoding_format="base64"))
        assert struct.unpack("<2f", base64.b64decode(row)) == (5.0, 3.0)

    run(main)


def test_token_ids_and_one_input_and_fewer_dimensions() -> None:
    async def main(bench: Bench) -> None:
        assert rows_of(await bench.answer([5, 6])) == [[5, 2]]
        assert rows_of(await bench.answer([[5, 6], [7]])) == [[5, 2], [7, 1]]
        assert rows_of(await bench.answer("5", dimensions=1)) == [[5]]

    run(main)


def test_what_became_of_long_inputs_is_told() -> None:
    async def main(bench: Bench) -> None:
        long = " ".join(map(str, range(1, 11)))
        cut = await bench.answer(["1", long], truncate="end")
        assert cut.json["trueup"] == {"truncated": [1]}
        assert rows_of(await bench.answer(long, truncate="start")) == [[3, 8]]
        joined = await bench.answer([long, "1"], windows=True)
        assert joined.json["trueup"] == {"windows": [0]}

    run(main)


@pytest.mark.parametrize(
    ("given", "more", "status", "code", "said"),
    [
        ([], {}, 400, "invalid_value", "not empty"),
        ("1", {"dimensions": 3}, 400, "invalid_value", "at most the model's 2"),
        (" ".join(["1"] * 9), {}, 400, "context_length_exceeded", "holds 8"),
        ([10**9], {}, 400, "invalid_value", "token id 1000000000"),
        ("1", {"prompt_name": "query"}, 400, "invalid_value", "no prompt `query`"),
        ([f"{BROKEN}", "1"], {}, 500, "engine_failed", "out of everything"),
        (["1", f"{NOT_A_NUMBER}"], {}, 500, "not_a_number", "input[1]"),
    ],
)
def test_errors_have_a_status_and_a_code(
    given: Any, more: dict[str, Any], status: int, code: str, said: str
) -> None:
    async def main(bench: Bench) -> None:
        client = await bench.answer(given, **more)
        assert client.status == status
        assert client.json["error"]["code"] == code
        assert said in client.json["error"]["message"]
        assert rows_of(await bench.answer("3")) == [[3, 1]]

    run(main)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
def test_an_embedding_model_gives_no_text(path: str) -> None:
    async def main(bench: Bench) -> None:
        body = {"model": "m", "prompt": "hi", "messages": [{"role": "user", "content": "hi"}]}
        client = Client(bench.app, path, body)
        await client.task
        assert client.status == 400
        assert "of kind `embedding`" in client.json["error"]["message"]

    run(main)


def test_a_chat_model_gives_no_embeddings() -> None:
    async def main(bench: Bench) -> None:
        model = ModelThread(fake_plan(), bench._load, lambda report: None)
        client = Client(App(model), PATH, {"model": "m", "input": "hi"})
        await client.task
        assert client.status == 400
        assert "of kind `chat`" in client.json["error"]["message"]

    run(main, is_loaded=False)


def test_a_model_that_loads_is_a_503() -> None:
    async def main(bench: Bench) -> None:
        client = await bench.answer("1")
        assert (client.status, client.json["error"]["code"]) == (503, "model_loading")
        assert client.headers[b"retry-after"] == b"1"

    run(main, is_loaded=False)


def test_what_a_client_that_has_left_asked_for_is_not_computed() -> None:
    async def main(bench: Bench) -> None:
        entered, go_on = threading.Event(), threading.Event()

        def hold() -> None:
            entered.set()
            assert go_on.wait(LIMIT_SECONDS)

        bench.encoder.on_batch = hold
        leaves = bench.ask(["1 1 1 1 1 1 1 1"] * 100)
        await asyncio.to_thread(entered.wait, LIMIT_SECONDS)
        stays = bench.ask("2")
        leaves.leave()
        await leaves.task
        assert (leaves.status, leaves.body) == (None, b"")
        go_on.set()
        await stays.task
        assert rows_of(stays) == [[2, 1]]
        assert sum(row[0] == 1 for batch in bench.encoder.batches for row in batch) == 1

    run(main)


def test_many_clients_at_once_get_their_own() -> None:
    async def main(bench: Bench) -> None:
        clients = [bench.ask([f"{n} 0", f"{n} 0 0"], dimensions=2) for n in range(1, 65)]
        await asyncio.gather(*(client.task for client in clients))
        for number, client in enumerate(clients, 1):
            assert rows_of(client) == [[number, 2], [number, 3]]

    run(main)


def test_a_body_that_is_no_json_is_told() -> None:
    async def main(bench: Bench) -> None:
        for body in (b"{", b"\xff", orjson.dumps([1])):
            client = Client(bench.app, PATH, body)
            await client.task
            assert client.status == 400

    run(main)
