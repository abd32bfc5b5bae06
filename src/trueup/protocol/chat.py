"""Chat completions on the wire: the request, parsed, and the shapes of answers and chunks.

Parsing is strict: a parameter that would change the answer and is not supported is an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from trueup.errors import RequestError
from trueup.protocol.answer import answer_body
from trueup.protocol.fields import (
    Reader,
    anything,
    boolean,
    integer,
    read_fields,
    refuse,
    shown,
    unknown,
    unless,
)
from trueup.protocol.sampling import (
    SHARED_READERS,
    Resume,
    Sampling,
    required,
    resume_of,
    sampling_of,
    stream_of,
)

ROLES = ("system", "developer", "user", "assistant", "tool")


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message; the role `developer` has become `system`, parts have become one text."""

    role: str
    content: str

    def as_dict(self) -> dict[str, str]:
        """The shape that chat templates read."""
        return {"role": self.role, "content": self.content}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """A checked request of /v1/chat/completions.

    `resume`: only these choices are made, each after the answer tokens that the client has of
    it already; None makes all from their start.
    """

    model: str
    messages: tuple[Message, ...]
    sampling: Sampling = field(default_factory=Sampling)
    stream: bool = False
    include_usage: bool = False
    add_generation_prompt: bool = True
    continue_final_message: bool = False
    resume: Resume | None = None


def _text_parts(param: str, parts: Sequence[Any]) -> str:
    texts = []
    for index, part in enumerate(parts):
        place = f"{param}[{index}]"
        if not isinstance(part, Mapping):
            refuse(place, part, 'a part such as `{"type": "text", "text": "…"}`')
        if part.get("type") != "text":
            raise RequestError(
                f"`{place}.type` is {shown(part.get('type'))}, expected `text`: "
                "images, audio and files are not supported",
                param=f"{place}.type",
                code="unsupported_content",
            )
        if not isinstance(part.get("text"), str):
            refuse(f"{place}.text", part.get("text"), "a string")
        texts.append(part["text"])
    return "".join(texts)


def _content(param: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value:
        return _text_parts(param, value)
    refuse(param, value, "a string or a list of text parts")


_NO_TOOLS = unless([], {})

MESSAGE_READERS: dict[str, Reader] = {
    "role": anything,
    "content": _content,
    "name": anything,
    "tool_call_id": anything,
    "refusal": _NO_TOOLS,
    "annotations": _NO_TOOLS,
    "reasoning_content": anything,
    "tool_calls": _NO_TOOLS,
    "function_call": _NO_TOOLS,
    "audio": _NO_TOOLS,
}


def _message(param: str, value: Any) -> Message:
    if not isinstance(value, Mapping):
        refuse(param, value, "an object with `role` and `content`")
    role = value.get("role")
    if role not in ROLES:
        refuse(f"{param}.role", role, ", ".join(f"`{each}`" for each in ROLES))
    content = None
    for name, each in value.items():
        if name == "content":
            content = _content(f"{param}.content", each)
        elif name not in MESSAGE_READERS:
            raise unknown(f"{param}.{name}", name, MESSAGE_READERS)
        elif each is not None:
            MESSAGE_READERS[name](f"{param}.{name}", each)
    if content is None:
        refuse(f"{param}.content", None, "a string or a list of text parts")
    return Message(role="system" if role == "developer" else role, content=content)


def _messages(param: str, value: Any) -> tuple[Message, ...]:
    if not isinstance(value, list) or not value:
        refuse(param, value, "a list with at least one message")
    return tuple(_message(f"{param}[{index}]", each) for index, each in enumerate(value))


READERS: dict[str, Reader] = {
    **SHARED_READERS,
    "messages": _messages,
    "max_completion_tokens": integer(1),
    "continue_final_message": boolean,
    "add_generation_prompt": boolean,
    "safety_identifier": anything,
    "prompt_cache_key": anything,
    "service_tier": unless("auto", "default"),
    "tools": unless([]),
    "tool_choice": unless("none", "auto"),
    "parallel_tool_calls": unless(True, False),
    "functions": unless([]),
    "function_call": unless("none", "auto"),
    "response_format": unless({"type": "text"}),
    "logprobs": unless(False),
    "top_logprobs": unless(0),
    "modalities": unless(["text"]),
    "audio": unless(),
    "prediction": unless(),
    "reasoning_effort": unless("none"),
    "verbosity": unless("medium"),
    "web_search_options": unless(),
    "moderation": unless(),
}


def parse_chat_request(body: Mapping[str, Any]) -> ChatRequest:
    """Check the JSON body of a request; null means absent.

    Raises:
        RequestError: a field is missing, out of range, unknown or not supported; `param`
            names it.
    """
    values = read_fields(body, READERS)
    messages = required(values, "messages")
    continues = values.get("continue_final_message", False)
    add_prompt = values.get("add_generation_prompt", not continues)
    if continues and add_prompt:
        refuse("add_generation_prompt", True, "`false` where `continue_final_message` is `true`")
    if continues and messages[-1].role != "assistant":
        refuse(
            f"messages[{len(messages) - 1}].role",
            messages[-1].role,
            "`assistant` where `continue_final_message` is `true`",
        )
    stream, include_usage = stream_of(body, values)
    sampling = sampling_of(values)
    return ChatRequest(
        model=required(values, "model"),
        messages=messages,
        sampling=sampling,
        stream=stream,
        include_usage=include_usage,
        add_generation_prompt=add_prompt,
        continue_final_message=continues,
        resume=resume_of(values, choices=sampling.n),
    )


def chat_response(
    *,
    id: str,
    created: int,
    model: str,
    choices: Mapping[int, tuple[str, str]],
    usage: Mapping[str, int],
) -> dict[str, Any]:
    """A whole answer; `choices` are (text, finish_reason) by their index."""
    rows = [
        {
            "index": index,
            "message": {"role": "assistant", "content": text},
            "logprobs": None,
            "finish_reason": finish_reason,
        }
        for index, (text, finish_reason) in sorted(choices.items())
    ]
    return answer_body(id, "chat.completion", created, model, rows, usage)


def chat_chunk(
    *,
    id: str,
    created: int,
    model: str,
    index: int,
    delta: Mapping[str, str],
    finish_reason: str | None = None,
) -> dict[str, Any]:
    """One chunk of one choice: `delta` has `role` in the first, `content` in the others."""
    choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return answer_body(id, "chat.completion.chunk", created, model, [choice])


def chat_usage_chunk(
    *, id: str, created: int, model: str, usage: Mapping[str, int]
) -> dict[str, Any]:
    """The last chunk of a stream with `include_usage`: no choices."""
    return answer_body(id, "chat.completion.chunk", created, model, [], usage)
