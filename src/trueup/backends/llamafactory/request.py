"""From a request of OpenAI's to what the far worker is asked: pure, and strict.

LlamaFactory's templates know turns: a user (or the result of a tool), then the assistant, and so
on. What is said twice in a row is one turn; the system prompt stands apart.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from trueup.errors import RequestError
from trueup.protocol.chat import ChatRequest, parse_chat_request
from trueup.protocol.fields import refuse

CHAT = "/v1/chat/completions"
# What LlamaFactory calls the results of tools, and calls of them.
OBSERVATION, FUNCTION = "observation", "function"
ASKING = ("user", OBSERVATION)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request: `message` for the far worker, without an id; the rest for the answer's shape."""

    message: Mapping[str, Any]
    model: str
    is_stream: bool
    wants_usage: bool
    given_tokens: int


def read_request(path: str, shape: Mapping[str, Any]) -> Asked:
    """Check and translate a request.

    Raises: RequestError, whose `param` names the field.
    """
    if path != CHAT:
        raise RequestError(
            f"LlamaFactory answers chats, and `{path}` is none",
            code="endpoint_not_supported",
            status=404,
            hint=f"ask {CHAT}",
        )
    tools = _tools(shape.get("tools"))
    shapes = shape.get("messages")
    messages = [_plain(each) for each in shapes] if isinstance(shapes, list) else shapes
    request = parse_chat_request({**_untooled(shape), "messages": messages})
    if request.continue_final_message:
        refuse("continue_final_message", True, "`false`: LlamaFactory begins every answer anew")
    if not request.add_generation_prompt:
        refuse("add_generation_prompt", False, "`true`: LlamaFactory writes its templates whole")
    given = request.resume.get(0, ()) if request.resume else ()
    system, turns = _turns(request, shapes if isinstance(shapes, list) else [])
    message = {
        "op": "chat",
        "messages": turns,
        "system": system,
        "tools": tools,
        "options": _options(request, shape),
        "seed": request.sampling.seed,
        "continue_token_ids": list(given),
    }
    return Asked(
        message=message,
        model=request.model,
        is_stream=request.stream,
        wants_usage=request.include_usage,
        given_tokens=len(given),
    )


def _untooled(shape: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in shape.items() if name != "tools"}


def _tools(value: Any) -> str | None:
    """The functions as LlamaFactory reads them."""
    if not value:
        return None
    if not isinstance(value, list):
        refuse("tools", value, "a list of functions")
    functions = []
    for index, each in enumerate(value):
        function = each.get("function") if isinstance(each, Mapping) else None
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            refuse(f"tools[{index}]", each, "a function with a `name`")
        # LlamaFactory fails on one without them.
        empty = {"description": "", "parameters": {"type": "object", "properties": {}}}
        functions.append({**empty, **{k: v for k, v in function.items() if v is not None}})
    return json.dumps(functions, ensure_ascii=False)


def _plain(message: Any) -> Any:
    """A message with its calls as text, which is where LlamaFactory wants them."""
    if not isinstance(message, Mapping) or not message.get("tool_calls"):
        return message
    calls = message["tool_calls"]
    try:
        content = [
            {
                "name": each["function"]["name"],
                "arguments": _arguments(each["function"]["arguments"]),
            }
            for each in calls
        ]
    except (KeyError, TypeError):
        refuse("messages.tool_calls", calls, "calls with `function.name` and `.arguments`")
    rest = {k: v for k, v in message.items() if k not in ("tool_calls", "content")}
    return {**rest, "content": json.dumps(content, ensure_ascii=False)}


def _arguments(text: Any) -> Any:
    """Arguments are JSON in a text there, and JSON alone here."""
    try:
        return orjson.loads(text)
    except (orjson.JSONDecodeError, TypeError):
        return text


def _turns(request: ChatRequest, shapes: list[Any]) -> tuple[str | None, list[dict[str, str]]]:
    systems: list[str] = []
    turns: list[dict[str, str]] = []
    for index, (message, shape) in enumerate(zip(request.messages, shapes, strict=True)):
        if message.role == "system":
            systems.append(message.content)
            continue
        role = {"tool": OBSERVATION}.get(message.role, message.role)
        if shape.get("tool_calls"):
            role = FUNCTION
        last = turns[-1]["role"] if turns else "assistant"
        if role == last and turns:
            turns[-1]["content"] += f"\n\n{message.content}"
        elif (role in ASKING) == (last in ASKING):
            what = "`user`, which begins a conversation" if not turns else "the other side's turn"
            refuse(f"messages[{index}].role", message.role, what)
        else:
            turns.append({"role": role, "content": message.content})
    if not turns or turns[-1]["role"] not in ASKING:
        last_role = request.messages[-1].role
        refuse(f"messages[{len(shapes) - 1}].role", last_role, "`user` or `tool` as the last")
    return "\n\n".join(systems) or None, turns


def _options(request: ChatRequest, shape: Mapping[str, Any]) -> dict[str, Any]:
    """What the client said; all else is LlamaFactory's own setting."""
    sampling = request.sampling
    options: dict[str, Any] = {
        name: getattr(sampling, name)
        for name in ("temperature", "top_p", "top_k")
        if shape.get(name) is not None
    }
    if sampling.max_tokens is not None:
        options["max_new_tokens"] = sampling.max_tokens
    return options
