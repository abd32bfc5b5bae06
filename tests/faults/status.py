"""Faults told by a status: servers that are down, in a hurry, or reject a parameter."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.faults.answer import STOP, TOOL_NAME, TOOLS, Asked
from tests.faults.case import (
    AGAIN,
    ALWAYS,
    BY_PARAMETER,
    BY_PLAIN,
    COMPLETE,
    EITHER,
    ERROR,
    FIVE_TIMES,
    NO_WAY,
    ONCE,
    STREAM_ONLY,
    TWICE,
    Fault,
    Verdict,
)
from tests.faults.steps import (
    HTML,
    TEXT,
    Close,
    Play,
    Poison,
    Raw,
    Steps,
    answered,
    event,
    healthy,
    part,
    reply,
    stream,
)

FAMILY = "status"
OPENAI = "openai"
PYDANTIC = "pydantic"
PLAIN = "text"
Lasts = Mapping[str, tuple[frozenset[Verdict], str]]
NOT_AGAIN: Lasts = {ALWAYS: (ERROR, NO_WAY)}
PAGE = "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
UNAVAILABLE = {"error": {"message": "The server is overloaded", "type": "server_error"}}
LIMITED = {"error": {"message": "Rate limit reached", "type": "requests", "code": "rate_limit"}}
KEY = {"error": {"message": "Incorrect API key provided", "code": "invalid_api_key"}}
MODEL = {"error": {"message": "The model `x` does not exist", "code": "model_not_found"}}
CONTEXT = {
    "error": {
        "message": "This model's maximum context length is 4096 tokens, however you requested "
        "5000 tokens. Please reduce the length of the messages.",
        "type": "invalid_request_error",
        "param": "messages",
        "code": "context_length_exceeded",
    }
}
ENGINE_LOST = {"detail": "[address=127.0.0.1:1] Connect call failed ('127.0.0.1', 1)"}


@dataclass(frozen=True)
class Rejected:
    """A parameter that a server does not know, and a request that has it.

    `alone` is what a server that always rejects it must end in; `label` names it where the
    parameter is there more than once.
    """

    name: str
    asks: Mapping[str, Any]
    alone: frozenset[Verdict] = COMPLETE
    why: str = BY_PARAMETER
    answer: str = ""
    modes: tuple[bool, ...] = (True, False)
    label: str = ""
    shapes: tuple[str, ...] = (OPENAI, PYDANTIC, PLAIN)

    def is_in(self, shape: Mapping[str, Any]) -> bool:
        if self.name == "developer":
            return any(each.get("role") == "developer" for each in shape.get("messages") or [])
        value = shape.get(self.name)
        if self.name == "n":
            return value not in (None, 1)
        if self.name == "response_format":
            return value not in (None, {"type": "text"})
        return value not in (None, [], {})


NAMED = {"type": "function", "function": {"name": TOOL_NAME}}
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "degrees": {"type": "integer"}},
    "required": ["city", "degrees"],
}
JSON_SCHEMA = {"type": "json_schema", "json_schema": {"name": "weather", "schema": SCHEMA}}
REFUSED = "leaving it out would change the answer, and nothing stands in for it"
DEVELOPER = [
    {"role": "developer", "content": "Answer exactly."},
    {"role": "user", "content": "Say the sentence."},
]
REJECTED = (
    Rejected("tool_choice", {"tools": TOOLS, "tool_choice": "auto"}),
    Rejected(
        "tool_choice", {"tools": TOOLS, "tool_choice": NAMED}, label="named", shapes=(OPENAI,)
    ),
    Rejected(
        "tool_choice", {"tools": TOOLS, "tool_choice": "none"}, label="none", shapes=(OPENAI,)
    ),
    Rejected(
        "tool_choice",
        {"tools": TOOLS, "tool_choice": "required"},
        label="required",
        shapes=(OPENAI,),
        why="whether there is a call is checked",
    ),
    Rejected("parallel_tool_calls", {"tools": TOOLS, "parallel_tool_calls": True}),
    Rejected("stream_options", {"stream_options": {"include_usage": True}}, modes=(True,)),
    Rejected("logprobs", {"logprobs": True}),
    Rejected("response_format", {"response_format": {"type": "json_object"}}, answer="json"),
    Rejected(
        "response_format",
        {"response_format": JSON_SCHEMA},
        answer="json",
        label="schema",
        shapes=(OPENAI,),
    ),
    Rejected("max_completion_tokens", {"max_completion_tokens": 500}),
    Rejected(
        "seed",
        {"seed": 7},
        shapes=(OPENAI, PYDANTIC, PLAIN, "pydantic-1", "vllm", "error-text", "message"),
    ),
    Rejected("user", {"user": "somebody"}),
    Rejected("n", {"n": 2}),
    Rejected("stop", {"stop": [STOP]}),
    Rejected("logit_bias", {"logit_bias": {"5": -100}}, alone=ERROR, why=REFUSED),
    Rejected("tools", {"tools": TOOLS}, alone=ERROR, why=REFUSED),
    Rejected("developer", {"messages": DEVELOPER}),
)


def _openai(name: str) -> tuple[int, Any, str]:
    if name == "developer":
        message = (
            "Invalid value: 'developer'. Supported values are: 'system', 'assistant', 'user', "
            "and 'tool'."
        )
        param, code = "messages[0].role", "invalid_value"
    else:
        message = f"Unsupported parameter: '{name}' is not supported with this model."
        param, code = name, "unsupported_parameter"
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    return 400, {"error": error}, "application/json"


def _pydantic(name: str) -> tuple[int, Any, str]:
    detail: dict[str, Any] = {
        "type": "extra_forbidden",
        "loc": ["body", name],
        "msg": "Extra inputs are not permitted",
        "input": "x",
    }
    if name == "developer":
        detail = {
            "type": "literal_error",
            "loc": ["body", "messages", 0, "role"],
            "msg": "Input should be 'system', 'user', 'assistant' or 'tool'",
            "input": "developer",
        }
    return 422, {"detail": [detail]}, "application/json"


def _text(name: str) -> tuple[int, Any, str]:
    said = f"Unexpected role: {name}" if name == "developer" else f"{name} is not supported"
    return 400, said, TEXT


def _pydantic_1(name: str) -> tuple[int, Any, str]:
    detail = {
        "loc": ["body", name],
        "msg": "extra fields not permitted",
        "type": "value_error.extra",
    }
    return 422, {"detail": [detail]}, "application/json"


def _vllm(name: str) -> tuple[int, Any, str]:
    message = (
        f"[{{'type': 'extra_forbidden', 'loc': ('body', '{name}'), "
        "'msg': 'Extra inputs are not permitted', 'input': 'x'}]"
    )
    body = {"object": "error", "message": message, "type": "BadRequestError", "code": 400}
    return 400, {**body, "param": None}, "application/json"


def _error_text(name: str) -> tuple[int, Any, str]:
    return 400, {"error": f"unknown parameter: {name}"}, "application/json"


def _message(name: str) -> tuple[int, Any, str]:
    return 400, {"message": f"Unrecognized request argument supplied: {name}"}, "application/json"


SHAPES: Mapping[str, Callable[[str], tuple[int, Any, str]]] = {
    OPENAI: _openai,
    PYDANTIC: _pydantic,
    PLAIN: _text,
    "pydantic-1": _pydantic_1,
    "vllm": _vllm,
    "error-text": _error_text,
    "message": _message,
}


def _rejecting(rejected: Rejected, shape: str) -> Play:
    status, body, kind = SHAPES[shape](rejected.name)

    def play(asked: Asked) -> Steps:
        if rejected.is_in(asked.shape):
            return reply(status, body, kind)
        return healthy(asked)

    return play


def _rejections() -> Iterator[Fault]:
    for rejected in REJECTED:
        for shape in rejected.shapes:
            play = _rejecting(rejected, shape)
            yield Fault(
                name="-".join(
                    filter(
                        None,
                        ("rejects", rejected.name.replace("_", "-"), rejected.label, shape),
                    )
                ),
                family="parameter",
                stream=play,
                plain=play,
                asks=rejected.asks,
                drops=(rejected.name,),
                answer=rejected.answer,
                lasts={ALWAYS: (rejected.alone, rejected.why)},
                modes=rejected.modes,
            )


def _rejecting_two(asked: Asked) -> Steps:
    """One after the other: the second is only told when the first is gone."""
    for name in ("seed", "user"):
        if asked.shape.get(name) is not None:
            status, body, kind = _openai(name)
            return reply(status, body, kind)
    return healthy(asked)


def _value_error(asked: Asked) -> Steps:
    message = "max_tokens must be <= 4096, got 99999"
    error = {"message": message, "type": "invalid_request_error", "param": "max_tokens"}
    if (asked.shape.get("max_tokens") or 0) > 4096:
        return reply(400, {"error": {**error, "code": "invalid_value"}})
    return healthy(asked)


def _vllm_tools(asked: Asked) -> Steps:
    """As vLLM without a parser of tool calls: `auto` is what it takes tools for, named or not."""
    message = (
        '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'
    )
    body = {"object": "error", "message": message, "type": "BadRequestError", "code": 400}
    return reply(400, body) if asked.shape.get("tools") else healthy(asked)


def _lost_in_mid_answer(asked: Asked) -> Steps:
    """As Xinference whose model process was killed: an error event, then 500 until it is back."""
    if asked.played == 0 and asked.is_stream:
        return stream([*part(asked, 3), event({"error": ENGINE_LOST["detail"]})])
    return reply(500, ENGINE_LOST)


def _poisoning(asked: Asked) -> Steps:
    """As Xinference: after such an answer the connection is reset by its next request."""
    return [*reply(500, "Internal Server Error: 1 validation error", TEXT), Poison()]


def _both(name: str, play: Play, lasts: Lasts | None = None, **more: Any) -> Fault:
    return Fault(name=name, family=FAMILY, stream=play, plain=play, lasts=lasts or {}, **more)


SERVER_ERROR: Lasts = {
    ONCE: (COMPLETE, AGAIN),
    TWICE: (COMPLETE, AGAIN),
    ALWAYS: (ERROR, NO_WAY),
}
LATER: Lasts = {ONCE: (COMPLETE, "the server said when to ask again"), ALWAYS: (ERROR, NO_WAY)}
NOT_FOR_LONG: Lasts = {
    ONCE: (EITHER, "the server is to be asked again in an hour"),
    ALWAYS: (ERROR, NO_WAY),
}
NO_STREAMS: Lasts = {STREAM_ONLY: (COMPLETE, BY_PLAIN)}

RECOVERS: Lasts = {FIVE_TIMES: (COMPLETE, "it is known to need a while until it is back")}

FAULTS = (
    _both(
        "500", answered(500, {"error": {"message": "boom", "type": "server_error"}}), SERVER_ERROR
    ),
    _both("502-html", answered(502, PAGE, HTML), SERVER_ERROR),
    _both("503", answered(503, UNAVAILABLE), SERVER_ERROR),
    _both("504-html", answered(504, PAGE, HTML), SERVER_ERROR),
    _both("529", answered(529, UNAVAILABLE), SERVER_ERROR),
    _both("500-detail", answered(500, ENGINE_LOST), SERVER_ERROR),
    _both("500-then-reset", _poisoning, SERVER_ERROR),
    _both("500-empty", answered(500, b""), SERVER_ERROR),
    _both("500-null", answered(500, b"null"), SERVER_ERROR),
    _both(
        "503-cut",
        lambda asked: [
            Raw(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 500\r\n\r\n{"),
            Close(),
        ],
        SERVER_ERROR,
    ),
    _both("408", answered(408, UNAVAILABLE), LATER),
    _both("429-retry-after-1", answered(429, LIMITED, Retry_After="1"), LATER),
    _both("429-retry-after-0", answered(429, LIMITED, Retry_After="0"), LATER),
    _both("429-no-retry-after", answered(429, LIMITED), LATER),
    _both("429-retry-after-3600", answered(429, LIMITED, Retry_After="3600"), NOT_FOR_LONG),
    _both("503-retry-after-1", answered(503, UNAVAILABLE, Retry_After="1"), LATER),
    _both("401", answered(401, KEY), NOT_AGAIN),
    _both("401-detail", answered(401, {"detail": "Could not validate credentials"}), NOT_AGAIN),
    _both("403", answered(403, {"detail": "Forbidden"}), NOT_AGAIN),
    _both("404", answered(404, MODEL), NOT_AGAIN),
    _both("404-detail", answered(404, {"detail": "Model not found"}), NOT_AGAIN),
    _both("400-no-reason", answered(400, {"error": {"message": "Bad request"}}), NOT_AGAIN),
    _both("500-for-streams", answered(500, ENGINE_LOST), NO_STREAMS, modes=(True,)),
    _both(
        "501-for-streams",
        answered(501, {"error": "streaming is not implemented"}),
        NO_STREAMS,
        modes=(True,),
    ),
    _both(
        "400-for-streams",
        answered(
            400,
            {
                "error": {
                    "message": "stream is not supported",
                    "type": "invalid_request_error",
                    "param": "stream",
                    "code": "unsupported_parameter",
                }
            },
        ),
        NO_STREAMS,
        modes=(True,),
    ),
    _both(
        "value-of-max-tokens",
        _value_error,
        {
            ALWAYS: (ERROR, "the caller's value is wrong, and max_tokens is never dropped"),
        },
        asks={"max_tokens": 99999},
    ),
    _both(
        "rejects-two-in-turn",
        _rejecting_two,
        {ALWAYS: (COMPLETE, BY_PARAMETER)},
        asks={"seed": 7, "user": "somebody"},
        drops=("seed", "user"),
    ),
    _both("context-length", answered(400, CONTEXT), NOT_AGAIN),
    _both(
        "vllm-without-tools",
        _vllm_tools,
        {ALWAYS: (ERROR, REFUSED)},
        asks={"tools": TOOLS, "tool_choice": "auto"},
    ),
    _both("engine-lost", _lost_in_mid_answer, RECOVERS, backend={"preset": "xinference"}),
    *_rejections(),
)
