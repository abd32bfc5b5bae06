"""Reads an answer as strictly as the stream contract is written; judges no text."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.faults.raw import ENDED, Heard
from tests.faults.right import Right

LINE_END = re.compile(rb"\r\n|\r|\n")
DONE = "[DONE]"


class Broken(Exception):
    """What no client should have to see."""


@dataclass
class Said:
    """What was said by choice: text, calls by their index, finish reasons; or an error."""

    texts: dict[int, str] = field(default_factory=dict)
    calls: dict[int, dict[int, dict[str, str]]] = field(default_factory=dict)
    finishes: dict[int, str] = field(default_factory=dict)
    error: str | None = None

    def add(self, index: int, delta: Mapping[str, Any], finish: str | None) -> None:
        """Take one chunk's delta.

        Raises:
            Broken: the choice had finished.
        """
        content = delta.get("content") or ""
        if index in self.finishes and (content or delta.get("tool_calls") or finish):
            raise Broken(f"choice {index} goes on after its finish chunk")
        self.texts[index] = self.texts.get(index, "") + content
        for call in delta.get("tool_calls") or []:
            self._add_call(index, call)
        if finish:
            self.finishes[index] = finish

    def add_whole(self, index: int, message: Mapping[str, Any], finish: str | None) -> None:
        """Take one whole message."""
        calls = [{"index": at, **call} for at, call in enumerate(message.get("tool_calls") or [])]
        self.add(index, {"content": message.get("content"), "tool_calls": calls}, finish)

    def arguments_of(self, index: int) -> list[tuple[str, Any]]:
        """Name and parsed arguments of each call.

        Raises:
            Broken: arguments are no JSON, or a call has no id.
        """
        found = []
        for call in self.calls.get(index, {}).values():
            try:
                arguments = json.loads(call["arguments"])
            except ValueError as error:
                raise Broken(f"arguments are no JSON: {call['arguments'][-40:]!r}") from error
            if not call["id"]:
                raise Broken("a tool call without an id")
            found.append((call["name"], arguments))
        return found

    def _add_call(self, index: int, call: Mapping[str, Any]) -> None:
        at = call.get("index")
        if not isinstance(at, int):
            raise Broken("a fragment of a tool call without an index")
        calls = self.calls.setdefault(index, {})
        known = calls.setdefault(at, {"id": "", "name": "", "arguments": ""})
        function = call.get("function") or {}
        known["id"] = known["id"] or call.get("id") or ""
        known["name"] += function.get("name") or ""
        arguments = function.get("arguments") or ""
        if not isinstance(arguments, str):
            raise Broken(f"arguments are of type {type(arguments).__name__}")
        known["arguments"] += arguments


def read_whole(heard: Heard, right: Right) -> Said:
    """Read an answer without streaming.

    Raises:
        Broken: it has not the form.
    """
    _check_transport(heard)
    if heard.status != 200:
        return _read_error(heard)
    shape = _json(heard.body)
    kind = heard.headers.get("content-type", "")
    if not kind.startswith("application/json"):
        raise Broken(f"the content type is `{kind}`")
    said = Said()
    try:
        for choice in shape["choices"]:
            message = choice["message"] if right.is_chat else {"content": choice["text"]}
            if right.is_chat and message["role"] != "assistant":
                raise Broken(f"the role is `{message['role']}`")
            said.add_whole(choice["index"], message, choice["finish_reason"])
        _check_usage(shape["usage"])
        _check_around(shape, right, "chat.completion" if right.is_chat else "text_completion")
    except (KeyError, TypeError) as error:
        raise Broken(f"the body has not the form of an answer: {error!r}") from error
    return said


def read_stream(heard: Heard, right: Right) -> Said:
    """Read a streamed answer.

    Raises:
        Broken: it has not the form, or does not end as the contract says.
    """
    _check_transport(heard)
    if heard.status != 200:
        return _read_error(heard)
    kind = heard.headers.get("content-type", "")
    if not kind.startswith("text/event-stream"):
        raise Broken(f"the content type is `{kind}`")
    datas = events_of(heard.body)
    if not datas or datas[-1] != DONE:
        raise Broken(f"the last of {len(datas)} events is not [DONE]")
    if DONE in datas[:-1]:
        raise Broken("something follows [DONE]")
    shapes = [_json(data) for data in datas[:-1]]
    errors = [at for at, shape in enumerate(shapes) if isinstance(shape, dict) and "error" in shape]
    said = Said()
    if errors:
        if errors != [len(shapes) - 1]:
            raise Broken("an error event is not the only and last one before [DONE]")
        said.error = _message(shapes.pop())
    try:
        usages = _read_chunks(shapes, right, said)
    except (KeyError, TypeError, AttributeError) as error:
        raise Broken(f"an event has not the form of a chunk: {error!r}") from error
    if said.error is None and usages not in right.usages:
        raise Broken(f"{usages} chunks with usage, expected {sorted(right.usages)}")
    if said.error is not None and set(said.finishes) == set(range(right.choices)):
        raise Broken("every choice has a finish chunk and an error event as well")
    return said


def events_of(body: bytes) -> list[str]:
    """The data of each event; lines end with CR, LF or CRLF and nothing else.

    Raises:
        Broken: the body is not UTF-8 or ends in mid-event.
    """
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise Broken(f"the stream is not UTF-8: {error}") from error
    found: list[str] = []
    lines: list[bytes] = []
    parts = LINE_END.split(body)
    if parts[-1]:
        raise Broken(f"the stream ends in mid-line: {parts[-1][:60]!r}")
    for line in parts[:-1]:
        name, _, value = line.partition(b":")
        if not line:
            if lines:
                found.append(b"\n".join(lines).decode())
            lines = []
        elif name == b"data":
            lines.append(value.removeprefix(b" "))
    if lines:
        raise Broken("the stream ends in mid-event")
    return found


def _read_chunks(shapes: list[Any], right: Right, said: Said) -> int:
    usages = 0
    roles: set[int] = set()
    arounds = set()
    for shape in shapes:
        _check_around(shape, right, "chat.completion.chunk" if right.is_chat else "text_completion")
        arounds.add((shape["id"], shape["created"], shape["model"]))
        if not shape["choices"]:
            _check_usage(shape["usage"])
            usages += 1
        elif usages:
            raise Broken("a choice follows the usage")
        for choice in shape["choices"]:
            index, finish = choice["index"], choice["finish_reason"]
            delta = choice["delta"] if right.is_chat else {"content": choice["text"]}
            if delta.get("role") is not None and index in roles:
                raise Broken(f"choice {index} has its role twice")
            if right.is_chat and delta.get("role") is None and index not in roles:
                raise Broken(f"choice {index} begins without a role")
            roles.add(index)
            said.add(index, delta, finish)
    if len(arounds) > 1:
        raise Broken(f"{len(arounds)} ids, times or models in one stream")
    return usages


def _check_around(shape: Mapping[str, Any], right: Right, kind: str) -> None:
    if not shape["id"] or not isinstance(shape["id"], str):
        raise Broken(f"the id is `{shape['id']}`")
    if shape["object"] != kind:
        raise Broken(f"object is `{shape['object']}`, not `{kind}`")
    if not isinstance(shape["created"], int) or not isinstance(shape["model"], str):
        raise Broken("created or model is missing")
    private = shape.get("trueup")
    if isinstance(private, Mapping) and "token_ids" in private:
        raise Broken("private keys of a worker are sent to the client")


def _check_usage(usage: Mapping[str, Any]) -> None:
    names = ("prompt_tokens", "completion_tokens", "total_tokens")
    if not all(isinstance(usage[name], int) for name in names):
        raise Broken(f"usage is {dict(usage)}")


def _check_transport(heard: Heard) -> None:
    if heard.end != ENDED:
        raise Broken(heard.end)


def _read_error(heard: Heard) -> Said:
    if heard.status < 400:
        raise Broken(f"status {heard.status}")
    return Said(error=f"{heard.status} {_message(_json(heard.body))}")


def _message(shape: Any) -> str:
    """The message of an error in OpenAI's form."""
    error = shape.get("error") if isinstance(shape, dict) else None
    if not isinstance(error, dict) or not isinstance(error.get("message"), str):
        raise Broken(f"an error that has not OpenAI's form: {str(shape)[:120]}")
    return f"{error.get('code')}: {error['message']}"


def _json(data: bytes | str) -> Any:
    try:
        return json.loads(data)
    except ValueError as error:
        raise Broken(f"not JSON: {data[:80]!r}") from error
