from __future__ import annotations

import json
from typing import Any

import pytest

from trueup.backends.llamafactory.request import CHAT, read_request
from trueup.errors import RequestError

TOOL = {"type": "function", "function": {"name": "look"}}


def user(text: str = "hi") -> dict[str, Any]:
    return {"role": "user", "content": text}


def read(messages: list[Any], **more: Any) -> dict[str, Any]:
    return dict(read_request(CHAT, {"model": "m", "messages": messages, **more}).message)


def test_what_is_not_said_is_llamafactorys_own_setting() -> None:
    assert read([user()]) == {
        "op": "chat",
        "messages": [{"role": "user", "content": "hi"}],
        "system": None,
        "tools": None,
        "options": {},
        "seed": None,
        "continue_token_ids": [],
    }


def test_what_is_said_is_handed_on() -> None:
    message = read([user()], temperature=0, top_p=0.5, top_k=-1, max_completion_tokens=7, seed=3)
    options = {"temperature": 0, "top_p": 0.5, "top_k": 0, "max_new_tokens": 7}
    assert (message["options"], message["seed"]) == (options, 3)
    asked = read_request(
        CHAT,
        {
            "model": "m",
            "messages": [user()],
            "stream": True,
            "stream_options": {"include_usage": True},
            "trueup": {"continue_token_ids": {"0": [4, 5]}},
        },
    )
    assert (asked.is_stream, asked.wants_usage, asked.given_tokens) == (True, True, 2)
    assert asked.message["continue_token_ids"] == [4, 5]


def test_turns_alternate_and_the_system_prompt_stands_apart() -> None:
    message = read(
        [
            {"role": "system", "content": "a"},
            user("b"),
            {"role": "developer", "content": "c"},
            user("d"),
            {"role": "assistant", "content": "e"},
            {"role": "user", "content": [{"type": "text", "text": "f"}]},
        ]
    )
    assert message["system"] == "a\n\nc"
    assert message["messages"] == [
        {"role": "user", "content": "b\n\nd"},
        {"role": "assistant", "content": "e"},
        {"role": "user", "content": "f"},
    ]


def test_calls_and_results_of_tools_are_turns() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "look", "arguments": '{"at": 1}'}}
    message = read(
        [
            user(),
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "1", "content": "rain"},
        ],
        tools=[TOOL],
    )
    _, function, observation = message["messages"]
    assert function["role"] == "function"
    assert json.loads(function["content"]) == [{"name": "look", "arguments": {"at": 1}}]
    assert observation == {"role": "observation", "content": "rain"}
    (tool,) = json.loads(message["tools"])
    assert tool == {
        "name": "look",
        "description": "",
        "parameters": {"type": "object", "properties": {}},
    }


# the messages, more, the parameter that is named
REFUSED: dict[str, tuple[list[Any], dict[str, Any], str]] = {
    "it begins with the assistant": (
        [{"role": "assistant", "content": "a"}, user()],
        {},
        "messages[0].role",
    ),
    "it ends with the assistant": (
        [user(), {"role": "assistant", "content": "a"}],
        {},
        "messages[1].role",
    ),
    "a user after a tool": (
        [user(), {"role": "assistant", "content": "a"}, {"role": "tool", "content": "b"}, user()],
        {},
        "messages[3].role",
    ),
    "no turn": ([{"role": "system", "content": "a"}], {}, "messages[0].role"),
    "no list": ({}, {}, "messages"),  # type: ignore[dict-item]
    "an image": ([{"role": "user", "content": [{"type": "image_url"}]}], {}, "messages[0].content"),
    "a tool without a name": ([user()], {"tools": [{"function": {}}]}, "tools[0]"),
    "tools that are no list": ([user()], {"tools": "look"}, "tools"),
    "calls without names": (
        [user(), {"role": "assistant", "tool_calls": [{}]}, user()],
        {},
        "messages.tool_calls",
    ),
    "a beginning of the answer": (
        [user(), {"role": "assistant", "content": "a"}],
        {"continue_final_message": True, "add_generation_prompt": False},
        "continue_final_message",
    ),
    "an unknown parameter": ([user()], {"temprature": 1}, "temprature"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_answered_is_refused_before_a_load(case: str) -> None:
    messages, more, param = REFUSED[case]
    with pytest.raises(RequestError) as caught:
        read(messages, **more)
    assert str(caught.value.param).startswith(param)
    assert caught.value.status == 400


def test_only_chats_are_answered() -> None:
    with pytest.raises(RequestError, match="`/v1/embeddings` is none") as caught:
        read_request("/v1/embeddings", {"model": "m", "input": "x"})
    assert caught.value.status == 404
