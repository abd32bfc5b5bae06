# ruff: noqa: E501  messages are quoted as they come
"""Real messages of real servers: which of them teach that a parameter is not taken, and which not."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from trueup.errors import BackendError, CapacityError, RequestError
from trueup.gateway.refusal import refusal, retry_after_seconds, stated_error
from trueup.gateway.teaching import lesson_of, value_limit

TOOLS = {"tools": [{}], "tool_choice": "auto"}
FULL: dict[str, Any] = {
    "model": "m",
    "messages": [{"role": "user", "content": "hi"}],
    "max_tokens": 9000,
    "temperature": 0.5,
    "n": 1,
    "stop": ["x"],
    "seed": 1,
    "user": "u",
    "logprobs": True,
    "parallel_tool_calls": False,
    "stream_options": {"include_usage": True},
    "response_format": {"type": "json_object"},
    "reasoning_effort": "low",
    "guided_json": {},
    **TOOLS,
}
DEVELOPER = {**FULL, "messages": [{"role": "developer", "content": "hi"}]}
JSON = {"content-type": "application/json"}


def openai(message: str, param: str | None = None, code: str | None = None) -> bytes:
    return orjson.dumps({"error": {"message": message, "param": param, "code": code}})


def pydantic(location: list[Any], message: str, kind: str) -> bytes:
    return orjson.dumps({"detail": [{"loc": ["body", *location], "msg": message, "type": kind}]})


EXTRA = "Extra inputs are not permitted"
TEACHES: dict[str, tuple[bytes, str]] = {
    "OpenAI, a parameter": (
        openai(
            "Unsupported parameter: 'logprobs' is not supported with this model.",
            "logprobs",
            "unsupported_parameter",
        ),
        "logprobs",
    ),
    "OpenAI, unknown": (
        openai("Unknown parameter: 'guided_json'.", "guided_json", "unknown_parameter"),
        "guided_json",
    ),
    "OpenAI, older": (
        openai("Unrecognized request argument supplied: reasoning_effort"),
        "reasoning_effort",
    ),
    "OpenAI, a successor": (
        openai(
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
            "'max_completion_tokens' instead.",
            "max_tokens",
            "unsupported_parameter",
        ),
        "max_tokens",
    ),
    "pydantic": (pydantic(["tool_choice"], EXTRA, "extra_forbidden"), "tool_choice"),
    "pydantic, nested": (
        pydantic(["stream_options", "include_usage"], EXTRA, "extra_forbidden"),
        "stream_options",
    ),
    "pydantic in OpenAI's shape": (
        openai(f"[{{'type': 'extra_forbidden', 'loc': ('body', 'seed'), 'msg': '{EXTRA}'}}]"),
        "seed",
    ),
    "vLLM without a tool parser": (
        openai('"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser'),
        "tool_choice",
    ),
    "plain text": (b"tool_choice is not supported", "tool_choice"),
    "plain text, a common word": (b"seed is not supported", "seed"),
    "Ollama": (orjson.dumps({"error": "registry.ollama.ai/library/x does not support tools"}), "tools"),
    "Python": (b"chat() got an unexpected keyword argument 'parallel_tool_calls'", "parallel_tool_calls"),
    "in words": (openai("JSON mode is not supported by this model"), "response_format"),
    "Groq": (openai("property 'logprobs' is unsupported", None, None), "logprobs"),
    "Mistral": (
        orjson.dumps(
            {"object": "error", "message": {"detail": [
                {"type": "extra_forbidden", "loc": ["body", "user"], "msg": EXTRA}]}}
        ),
        "user",
    ),
    "Rust": (b"unknown field `seed`, expected one of `model`, `messages`", "seed"),
    "Gemini": (
        orjson.dumps([{"error": {"message": "Invalid JSON payload received. Unknown name "
                                            '"guided_json": Cannot find field.'}}]),
        "guided_json",
    ),
    "Chinese": ("不支持的参数: seed".encode(), "seed"),
    "Chinese, the other way": ("参数 tool_choice 不支持".encode(), "tool_choice"),
    "a model that does not": (b"This model does not support seed.", "seed"),
    "errors by field": (orjson.dumps({"errors": {"seed": ["unknown field"]}}), "seed"),
    "detail as a text": (orjson.dumps({"detail": "`n` is not a valid parameter"}), "n"),
}  # fmt: skip

TEACHES_NOTHING: dict[str, bytes] = {
    "a limit": openai("max_tokens must be <= 4096", "max_tokens"),
    "a limit in other words": openai("max_tokens is too large: 9000. This model supports at most "
                                     "4096 completion tokens", "max_tokens", "invalid_value"),
    "a context": openai("This model's maximum context length is 8192 tokens. However, you requested "
                        "9100 tokens", "messages", "context_length_exceeded"),
    "a range": openai("temperature must be between 0 and 2", "temperature"),
    "a type": pydantic(["seed"], "Input should be a valid integer", "int_parsing"),
    "a list of values": openai("Invalid value: 'x'. Supported values are: 'auto' and 'none'.",
                               "tool_choice", "invalid_value"),
    "expected": openai("tool_choice: expected one of auto, none, required", "tool_choice"),
    "an unsupported value": openai("Unsupported value: 'temperature' does not support 0.5 with this "
                                   "model. Only the default (1) value is supported.", "temperature",
                                   "unsupported_value"),
    "a missing field": pydantic(["messages"], "Field required", "missing"),
    "too many": openai("stop: at most 4 strings", "stop"),
    "the model": openai("The model `m` does not exist or is not supported", "model",
                        "model_not_found"),
    "an image": openai("image input is not supported by this model"),
    "messages": openai("messages.0.name is not supported", "messages.0.name"),
    "what is not in the request": openai("top_k is not supported", "top_k",
                                         "unsupported_parameter"),
    "an opaque failure": b"Internal Server Error",
    "a web page": b"<html><title>502 Bad Gateway</title></html>",
    "nothing": b"",
    "a content filter": openai("The response was filtered", "prompt", "content_filter"),
    "a region": openai("Country, region, or territory not supported", None,
                       "unsupported_country_region_territory"),
    "a number in n": openai("n must be at least 1", "n"),
    "a schema": openai("Invalid schema for response_format 'x': 'required' is required", "response_format"),
    "greater than": pydantic(["n"], "Input should be greater than 0", "greater_than"),
    "a stop string": openai("stop strings should be shorter than 64 characters", "stop"),
    "a user in a sentence": openai("the user is over its quota", None, "insufficient_quota"),
    "a store": openai("the store cannot be reached"),
    "a number of strings": openai("stop: an unsupported number of stop sequences (5 > 4)", "stop"),
    "a key of metadata": openai("This user key 'a b' is not permitted", "user"),
    "a value of logprobs": openai("the value of logprobs is not supported: 99", "logprobs"),
}  # fmt: skip


def error_of(body: bytes, status: int = 400) -> Any:
    media = "text/plain" if not body.startswith(b"{") else "application/json"
    return refusal(status, {"content-type": media}, body)


@pytest.mark.parametrize("name", TEACHES)
def test_words_that_say_unsupported_or_unknown_teach(name: str) -> None:
    body, parameter = TEACHES[name]
    assert lesson_of(error_of(body), FULL) == parameter
    without = {key: value for key, value in FULL.items() if key not in (parameter, "tools")}
    assert lesson_of(error_of(body), without) != parameter, "only what was sent can be dropped"


@pytest.mark.parametrize("name", TEACHES_NOTHING)
@pytest.mark.parametrize("status", [400, 422, 500])
def test_words_about_values_teach_nothing(name: str, status: int) -> None:
    assert lesson_of(error_of(TEACHES_NOTHING[name], status), FULL) is None


@pytest.mark.parametrize("status", [401, 403, 404, 429, 503])
def test_other_statuses_teach_nothing(status: int) -> None:
    body = openai("Unknown parameter: 'seed'.", "seed", "unknown_parameter")
    assert lesson_of(error_of(body, status), FULL) is None


@pytest.mark.parametrize(
    "body",
    [
        openai(
            "Unsupported value: 'messages[0].role' does not support 'developer' with this model.",
            "messages[0].role",
            "unsupported_value",
        ),
        pydantic(["messages", 0, "role"], "Input should be 'system' or 'user'", "literal_error"),
        b"Unexpected role: developer",
        b"unknown variant `developer`, expected one of `system`, `user`",
    ],
)
def test_the_developer_role_is_learned_where_it_was_used(body: bytes) -> None:
    assert lesson_of(error_of(body), DEVELOPER) == "developer"
    assert lesson_of(error_of(body), FULL) is None


@pytest.mark.parametrize(
    ("message", "limit"),
    [
        ("max_tokens must be <= 4096", 4096),
        ("This model supports at most 4096 completion tokens, whereas you provided 9000.", 4096),
        ("max_tokens must be less than or equal to 2048", 2048),
        (
            "This model's maximum context length is 8192 tokens. However, you requested 9100 tokens "
            "(100 in the messages, 9000 in the completion).",
            8092,
        ),
        ("temperature must be <= 2", None),
        ("no", None),
    ],
)
def test_a_limit_is_read_from_the_words(message: str, limit: int | None) -> None:
    assert value_limit(RequestError(message)) == limit


SHAPES: dict[str, tuple[bytes, str]] = {
    "OpenAI's": (openai("words"), "words"),
    "a text as the error": (b'{"error": "words"}', "words"),
    "a message": (b'{"message": "words"}', "words"),
    "an object": (b'{"object": "error", "message": "words", "code": 40003}', "words"),
    "FastAPI's text": (b'{"detail": "words"}', "words"),
    "FastAPI's list": (pydantic(["n"], "words", "x"), "n: words"),
    "plain": (b"words", "words"),
    "a JSON text": (b'"words"', "words"),
    "deeper": (b'{"error": {"error": {"message": "words"}}}', "words"),
    "a web page": (b"<html><title>words &amp; more</title>", "a web page, `words & more`"),
    "nothing": (b"", "status 400"),
    "a list": (b'[{"message": "words"}]', "words"),
    "null": (b"null", "status 400"),
    "not UTF-8": (b"words \xff", "words"),
}


@pytest.mark.parametrize("name", SHAPES)
def test_every_shape_of_an_error_is_read(name: str) -> None:
    body, words = SHAPES[name]
    error = error_of(body)
    assert isinstance(error, RequestError)
    assert words in error.cause
    assert "<html" not in error.cause


def test_long_words_are_bounded() -> None:
    assert len(error_of(openai("x" * 99999)).cause) < 2100


@pytest.mark.parametrize(
    ("status", "kind", "sent"),
    [
        (400, RequestError, 400),
        (401, RequestError, 401),
        (422, RequestError, 422),
        (429, CapacityError, 429),
        (503, CapacityError, 503),
        (500, BackendError, 500),
        (302, BackendError, 502),
        (204, BackendError, 502),
    ],
)
def test_the_status_decides_the_kind(status: int, kind: type, sent: int) -> None:
    error = error_of(b"words", status)
    assert type(error) is kind
    assert error.status == sent


def test_a_validation_error_behind_a_500_is_the_clients() -> None:
    body = b"Internal Server Error: 1 validation error for CreateChatCompletion\nmax_tokens ..."
    assert error_of(body, 500).status == 400


@pytest.mark.parametrize(
    ("header", "low", "high"),
    [("7", 7, 7), ("0.5", 0.5, 0.5), ("Wed, 21 Oct 2065 07:28:00 GMT", 86400, 86400)],
)
def test_retry_after_is_a_number_or_a_date(header: str, low: float, high: float) -> None:
    seconds = retry_after_seconds(header)
    assert seconds is not None
    assert low <= seconds <= high


@pytest.mark.parametrize("header", ["", "soon", "-1", "Wed, 99 Foo"])
def test_another_retry_after_is_none(header: str) -> None:
    assert retry_after_seconds(header) is None


def test_a_stated_error_keeps_where_and_hint() -> None:
    error = stated_error({"message": "no; do this", "hint": "do this", "where": "x"}, status=400)
    assert (error.cause, error.hint, error.where) == ("no", "do this", "x")
