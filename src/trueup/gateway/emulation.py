"""Parameters that a backend does not take, where the gateway can do the same exactly.

Each changes the request in place and says what the answer has to pass: pure but for that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from trueup.errors import BackendError, RequestError
from trueup.gateway.json_text import written
from trueup.protocol.fields import refuse, shown

# Takes a whole message; what it returns replaces the content, None leaves it.
Verify = Callable[[Mapping[str, Any]], str | None]

MAX_TOLD_CHARACTERS = 300
FENCE = re.compile(r"\A```(?:json)?\s*\n(.*?)\n?```\Z", re.S)
OPENING = re.compile(r"\A```(?:json)?\s*")
BEGINNING = '{["-0123456789'
JSON_WORDS = "Answer with one JSON {what} and nothing else: no explanation and no code fence."
SCHEMA_WORDS = " It has to be valid under this JSON schema: {schema}"


class UnfinishedAnswerError(BackendError):
    """An answer was rejected that may be the beginning of the right one."""


def emulate_tool_choice(shape: dict[str, Any]) -> Verify | None:
    """Offer what may be called, and check that it was.

    Raises:
        RequestError: the choice cannot be meant.
    """
    choice = shape.pop("tool_choice")
    if choice is None or choice == "auto":
        return None  # the default
    if choice == "none":
        shape.pop("tools", None)
        shape.pop("parallel_tool_calls", None)
        return None
    tools = shape.get("tools")
    offered = tools if isinstance(tools, list) else []
    if choice == "required":
        names = {found for each in offered if (found := _function_name(each))}
        if not names:
            raise RequestError(
                "`tool_choice` is `required`, and `tools` has no function", param="tool_choice"
            )
        return _called(names)
    name = _function_name(choice)
    if name is None and isinstance(choice, dict) and isinstance(kind := choice.get("type"), str):
        raise _not_here("tool_choice", f"`tool_choice` of type `{kind[:40]}`")
    if name is None:
        refuse("tool_choice", choice, "`auto`, `none`, `required` or a function of `tools`")
    shape["tools"] = [each for each in offered if _function_name(each) == name]
    if not shape["tools"]:
        raise RequestError(
            f"`tool_choice` names `{name}`, which is not among `tools`", param="tool_choice"
        )
    return _called({name})


def emulate_response_format(shape: dict[str, Any]) -> Verify | None:
    """Ask for the format in words, and check the answer.

    Raises:
        RequestError: the format is none of OpenAI's, or its schema is no schema.
    """
    wanted = shape.pop("response_format")
    kind = wanted.get("type") if isinstance(wanted, dict) else None
    if kind == "text":
        return None
    check: Callable[[Any], None]
    if kind == "json_object":
        words, check = JSON_WORDS.format(what="object"), _no_check
    elif kind == "json_schema":
        words, check = _schema_asked(wanted.get("json_schema"))
    else:
        refuse("response_format.type", kind, "`text`, `json_object` or `json_schema`")
    shape["messages"] = _with_words(shape.get("messages"), words)
    is_object = kind == "json_object"

    def verify(message: Mapping[str, Any]) -> str | None:
        if message.get("tool_calls"):
            return None
        content = str(message.get("content") or "").strip()
        fenced = FENCE.match(content)
        text = fenced[1] if fenced else content
        try:
            value = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            how = f"is not the JSON that `response_format` asks for: {error}"
            # The end of a fence around it may be cut as well.
            begins = BEGINNING if kind == "json_schema" else "{"
            is_begun = OPENING.sub("", text).startswith(tuple(begins))
            raise _rejected(how, UnfinishedAnswerError if is_begun else BackendError) from error
        if is_object and not isinstance(value, dict):
            raise _rejected(f"is a JSON {type(value).__name__}, not the object that was asked for")
        check(value)
        return text if fenced else None

    return verify


def _not_here(param: str, what: str) -> RequestError:
    """The refusal of what the gateway cannot do for a backend, and another backend may."""
    return RequestError(
        f"{what} cannot be had from a server that does not take `{param}`",
        param=param,
        code="unsupported_parameter",
    )


def both(first: Verify | None, second: Verify | None) -> Verify | None:
    """One check out of two."""
    if first is None or second is None:
        return first or second

    def verify(message: Mapping[str, Any]) -> str | None:
        content = first(message)
        again = second(message if content is None else {**message, "content": content})
        return content if again is None else again

    return verify


def _called(names: set[str]) -> Verify:
    def verify(message: Mapping[str, Any]) -> str | None:
        calls = message.get("tool_calls") or ()
        called = {call["function"]["name"] for call in calls}
        if not called or not called <= names:
            told = ", ".join(f"`{name}`" for name in sorted(called)) or "nothing"
            raise _rejected(
                f"calls {told}, but `tool_choice` asks for one of {shown(sorted(names))}"
            )
        return None

    return verify


def _function_name(tool: Any) -> str | None:
    """The name in a tool, or in a choice of one."""
    function = tool.get("function") if isinstance(tool, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    return name if isinstance(name, str) else None


def _with_words(messages: Any, words: str) -> list[Any]:
    """The messages with words in the system message, else in the last question.

    Many templates know a system message in the first place alone, and some know none.
    """
    rows = list(messages) if isinstance(messages, list) else []
    roles = [each.get("role") if isinstance(each, dict) else None for each in rows]
    if roles and roles[0] in ("system", "developer"):
        place = 0
    elif "user" in roles:
        place = len(roles) - 1 - roles[::-1].index("user")
    else:
        return [{"role": "system", "content": words}, *rows]
    content = rows[place].get("content")
    if isinstance(content, list):
        content = [*content, {"type": "text", "text": words}]
    else:
        content = f"{content}\n\n{words}" if content else words
    return [*rows[:place], {**rows[place], "content": content}, *rows[place + 1 :]]


def _schema_asked(given: Any) -> tuple[str, Callable[[Any], None]]:
    """The words that ask for a schema, and the check of a value."""
    if not isinstance(given, dict):
        refuse("response_format.json_schema", given, "an object with `name` and `schema`")
    words, schema = JSON_WORDS.format(what="value"), given.get("schema")
    if schema is None:
        return words, _no_check
    return words + SCHEMA_WORDS.format(schema=written(schema).decode()), _validator(schema)


def _no_check(value: Any) -> None:
    """Any JSON will do."""


def _validator(schema: Any) -> Callable[[Any], None]:
    import jsonschema_rs

    param = "response_format.json_schema.schema"
    if not isinstance(schema, dict | bool):
        refuse(param, schema, "a JSON schema")
    try:
        validator = jsonschema_rs.validator_for(schema, retriever=_not_fetched)
    except (ValueError, TypeError, jsonschema_rs.ReferencingError) as error:
        raise RequestError(f"`{param}` is no JSON schema: {_told(error)}", param=param) from error

    def check(value: Any) -> None:
        try:
            wrong = next(iter(validator.iter_errors(value)), None)
        except ValueError as error:  # deeper than it can follow
            raise _rejected(f"cannot be checked: {_told(error)}") from error
        if wrong is not None:
            place = "/".join(map(str, wrong.instance_path)) or "the value"
            raise _rejected(
                f"does not fit the schema of `response_format` at {place}: {_told(wrong)}"
            )

    return check


def _not_fetched(uri: str) -> Any:
    # A client's schema must not have this server read files or ask other servers.
    raise ValueError(f"`{uri}` is not part of the schema, and schemas are not fetched")


def _told(error: Exception) -> str:
    """What a validator says, without the page that follows."""
    words = str(getattr(error, "message", error)).partition("\n")[0]
    return words if len(words) <= MAX_TOLD_CHARACTERS else words[:MAX_TOLD_CHARACTERS] + "…"


def _rejected(how: str, kind: type[BackendError] = BackendError) -> BackendError:
    return kind(
        f"the answer {how}",
        retryable=True,
        code="answer_rejected",
        hint="the model was asked in words alone: say in the prompt what the answer looks like, "
        "raise `max_tokens`, or ask a backend that enforces it",
    )
