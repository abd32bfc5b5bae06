"""What is wrong with a request whoever is asked: told before, and better than servers tell it.

Some answer a temperature of 9 with an opaque 500. Fields that nobody here knows pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trueup.errors import RequestError
from trueup.protocol.fields import Reader, boolean, integer, number, refuse, text
from trueup.protocol.sampling import MAX_STOP_STRINGS, required

CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
# OpenAI's limit; beyond it some servers answer as if nothing had been asked.
MAX_TOP_LOGPROBS = 20
ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})


def check_stop(param: str, value: Any) -> None:
    """See that stop strings are such.

    Raises:
        RequestError: they are not.
    """
    if isinstance(value, str):
        return
    if not isinstance(value, list) or len(value) > MAX_STOP_STRINGS:
        refuse(param, value, f"a string or a list of at most {MAX_STOP_STRINGS} strings")
    for index, each in enumerate(value):
        text(f"{param}[{index}]", each)


def _texts(param: str, value: Any) -> None:
    if not isinstance(value, str | list) or value == []:
        refuse(param, value, "a string, or a list of strings or token ids")


def _object(param: str, value: Any) -> None:
    if not isinstance(value, Mapping):
        refuse(param, value, "an object")


def _list(param: str, value: Any) -> None:
    if not isinstance(value, list):
        refuse(param, value, "a list")


READERS: Mapping[str, Reader] = {
    "temperature": number(0, 2),
    "top_p": number(0, 1),
    "presence_penalty": number(-2, 2),
    "frequency_penalty": number(-2, 2),
    "max_tokens": integer(1),
    "max_completion_tokens": integer(1),
    "seed": integer(-(2**63), 2**64 - 1),
    "stop": check_stop,
    "stream": boolean,
    "stream_options": _object,
    "tools": _list,
    "response_format": _object,
    "logit_bias": _object,
    "top_logprobs": integer(0, MAX_TOP_LOGPROBS),
    "parallel_tool_calls": boolean,
    "prompt": _texts,
    "input": _texts,
}


def check_request(path: str, shape: Mapping[str, Any]) -> None:
    """See that the fields that every server reads can be meant; null means absent.

    Raises:
        RequestError: one cannot; `param` names it.
    """
    for name, value in shape.items():
        if value is not None and (reader := READERS.get(name)) is not None:
            reader(name, value)
    if path == CHAT:
        _check_messages(required(shape, "messages"))
    elif path == COMPLETIONS:
        required(shape, "prompt")
    else:
        required(shape, "input")
    if shape.get("stream_options") is not None and shape.get("stream") is not True:
        raise RequestError(
            "`stream_options` is given, but `stream` is not `true`",
            param="stream_options",
            hint="set `stream` to `true` or leave `stream_options` out",
        )


def _check_messages(messages: Any) -> None:
    if not isinstance(messages, list) or not messages:
        refuse("messages", messages, "a list with at least one message")
    for index, message in enumerate(messages):
        if not isinstance(message, dict):
            refuse(f"messages[{index}]", message, "an object with `role` and `content`")
        role = message.get("role")
        if not isinstance(role, str) or role not in ROLES:
            expected = ", ".join(f"`{each}`" for each in sorted(ROLES))
            refuse(f"messages[{index}].role", role, expected)
        content = message.get("content")
        if content is not None and not isinstance(content, str | list):
            refuse(f"messages[{index}].content", content, "a string or a list of parts")
