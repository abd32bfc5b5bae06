"""The rows of Xinference's table: what is asked, and what OpenAI's specification makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.clients.checkpoint import CONTEXT_TOKENS
from tests.faults.answer import TOOL_NAME, TOOLS

Verdict = Literal["answered", "refused", "error", "broken"]
CHAT = "/v1/chat/completions"
USER = {"role": "user", "content": "Say something."}
BOTH = (True, False)
STREAM = (True,)
WHOLE = (False,)
ANSWERED: frozenset[Verdict] = frozenset({"answered"})
REFUSED: frozenset[Verdict] = frozenset({"refused"})
# What only the server could say it does not say: an honest error is all there is.
NO_ANSWER: frozenset[Verdict] = frozenset({"refused", "error"})
OPEN: frozenset[Verdict] = ANSWERED | REFUSED
ANY: frozenset[Verdict] = ANSWERED | NO_ANSWER
FEW_TOKENS = 24
NULL = "null of JSON"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One request. `due` is what must come of it through the gateway.

    `asks` is added to a plain request for `FEW_TOKENS`; None takes a key out, NULL is sent as
    null. `dropped` must be told in the header where the request was answered.
    `completion_tokens` and `finish` are those of the answer, where they are known. `profile` is
    asked for by header.
    """

    name: str
    asks: Mapping[str, Any] = field(default_factory=dict)
    modes: tuple[bool, ...] = BOTH
    due: frozenset[Verdict] = ANSWERED
    path: str = CHAT
    finish: str = ""
    completion_tokens: int | None = None
    dropped: str = ""
    profile: str = ""
    model: str = ""

    def shape(self, model: str, is_stream: bool) -> dict[str, Any]:
        """The request's body."""
        plain = {"model": self.model or model, "max_tokens": FEW_TOKENS, "temperature": 0}
        shape = {**plain, "messages": [USER], **self.asks}
        if is_stream:
            shape["stream"] = True
        sent = {name: value for name, value in shape.items() if value is not None}
        return {name: None if value == NULL else value for name, value in sent.items()}


def _turns(*turns: Mapping[str, Any]) -> dict[str, Any]:
    return {"messages": list(turns)}


SYSTEM = {"role": "system", "content": "Be brief."}
ASSISTANT = {"role": "assistant", "content": "Something."}
CALL = {
    "id": "call_1",
    "type": "function",
    "function": {"name": TOOL_NAME, "arguments": "{}"},
}
CALLED = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "call_1", "content": "21"}
PARTS = {"role": "user", "content": [{"type": "text", "text": "Say something."}]}
NAMED = {"type": "function", "function": {"name": TOOL_NAME}}
WITH_USAGE = {"stream_options": {"include_usage": True}}
OVER = CONTEXT_TOKENS * 4
ROWS = (
    Row(name="plain", finish="length", completion_tokens=FEW_TOKENS),
    Row(name="a long answer: one role", asks={"max_tokens": 1900}, modes=STREAM),
    Row(name="include_usage: one finish_reason", asks=WITH_USAGE, modes=STREAM, finish="length"),
    Row(name="stream_options without stream", asks=WITH_USAGE, modes=WHOLE, due=OPEN),
    Row(name="tools, auto", asks={"tools": TOOLS, "tool_choice": "auto"}),
    Row(name="tools, none", asks={"tools": TOOLS, "tool_choice": "none"}),
    Row(name="tools, required", asks={"tools": TOOLS, "tool_choice": "required"}, due=NO_ANSWER),
    Row(name="tools, a named one", asks={"tools": TOOLS, "tool_choice": NAMED}, due=NO_ANSWER),
    Row(name="parallel_tool_calls", asks={"tools": TOOLS, "parallel_tool_calls": False}),
    Row(
        name="response_format: not JSON, and said so",
        asks={"response_format": {"type": "json_object"}},
        due=NO_ANSWER,
    ),
    Row(name="logprobs", asks={"logprobs": True}, due=OPEN, dropped="logprobs"),
    Row(name="top_logprobs 99", asks={"logprobs": True, "top_logprobs": 99}, due=REFUSED),
    Row(name="n=2", asks={"n": 2}),
    Row(name="n=3", asks={"n": 3, "temperature": 1}),
    Row(name="seed", asks={"seed": 7}),
    Row(name="store, metadata, user", asks={"store": False, "metadata": {"a": "b"}, "user": "u"}),
    Row(name="a parameter of nobody", asks={"guided_json": {"type": "object"}}, due=OPEN),
    Row(
        name="max_completion_tokens",
        asks={"max_tokens": None, "max_completion_tokens": 5},
        finish="length",
        completion_tokens=5,
    ),
    Row(name="no max_tokens", asks={"max_tokens": None}, modes=STREAM),
    Row(name="max_tokens null", asks={"max_tokens": NULL}, modes=WHOLE),
    Row(name="max_tokens 0", asks={"max_tokens": 0}, due=REFUSED),
    Row(name="max_tokens -1", asks={"max_tokens": -1}, due=REFUSED),
    Row(name="max_tokens a text", asks={"max_tokens": "x"}, due=REFUSED),
    Row(name="temperature 9", asks={"temperature": 9}, due=REFUSED),
    Row(name="temperature a text", asks={"temperature": "x"}, due=REFUSED),
    Row(name="no messages", asks={"messages": None}, due=REFUSED),
    Row(name="messages a text", asks={"messages": "hello"}, due=REFUSED),
    Row(name="empty messages", asks={"messages": []}, due=REFUSED),
    Row(name="max_tokens above the context", asks={"max_tokens": OVER}, due=REFUSED),
    Row(
        name="max_tokens above the context, clamped",
        asks={"max_tokens": OVER},
        profile="langchain-chatchat",
    ),
    Row(
        name="max_tokens above what the prompt leaves of the context",
        asks={"max_tokens": CONTEXT_TOKENS - 8},
        due=NO_ANSWER,
    ),
    Row(
        name="a prompt longer than the context",
        asks=_turns({"role": "user", "content": "word " * (CONTEXT_TOKENS * 2)}),
        due=ANY,
    ),
    Row(name="developer role", asks=_turns({"role": "developer", "content": "Be brief."}, USER)),
    Row(name="unknown role", asks=_turns({"role": "nobody", "content": "x"}), due=REFUSED),
    Row(name="user after user", asks=_turns(USER, USER)),
    Row(name="system last: its template refuses", asks=_turns(USER, SYSTEM), due=NO_ANSWER),
    Row(name="assistant last", asks=_turns(USER, ASSISTANT)),
    Row(name="a tool's result", asks={**_turns(USER, CALLED, RESULT), "tools": TOOLS}),
    Row(name="content in parts", asks=_turns(PARTS)),
    Row(name="unknown model", due=REFUSED, model="nobody"),
    Row(name="unknown model behind the gateway", due=REFUSED, model="ghost"),
    Row(
        name="/v1/completions of a chat model",
        asks={"messages": None, "prompt": "Say"},
        path="/v1/completions",
        due=NO_ANSWER,
    ),
    Row(
        name="/v1/responses",
        asks={"messages": None, "input": "Say"},
        path="/v1/responses",
        modes=WHOLE,
        due=OPEN,
    ),
)
