"""Tool calls of foreign servers: gathered from fragments, held back until they are whole."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from trueup.errors import BackendError
from trueup.gateway.json_text import written

# OpenAI's calls of tools that take a text.
CUSTOM = "custom"


class CallFragments:
    """The tool calls of one choice of a stream, fragment by fragment."""

    def __init__(self) -> None:
        self._calls: list[dict[str, Any]] = []
        self._places: dict[Any, int] = {}

    def __bool__(self) -> bool:
        return bool(self._calls)

    def add(self, fragments: Sequence[Any]) -> None:
        """Take the `tool_calls` of a delta.

        Raises:
            BackendError: they are not in the shape of tool calls.
        """
        for fragment in fragments:
            if not isinstance(fragment, dict):
                raise malformed("a tool call that is no object")
            call = self._call(fragment)
            function = fragment.get("function")
            if not isinstance(function, dict):
                if isinstance(custom := fragment.get(CUSTOM), dict):
                    _add_custom(call, custom)
                continue
            # A name may come in fragments, and may be said again with every one.
            if isinstance(name := function.get("name"), str) and name != call["name"]:
                call["name"] += name
            arguments = function.get("arguments")
            if isinstance(arguments, str):
                call["arguments"] += arguments
            elif arguments is not None:
                call["arguments"] = written(arguments).decode()

    def shapes(self) -> list[dict[str, Any]]:
        """The calls in OpenAI's shape, unchecked."""
        return [_shape(call) for call in self._calls]

    def _call(self, fragment: Mapping[str, Any]) -> dict[str, Any]:
        given_id = _id(fragment.get("id"))
        # Some servers leave the index out, some give every call the index 0 and an id of its own.
        key = fragment.get("index")
        if key is not None and not isinstance(key, int | str):
            raise malformed(f"a tool call whose index is a {type(key).__name__}")
        if key is None:
            if given_id is None and self._calls:
                return self._calls[-1]
            key = given_id
        place = self._places.get(key)
        if place is not None and given_id and self._calls[place]["id"] not in (None, given_id):
            # What has no name is a part of the call before it, whatever its id.
            place = None if _has_name(fragment) else place
        if place is None:
            place = self._places[key] = len(self._calls)
            self._calls.append({"id": None, "name": "", "arguments": ""})
        call = self._calls[place]
        call["id"] = call["id"] or given_id
        return call


def _has_name(fragment: Mapping[str, Any]) -> bool:
    called = fragment.get("function") or fragment.get(CUSTOM)
    return isinstance(called, dict) and bool(called.get("name"))


def _add_custom(call: dict[str, Any], custom: Mapping[str, Any]) -> None:
    """A fragment of a call whose input is free text, as OpenAI's custom tools have it."""
    call["type"] = CUSTOM
    if isinstance(name := custom.get("name"), str) and name != call["name"]:
        call["name"] += name
    if isinstance(given := custom.get("input"), str):
        call["arguments"] += given


def _shape(call: Mapping[str, Any]) -> dict[str, Any]:
    if call.get("type") == CUSTOM:
        custom = {"name": call["name"], "input": call["arguments"]}
        return {"id": call["id"], "type": CUSTOM, CUSTOM: custom}
    function = {"name": call["name"], "arguments": call["arguments"]}
    return {"id": call["id"], "type": "function", "function": function}


def finished_calls(given: Any, *, is_cut: bool = False) -> list[dict[str, Any]]:
    """The tool calls of a complete answer, mended: arguments are text, ids are there.

    `is_cut` says that the answer was cut at its token limit: arguments may end early then.

    Raises:
        BackendError: one has no name or arguments that are no JSON object.
    """
    if not isinstance(given, list):
        raise malformed("`tool_calls` that is no list")
    calls: list[dict[str, Any]] = []
    seen: set[str] = set()
    for call in given:
        if isinstance(call, dict) and isinstance(call.get(CUSTOM), dict):
            calls.append({**call, "id": _own_id(call, seen)})
            continue
        function = call.get("function") if isinstance(call, dict) else None
        name = function.get("name") if isinstance(function, dict) else None
        if not function or not isinstance(name, str) or not name:
            raise malformed("a tool call without a function's name")
        arguments = function.get("arguments")
        if not isinstance(arguments, str):
            arguments = written({} if arguments is None else arguments).decode()
        arguments = arguments if arguments.strip() else "{}"
        if not is_cut and not _is_object(arguments):
            raise malformed(f"arguments of `{name}` that are no JSON object")
        calls.append(
            {
                **{key: value for key, value in call.items() if key != "index"},
                "id": _own_id(call, seen),
                "type": "function",
                "function": {**function, "arguments": arguments},
            }
        )
    return calls


def _own_id(call: Mapping[str, Any], seen: set[str]) -> str:
    """The call's id, or one of ours where it has none or another call has it."""
    call_id = _id(call.get("id"))
    if call_id is None or call_id in seen:
        call_id = new_call_id()
    seen.add(call_id)
    return call_id


def new_call_id() -> str:
    """An id for a tool call whose server gave it none of its own."""
    return f"call_{secrets.token_hex(12)}"


def finish_reason_of(reason: str, calls: Sequence[Any]) -> str:
    """The finish reason of a choice: `stop` on tool calls is what some servers say."""
    return "tool_calls" if calls and reason == "stop" else reason


def malformed(what: str) -> BackendError:
    """The error of a tool call that nobody can run."""
    return BackendError(f"the backend sent {what}", retryable=True, code="tool_call_malformed")


def _id(given: Any) -> str | None:
    """An id as a text; None for none, and for what is none."""
    is_id = isinstance(given, str | int) and not isinstance(given, bool) and given != ""
    return str(given) if is_id else None


def _is_object(arguments: str) -> bool:
    try:
        return isinstance(orjson.loads(arguments), dict)
    except orjson.JSONDecodeError:
        return False
