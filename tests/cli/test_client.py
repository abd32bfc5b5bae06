from __future__ import annotations

import orjson
import pytest

from tests.cli.scripted_server import scripted_server
from trueup.cli.client import Answer, ChatClient
from trueup.errors import BackendError, RequestError

QUESTION = [{"role": "user", "content": "你好"}]


def event(text: str | None = None, finish: str | None = None) -> bytes:
    delta = {} if text is None else {"content": text}
    shape = {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
    return b"data: " + orjson.dumps(shape) + b"\n\n"


WHOLE = event("你") + b": heartbeat\n\n" + event("好") + event(finish="stop") + b"data: [DONE]\n\n"


async def ask(url: str, answer: Answer, key: str | None = None) -> list[str]:
    async with ChatClient(url, api_key=key) as client:
        return [piece async for piece in client.stream("m", QUESTION, answer, {"temperature": 0})]


async def test_an_answer_comes_in_pieces_and_is_kept_whole() -> None:
    answer = Answer()
    async with scripted_server((200, WHOLE)) as server:
        assert await ask(server.url, answer, key="secret") == ["你", "好"]
    assert (answer.content, answer.finish_reason) == ("你好", "stop")
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert b"Bearer secret" in head
    assert orjson.loads(body) == {
        "model": "m",
        "messages": QUESTION,
        "stream": True,
        "temperature": 0,
    }


@pytest.mark.parametrize(
    "body",
    [
        event("half"),
        event("half") + b"data: [DONE]\n\n",
        b"data: [DONE]\n\n",
        b": heartbeat\n\n",
    ],
)
async def test_a_stream_without_a_finish_is_never_taken_for_an_answer(body: bytes) -> None:
    async with scripted_server((200, body)) as server:
        with pytest.raises(BackendError, match="broke off"):
            await ask(server.url, Answer())


@pytest.mark.parametrize(
    ("status", "body", "kind", "cause"),
    [
        (
            404,
            b'{"error":{"message":"no model `x`","hint":"use `demo`"}}',
            RequestError,
            "no model `x`",
        ),
        (503, b'{"error":{"message":"does not fit"}}', BackendError, "does not fit"),
        (429, b'{"error":{"message":"busy"}}', BackendError, "busy"),
        (500, b"Internal Server Error", BackendError, "Internal Server Error"),
        (500, b"", BackendError, "HTTP status 500"),
        (200, b'data: {"error":{"message":"worker died"}}\n\n', BackendError, "worker died"),
        (200, b'data: {"error":"plain"}\n\n', BackendError, "plain"),
        (200, b"data: <html>\n\n", BackendError, "no JSON"),
        (200, b"data: [1]\n\n", BackendError, "no object"),
    ],
)
async def test_errors_keep_the_words_of_the_server(
    status: int, body: bytes, kind: type[Exception], cause: str
) -> None:
    async with scripted_server((status, body)) as server:
        with pytest.raises(kind, match=cause.replace("`", ".")):
            await ask(server.url, Answer())


async def test_a_server_that_is_not_there_is_named() -> None:
    async with scripted_server() as server:
        pass
    with pytest.raises(BackendError, match="no answer from the server") as caught:
        await ask(server.url, Answer())
    assert caught.value.where == server.url


async def test_models_are_listed_and_a_wrong_list_is_refused() -> None:
    answers = (200, b'{"data":[{"id":"m"}]}'), (200, b'{"x":1}')
    async with scripted_server(*answers) as server, ChatClient(server.url) as client:
        assert await client.models() == [{"id": "m"}]
        with pytest.raises(BackendError, match="no list"):
            await client.models()


async def test_a_hint_in_the_message_is_not_said_twice() -> None:
    body = b'{"error":{"message":"no model `x`; use `demo`","hint":"use `demo`","code":"no_x"}}'
    async with scripted_server((404, body)) as server:
        with pytest.raises(RequestError) as caught:
            await ask(server.url, Answer())
    assert (caught.value.cause, caught.value.hint) == ("no model `x`", "use `demo`")
    assert caught.value.code == "no_x"


async def test_no_error_sends_anybody_to_a_private_server() -> None:
    stated = {"message": "no chat; ask it", "code": "chat_not_supported", "hint": "ask it"}
    refused = (400, orjson.dumps({"error": stated}))
    async with (
        scripted_server(refused) as server,
        ChatClient(server.url, private="./my model") as client,
    ):
        with pytest.raises(RequestError) as caught:
            [piece async for piece in client.stream("m", QUESTION, Answer(), {})]
    assert (caught.value.cause, caught.value.where) == ("no chat", "./my model")
    assert caught.value.hint == "serve it, and ask it: trueup serve './my model'"


async def test_a_message_that_is_no_text_is_refused_before_it_is_sent() -> None:
    async with ChatClient("http://127.0.0.1:1/v1") as client:
        with pytest.raises(RequestError, match="cannot be sent"):
            async for _ in client.stream("m", [{"content": "\udcff"}], Answer(), {}):
                pass
