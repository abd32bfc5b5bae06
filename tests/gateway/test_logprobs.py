"""Log probabilities: each of them reaches the client, once."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from tests.fakes import FakeClient, Turn, whole_answer
from tests.gateway.test_chain import JSON, ask, foreign, gateway
from tests.gateway.test_recovery import call, delta, sse
from trueup.backends.base import Accepts
from trueup.gateway.choice import joined_logprobs, logprobs_after

TEXT = "one two three"
WORDS = ["one ", "two ", "three"]


def scores(*tokens: str) -> dict[str, Any]:
    return {"content": [{"token": each, "logprob": -1.0} for each in tokens]}


def scored(said: dict[str, Any], *tokens: str, finish: str | None = None) -> bytes:
    shape = orjson.loads(delta(said, finish).removeprefix(b"data: "))
    shape["choices"][0]["logprobs"] = scores(*tokens)
    return sse(shape)


def whole(text: str, *tokens: str) -> Turn:
    shape = orjson.loads(whole_answer(text))
    shape["choices"][0]["logprobs"] = scores(*tokens)
    return Turn([orjson.dumps(shape)], headers=JSON)


def told(client: FakeClient) -> list[str]:
    shapes = [orjson.loads(each) for each in client.events[:-1]]
    given = [each["choices"][0].get("logprobs") for each in shapes if each.get("choices")]
    return [entry["token"] for each in given if each for entry in each.get("content") or ()]


async def test_a_token_without_a_text_is_told_as_it_came() -> None:
    steps = [
        delta({"role": "assistant", "content": ""}),
        scored({"content": ""}, "\\xe4"),
        scored({"content": "a"}, "a"),
        scored({"content": ""}, "<x>"),
        scored({}, "<end>", finish="stop"),
        b"data: [DONE]\n\n",
    ]
    client = await ask(gateway(foreign(Turn(steps))), stream=True)
    assert client.body == b"".join(steps)


@pytest.mark.parametrize(("tokens", "expected"), [(WORDS, WORDS), (["o", "ne "], ["one "])])
async def test_the_rest_of_an_answer_brings_the_rest_of_them(
    tokens: list[str], expected: list[str]
) -> None:
    begun = Turn([scored({"content": "one "}, "one ")])
    client = await ask(gateway(foreign(begun, whole(TEXT, *tokens))), stream=True)
    assert client.text == TEXT
    assert told(client) == expected, "those of other tokens are not joined"


async def test_those_of_tool_calls_come_with_them() -> None:
    steps = [scored({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f"}}]}, "f")]
    steps += [call("{}"), scored({}, "<end>", finish="tool_calls")]
    tools = [{"type": "function", "function": {"name": "f"}}]
    client = await ask(gateway(foreign(Turn(steps))), stream=True, tools=tools)
    assert told(client) == ["f", "<end>"]


@pytest.mark.parametrize(
    ("stop", "expected"), [("two", ["one "]), ("never", ["one ", "t", "wo ", "three"])]
)
async def test_those_of_what_a_stop_string_cuts_are_not_told(
    stop: str, expected: list[str]
) -> None:
    words = ["one ", "t", "wo ", "three"]
    backend = foreign(
        Turn([*(scored({"content": each}, each) for each in words), delta({}, "stop")]),
        accepts=Accepts(unsupported=frozenset({"stop"})),
    )
    client = await ask(gateway(backend), stream=True, stop=stop)
    assert told(client) == expected


@pytest.mark.parametrize("is_chat", [True, False])
async def test_an_answer_put_together_from_a_stream_has_all_of_them(is_chat: bool) -> None:
    steps = [scored({"content": each}, each) for each in WORDS] + [delta({}, "stop")]
    expected: dict[str, Any] = scores(*WORDS)
    if not is_chat:
        expected = {"tokens": ["a", "b"], "token_logprobs": [-1.0, -2.0], "text_offset": [0, 1]}
        rows = [
            {
                "index": 0,
                "text": expected["tokens"][at],
                "logprobs": {name: each[at : at + 1] for name, each in expected.items()},
                "finish_reason": ending,
            }
            for at, ending in ((0, None), (1, "stop"))
        ]
        steps = [sse({"id": "x", "choices": [row]}) for row in rows]
    backend = foreign(Turn(steps), whole_by_stream=True)
    path = "/v1/chat/completions" if is_chat else "/v1/completions"
    asked: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}]}
    body = {"model": "talk", **(asked if is_chat else {"prompt": "hi"})}
    client = FakeClient(path=path, body=body, headers=JSON)
    await gateway(backend)(client.scope, client.receive, client.send)
    assert client.json["choices"][0]["logprobs"] == expected


def test_lists_are_joined_and_cut_by_name() -> None:
    first, second = {"tokens": ["a"], "top": None}, {"tokens": ["b"], "text_offset": [1]}
    both = joined_logprobs(first, second)
    assert both == {"tokens": ["a", "b"], "top": None, "text_offset": [1]}
    assert joined_logprobs(None, second) == joined_logprobs(second, {"tokens": []}) == second
    assert logprobs_after(both, {"tokens": ["a"]}) == {**both, "tokens": ["b"]}
    assert logprobs_after(both, {"tokens": ["b"]}) is None
    assert logprobs_after(both, {}) == both
    assert logprobs_after(None, {"tokens": ["a"]}) is None
