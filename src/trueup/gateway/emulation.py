"""Parameters that a backend does not take, where the gateway can do the same exactly.

Each changes the request in place and says what the answer has to pass: pure but for that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from trueup.errors import BackendError, RequestError
from trueup.protocol.fields import refuse, shown

# Takes a whole message; what it returns replaces the content, None leaves it.
Verify = Callable[[Mapping[str, Any]], str | None]

FENCE = re.compile(r"\A```(?:json)?\s*\n(.*?)\n?```\Z", re.S)
JSON_WORDS = "Answer with one JSON {what} and nothing else: no explanation and no code fence."
SCHEMA_WORDS = " It has to be valid under this JSON schema: {schema}"


def emulate_tool_choice(shape: dict[str, Any]) -> Verify | None:
    """Offer what may be called, and check that it was.

    Raises:
        RequestError: the choice cannot be meant.
    """
    choice = shape.pop("tool_choice")
    tools = shape.get("tools")
    if choice is None or choice == "auto":
        return None  # the default
    if choice == "none":
        shape.pop("tools", None)
        return None
    offered = [each for each in tools if isinstance(each, dict)] if isinstance(tools, list) else []
    if choice == "required":
        return _called(_names(offered))
    name = choice.get("function", {}).get("name") if isinstance(choice, dict) else None
    if not isinstance(name, str):
        refuse("tool_choice", choice, "`auto`, `none`, `required` or a function of `tools`")
    shape["tools"] = [each for each in offered if each.get("function", {}).get("name") == name]
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
    if wanted is None or kind == "text":
        return None
    check: Callable[[Any], None]
    if kind == "json_object":
        words, check = JSON_WORDS.format(what="object"), _no_check
    elif kind == "json_schema":
        schema = (wanted.get("json_schema") or {}).get("schema")
        words = JSON_WORDS.format(what="value") + SCHEMA_WORDS.format(
            schema=orjson.dumps(schema).decode()
        )
        check = _validator(schema)
    else:
        refuse("response_format.type", kind, "`text`, `json_object` or `json_schema`")
    messages = shape.get("messages")
    rows = list(messages) if isinstance(messages, list) else []
    # Into the system message where there is one: many templates know one, and only at the start.
    first = rows[0] if rows and isinstance(rows[0], dict) else {}
    if first.get("role") in ("system", "developer") and isinstance(first.get("content"), str):
        rows[0] = {**first, "content": f"{first['content']}\n\n{words}"}
    else:
        rows.insert(0, {"role": "system", "content": words})
    shape["messages"] = rows
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
            raise _rejected(f"is not the JSON that `response_format` asks for: {error}") from error
        if is_object and not isinstance(value, dict):
            raise _rejected(f"is a JSON {type(value).__name__}, not the object that was asked for")
        check(value)
        return text if fenced else None

    return verify


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


def _names(tools: list[dict[str, Any]]) -> set[str]:
    names = {each.get("function", {}).get("name") for each in tools}
    return {name for name in names if isinstance(name, str)}


def _no_check(value: Any) -> None:
    """Any JSON will do."""


def _validator(schema: Any) -> Callable[[Any], None]:
    import jsonschema_rs

    try:
        validator = jsonschema_rs.validator_for(schema)
    except (ValueError, TypeError, jsonschema_rs.ReferencingError) as error:
        raise RequestError(
            f"`response_format.json_schema.schema` is no JSON schema: {error}",
            param="response_format",
        ) from error

    def check(value: Any) -> None:
        for error in validator.iter_errors(value):
            place = "/".join(map(str, error.instance_path)) or "the value"
            raise _rejected(
                f"does not fit the schema of `response_format` at {place}: {error.message}"
            )

    return check


def _rejected(how: str) -> BackendError:
    return BackendError(
        f"the answer {how}",
        retryable=True,
        code="answer_rejected",
        hint="this backend does not enforce it; the answer was checked and not passed on",
    )
