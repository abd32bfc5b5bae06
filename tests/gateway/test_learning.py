"""What one request's errors teach: for good, for this request alone, or nothing."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from tests.fakes import FakeBackend, Turn, whole_answer
from tests.gateway.test_chain import GOOD, GOOD_WHOLE, JSON, ask, foreign, gateway
from trueup.gateway.app import Gateway


def saying(message: str, status: int = 400) -> Turn:
    return Turn([orjson.dumps({"error": {"message": message}})], status, JSON)


def sent(backend: FakeBackend) -> list[dict[str, Any]]:
    return [orjson.loads(each.body) for each in backend.requests]


def kept(app: Gateway, backend: FakeBackend) -> frozenset[str]:
    return app.serving.lessons.of(backend, "talk")


@pytest.mark.parametrize(
    ("words", "changes"),
    [
        ("temperature 0 is not supported", {"temperature": 0}),
        ("temperature=0.0 is not supported, use a small positive number", {"temperature": 0.0}),
        ("top_k=-1 is not supported", {"top_k": -1}),
        ("reasoning_effort 'minimal' is not supported here", {"reasoning_effort": "minimal"}),
        ("top_logprobs: 5 is not permitted", {"top_logprobs": 5, "logprobs": True}),
    ],
)
async def test_words_about_a_value_teach_nothing(words: str, changes: dict[str, Any]) -> None:
    backend = foreign(saying(words), GOOD_WHOLE, name=words)
    app = gateway(backend)
    client = await ask(app, **changes)
    assert (client.status, client.json["error"]["message"]) == (400, words)
    assert kept(app, backend) == frozenset()


async def test_what_is_emulated_is_left_out_for_a_value_that_is_not_taken() -> None:
    backend = foreign(
        saying("response_format type 'json_object' is not supported"),
        Turn([whole_answer("{}")], headers=JSON),
        name="format",
    )
    app = gateway(backend)
    client = await ask(app, response_format={"type": "json_object"})
    assert (client.status, client.text) == (200, "{}")
    assert client.headers["x-trueup-dropped"] == "response_format"
    assert kept(app, backend) == frozenset()


async def test_what_is_not_taken_in_company_is_left_out_this_once() -> None:
    backend = foreign(saying("logit_bias is not supported together with logprobs"), name="company")
    backend.capabilities = foreign().capabilities
    backend.turns = [saying("seed is not supported together with logprobs"), GOOD_WHOLE]
    app = gateway(backend)
    client = await ask(app, seed=1, logprobs=True)
    assert (client.status, client.headers["x-trueup-dropped"]) == (200, "seed")
    assert kept(app, backend) == frozenset()


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        ("1 validation error for Request\nseed\n  Extra inputs are not permitted", "seed", 1),
        ("seed: extra fields not permitted", "seed", 1),
        ("The following parameters are not supported: seed, user", "seed", 1),
        ("seed not allowed", "seed", 1),
        ("logprobs isn't supported", "logprobs", True),
        ("logprobs is not a supported parameter", "logprobs", True),
        ("no support for logprobs", "logprobs", True),
        ("Argument not supported on this model: presencePenalty", "presence_penalty", 0.5),
        ("不支持logprobs参数", "logprobs", True),
        ("参数logprobs不支持", "logprobs", True),
    ],
)
async def test_words_that_say_unsupported_are_understood(words: str, name: str, value: Any) -> None:
    backend = foreign(saying(words), GOOD_WHOLE, name=words[:40])
    app = gateway(backend)
    client = await ask(app, **{name: value})
    assert (client.status, client.headers.get("x-trueup-dropped")) == (200, name)
    assert kept(app, backend) == {name}


async def test_a_choice_of_tools_in_chinese_words_leaves_the_tools() -> None:
    tools = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
    backend = foreign(saying("参数tool_choice不支持"), GOOD_WHOLE, name="tool_choice")
    client = await ask(gateway(backend), tools=tools, tool_choice="auto")
    assert (client.status, client.headers["x-trueup-dropped"]) == (200, "tool_choice")
    assert sent(backend)[-1]["tools"] == tools


@pytest.mark.parametrize(
    "words",
    [
        "This model only support stream mode, please enable the stream parameter",
        "stream=false is not supported",
        "non-streaming requests are not supported",
    ],
)
async def test_a_server_that_only_streams_is_asked_for_streams(words: str) -> None:
    backend = foreign(saying(words), GOOD, name=words)
    app = gateway(backend)
    assert (await ask(app)).text == "right"
    assert [each.get("stream") for each in sent(backend)] == [None, True]
    assert (await ask(app)).text == "right"
    assert len(sent(backend)) == 3  # it is remembered


async def test_a_strict_request_is_not_refused_for_what_was_added() -> None:
    refusal = saying("Unknown parameter: 'stream_options'.")
    backend = foreign(refusal, GOOD, name="strict", whole_by_stream=True)
    client = await ask(gateway(backend), strict=None)
    assert (client.status, client.text) == (200, "right")


@pytest.mark.parametrize("key", ["n", "response_format"])
async def test_a_seed_that_is_not_taken_does_not_come_back(key: str) -> None:
    class Picky(FakeBackend):
        def open(self, request: Any) -> Any:
            asked, self.turns = orjson.loads(request.body), [GOOD_WHOLE]
            for name in ("seed", key):
                if name in asked:
                    self.turns = [saying(f"Unknown parameter: '{name}'.")]
            return super().open(request)

    value: Any = 2 if key == "n" else {"type": "json_object"}
    backend = Picky(name=f"picky {key}", is_foreign=True, capabilities=foreign().capabilities)
    client = await ask(gateway(backend), seed=1, **{key: value})
    rejected = key == "response_format"  # `right` is no JSON
    assert client.status == (502 if rejected else 200)
    assert all("seed" not in each for each in sent(backend)[-2:])


async def test_lessons_are_kept_for_the_model_that_was_asked() -> None:
    backend = foreign(saying("seed is not supported"), GOOD_WHOLE, name="many")
    app = gateway(backend)
    await ask(app, seed=1)
    assert app.serving.lessons.of(backend, "talk") == {"seed"}
    assert app.serving.lessons.of(backend, "another") == frozenset()


async def test_an_error_in_an_answer_has_the_status_that_it_gives_itself() -> None:
    stated = {"error": {"message": "maximum context length is 10 tokens", "code": 400}}
    backend = foreign(Turn([orjson.dumps(stated)], headers=JSON))
    client = await ask(gateway(backend))
    assert (client.status, backend.open_count) == (400, 1)


async def test_an_error_in_an_answer_teaches() -> None:
    stated = {"message": "Unknown parameter: 'user'.", "code": "unknown_parameter", "param": "user"}
    backend = foreign(Turn([orjson.dumps({"error": stated})], headers=JSON), GOOD_WHOLE)
    client = await ask(gateway(backend), user="u")
    assert (client.status, client.headers["x-trueup-dropped"]) == (200, "user")
