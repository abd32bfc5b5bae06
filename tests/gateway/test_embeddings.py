"""POST /v1/embeddings at the gateway: what is passed on, what is refused, what is no answer."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from tests.fakes import FakeBackend, FakeClient, Step, whole_answer
from trueup.backends.base import Capabilities, Health, Limits
from trueup.errors import BackendError
from trueup.gateway.app import Gateway
from trueup.gateway.auth import Access
from trueup.gateway.router import Served, ServedAlias, ServedRole
from trueup.gateway.serving import Serving

JSON = {"content-type": "application/json"}
PATH = "/v1/embeddings"
TWO = {"model": "codebert", "input": ["a", "b"]}


def embedded(count: int = 2) -> bytes:
    """An answer with so many embeddings."""
    rows = [{"object": "embedding", "index": i, "embedding": [0.5, 1e-7]} for i in range(count)]
    shape = {"object": "list", "data": rows, "model": "codebert", "usage": {"prompt_tokens": 2}}
    return orjson.dumps(shape)


class Bench:
    """A gateway with an embedding model, a chat model, a role and an alias of the first."""

    def __init__(self, *steps: Step, status: int = 200, **more: Any) -> None:
        self.embedder = FakeBackend(steps or [embedded()], status=status, headers=JSON, **more)
        self.chat = FakeBackend([whole_answer()], headers=JSON)
        self.spare = FakeBackend([embedded()], headers=JSON, name="spare")
        serving = Serving()
        codebert = Served(id="codebert", kind="embedding", backend=self.embedder)
        spare = Served(id="spare", kind="embedding", backend=self.spare)
        role = ServedRole(id="code-embedder", chain=(codebert, spare))
        serving.router.open(
            codebert,
            spare,
            Served(id="demo", kind="chat", backend=self.chat),
            roles=(role, ServedAlias(id="text-embedding-3-small", target=role)),
        )
        self._gateway = Gateway(serving, Access([]), log=None)

    async def ask(self, body: Any = TWO, path: str = PATH) -> FakeClient:
        client = FakeClient("POST", path, body, JSON)
        await self._gateway(client.scope, client.receive, client.send)
        assert client.is_ended
        return client


def error_of(client: FakeClient) -> Any:
    return client.json["error"]


async def test_request_and_answer_pass_byte_for_byte() -> None:
    body = b' { "input":["a","b"],  "model":"codebert","encoding_format":"float" }'
    odd = embedded().replace(b"0.5", b"0.50000").replace(b'","', b'" , "')
    bench = Bench(odd[:10], odd[10:])
    client = await bench.ask(body)
    assert (client.status, client.body) == (200, odd)
    assert client.headers["content-type"] == "application/json"
    (request,) = bench.embedder.requests
    # No seed as well: it is not a parameter of embeddings.
    assert (request.body, request.path, request.is_stream) == (body, PATH, False)


@pytest.mark.parametrize("name", ["code-embedder", "text-embedding-3-small"])
async def test_roles_and_aliases_of_embedding_models_answer(name: str) -> None:
    bench = Bench()
    assert (await bench.ask({**TWO, "model": name})).status == 200
    assert len(bench.embedder.requests) == 1


async def test_a_role_goes_to_the_next_model_where_the_first_has_failed() -> None:
    bench = Bench(health=Health(state="failed"))
    client = await bench.ask({**TWO, "model": "code-embedder"})
    assert (client.status, client.headers["x-trueup-backend"]) == (200, "spare")
    assert bench.embedder.requests == []


async def test_a_chat_model_is_refused_before_anything_is_loaded() -> None:
    bench = Bench()
    client = await bench.ask({**TWO, "model": "demo"})
    assert client.status == 400
    error = error_of(client)
    assert (error["code"], error["param"]) == ("model_kind", "model")
    assert "`demo` gives text, not embeddings" in error["message"]
    known = "`codebert`, `spare`, `code-embedder`, `text-embedding-3-small`"
    assert error["hint"] == f"served for this: {known}"
    assert bench.chat.open_count == 0


@pytest.mark.parametrize("name", ["codebert", "code-embedder", "text-embedding-3-small"])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
async def test_an_embedding_model_is_refused_for_text(name: str, path: str) -> None:
    bench = Bench()
    body = {"model": name, "messages": [{"role": "user", "content": "hi"}]}
    if path == "/v1/completions":
        body = {"model": name, "prompt": "hi"}
    client = await bench.ask(body, path)
    assert client.status == 400
    assert error_of(client)["code"] == "model_kind"
    assert f"`{name}` gives embeddings, not text" in error_of(client)["message"]
    assert error_of(client)["hint"] == "served for this: `demo`"
    assert bench.embedder.open_count == 0


async def test_where_no_model_makes_embeddings_that_is_told() -> None:
    serving = Serving()
    chat = FakeBackend([whole_answer()], headers=JSON)
    serving.router.open(Served(id="demo", kind="chat", backend=chat))
    client = FakeClient("POST", PATH, {**TWO, "model": "demo"}, JSON)
    await Gateway(serving, Access([]), log=None)(client.scope, client.receive, client.send)
    assert "no model that is served here" in error_of(client)["hint"]


@pytest.mark.parametrize(
    "body",
    [
        embedded(1),
        embedded(0),
        embedded()[:-1],
        embedded()[:-40],
        b"",
        b"null",
        b"{}",
        b"<html><body>a proxy's page</body></html>",
        embedded(3),
        embedded().replace(b"[0.5,1e-7]", b"[]"),
        embedded().replace(b"1e-7", b"null"),
        embedded().replace(b"[0.5,1e-7]", b'""'),
        embedded().replace(b"[0.5,1e-7]", b"1"),
    ],
)
async def test_what_is_no_complete_answer_is_a_502(body: bytes) -> None:
    client = await Bench(body).ask()
    assert client.status == 502
    assert error_of(client)["code"] == "answer_incomplete"
    assert "an embedding for every input" in error_of(client)["message"]


async def test_base64_is_a_complete_answer_as_well() -> None:
    body = embedded().replace(b"[0.5,1e-7]", b'"AAAAPwAAgD8="')
    client = await Bench(body).ask()
    assert (client.status, client.body) == (200, body)


async def test_an_error_with_status_200_is_told_as_one() -> None:
    client = await Bench(b'{"error":{"message":"no more","code":"odd"}}').ask()
    assert (client.status, error_of(client)["code"]) == (502, "odd")
    assert "no more" in error_of(client)["message"]


async def test_an_answer_that_breaks_off_is_a_502() -> None:
    broken = BackendError("the worker was ended", retryable=True, code="backend_died")
    client = await Bench(embedded()[:30], broken).ask()
    assert (client.status, error_of(client)["code"]) == (502, "backend_died")


@pytest.mark.parametrize(
    ("status", "body", "answered", "said"),
    [
        (500, b'{"error":{"message":"out of memory","code":"engine_failed"}}', 500, "out of mem"),
        (500, b"<html>oops</html>", 500, "status 500"),
        (503, b"", 503, "status 503"),
        (302, b"", 502, "status 302"),
        (400, b'{"error":{"message":"too long","code":"context_length_exceeded"}}', 400, "too lo"),
    ],
)
async def test_a_backends_error_is_told_with_a_code(
    status: int, body: bytes, answered: int, said: str
) -> None:
    client = await Bench(body, status=status).ask()
    assert client.status == answered
    assert said in error_of(client)["message"]
    assert error_of(client)["code"]


async def test_strange_texts_do_not_pass_for_embeddings() -> None:
    # Only the keys of rows count: an input is not repeated in an answer, a name is escaped.
    body = embedded(1).replace(b'"codebert"', orjson.dumps('"embedding":' * 3))
    assert (await Bench(body).ask()).status == 502


@pytest.mark.parametrize(
    ("changes", "param", "said"),
    [
        ({"input": None}, "input", "missing"),
        ({"input": []}, "input", "not empty"),
        ({"input": ["a", ""]}, "input[1]", "one character or more"),
        ({"input": ["a"] * 2049}, "input", "2049 inputs"),
        ({"input": [[-1]]}, "input[0]", "token ids"),
        ({"input": [True]}, "input", "token ids"),
        ({"encoding_format": "hex"}, "encoding_format", "`base64`"),
        ({"dimensions": 0}, "dimensions", "0"),
        ({"windows": True, "truncate": "end"}, "truncate", "both"),
        ({"stream": True}, "stream", "not a parameter"),
        ({"seed": 5}, "seed", "not a parameter"),
        ({"trueup": {}}, "trueup", "not a parameter"),
    ],
)
async def test_a_wrong_request_reaches_no_backend(
    changes: dict[str, Any], param: str, said: str
) -> None:
    bench = Bench()
    client = await bench.ask({**TWO, **changes})
    assert (client.status, error_of(client)["param"]) == (400, param)
    assert said in error_of(client)["message"]
    assert bench.embedder.open_count == 0


async def test_an_unknown_model_is_told_with_the_nearest() -> None:
    client = await Bench().ask({**TWO, "model": "codebart"})
    assert client.status == 404
    assert "`codebert`" in error_of(client)["message"] + str(error_of(client)["hint"])


async def test_the_largest_request_and_answer_pass() -> None:
    texts = ["x" * 4000] * 2048
    bench = Bench(embedded(2048))
    assert (await bench.ask({**TWO, "input": texts})).status == 200
    assert orjson.loads(bench.embedder.requests[0].body)["input"] == texts


async def test_embeddings_have_all_the_time_that_an_answer_has() -> None:
    async def compute() -> None:
        await asyncio.sleep(0.1)

    limits = Limits(connect_seconds=0.01, first_token_seconds=0.01)
    bench = Bench(compute, embedded(), capabilities=Capabilities(limits=limits))
    assert (await bench.ask()).status == 200
    assert bench.embedder.open_count == 1
