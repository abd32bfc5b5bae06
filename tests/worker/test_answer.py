from __future__ import annotations

import json
from typing import Any

from tests.pool.processes import events_of
from trueup.engines.base import FinishReason, Step
from trueup.protocol.chat import ChatRequest
from trueup.worker.answer import Answer


def step(
    position: int,
    ids: tuple[int, ...],
    text: str,
    finish: FinishReason | None = None,
    choice: int = 0,
) -> Step:
    return Step(choice=choice, position=position, token_ids=ids, text=text, finish_reason=finish)


def streamed(*steps: Step) -> list[Any]:
    answer = Answer(ChatRequest(model="m", messages=()))
    return list(events_of(b"".join([*map(answer.events, steps), answer.last_events()])))


def test_tokens_without_text_travel_with_the_next_text() -> None:
    answer = Answer(ChatRequest(model="m", messages=()))
    assert answer.events(step(0, (5,), "")) == b""
    assert answer.events(step(1, (6,), "")) == b""
    role, chunk = events_of(answer.events(step(2, (7,), "你")))
    assert role["choices"][0]["delta"]["role"] == "assistant"
    assert chunk["choices"][0]["delta"] == {"content": "你"}
    assert chunk["trueup"] == {"position": 0, "token_ids": [5, 6, 7]}
    [chunk] = events_of(answer.events(step(3, (8,), "好")))
    assert chunk["trueup"] == {"position": 3, "token_ids": [8]}


def test_the_finish_chunk_carries_tokens_whose_text_never_came() -> None:
    *_, held, _ = streamed(step(0, (5,), "a"), step(1, (6,), ""), step(2, (7,), "", "length"))
    assert held["choices"][0]["finish_reason"] == "length"
    assert held["trueup"] == {"position": 1, "token_ids": [6, 7]}


def test_the_last_text_comes_before_the_finish_chunk() -> None:
    _, text, finish, _ = streamed(step(0, (5, 6), "ab", "stop"))
    assert text["choices"][0] == {
        "index": 0,
        "delta": {"content": "ab"},
        "logprobs": None,
        "finish_reason": None,
    }
    assert text["trueup"] == {"position": 0, "token_ids": [5, 6]}
    assert (finish["choices"][0]["delta"], finish["trueup"]) == (
        {},
        {"position": 2, "token_ids": []},
    )


def test_an_answer_without_text_still_has_its_role_and_its_finish() -> None:
    role, finish, done = streamed(step(0, (5,), "", "stop"))
    assert role["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert finish["choices"][0]["finish_reason"] == "stop"
    assert done == "[DONE]"


def test_every_choice_has_its_role_its_finish_and_its_count() -> None:
    steps = [
        step(0, (1,), "a", choice=0),
        step(1, (2,), "", "stop", choice=0),
        step(0, (3,), "b", choice=1),
        step(1, (4,), "", "length", choice=1),
    ]
    events = streamed(*steps)[:-1]
    assert [event["choices"][0]["index"] for event in events] == [0, 0, 0, 1, 1, 1]
    answer = Answer(ChatRequest(model="m", messages=()))
    answer.prompt_tokens = 7
    for each in steps:
        answer.add(each)

    whole = json.loads(answer.whole())
    assert [choice["message"]["content"] for choice in whole["choices"]] == ["a", "b"]
    assert [choice["finish_reason"] for choice in whole["choices"]] == ["stop", "length"]
    assert whole["usage"] == {"prompt_tokens": 7, "completion_tokens": 4, "total_tokens": 11}
