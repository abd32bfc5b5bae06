"""Whole answers: joined, counted, and what is told of counts that nobody made."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from tests.fakes import FakeClient, Turn, whole_answer
from tests.gateway.test_chain import BODY, JSON, ask, foreign, gateway
from tests.gateway.test_recovery import delta, sse
from trueup import events
from trueup.backends.base import Accepts
from trueup.events import Event, RequestFinished
from trueup.gateway.delivery import Delivery
from trueup.gateway.whole import Whole, WholeChoice, joined


def whole(usage: Any) -> Whole:
    return Whole(head={}, choices=[WholeChoice(text="x", finish_reason="stop")], usage=usage)


def usage(prompt: Any, answer: Any) -> dict[str, Any]:
    return {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": None}


@pytest.mark.parametrize(
    ("usages", "expected"),
    [
        ([usage(3, 10), usage(3, 5)], (3, 15, 18)),
        ([usage(3, 10), usage(None, 5)], (3, 15, 18)),
        ([usage("3", 10), usage(True, 5)], (0, 15, 15)),
        ([usage(None, None), usage(None, None)], None),
        ([usage(3, 10), usage(3, "5")], None),
        ([usage(3, 10), None], None),
        ([{}, usage(3, 10)], None),
    ],
)
def test_counts_are_added_where_each_answer_was_counted(usages: Any, expected: Any) -> None:
    counted = joined([whole(each) for each in usages]).usage
    assert (tuple(counted.values()) if counted else None) == expected


@pytest.mark.parametrize("odd", [None, "7", 1.5, True])
def test_odd_counts_of_a_stream_are_borne(odd: Any) -> None:
    delivery = Delivery(choices=2, is_chat=True)
    delivery.take_head({})
    delivery.choices[0].tokens = 4
    delivery.finish(0, "stop")
    delivery.resume("token_ids", is_exact=True)
    delivery.usage = usage(odd, odd)
    assert delivery.counted()["completion_tokens"] == 4


async def test_several_answers_without_counts_are_one_answer_without() -> None:
    shape = {**orjson.loads(whole_answer("x")), "usage": usage(None, None)}
    backend = foreign(
        Turn([orjson.dumps(shape)], headers=JSON), accepts=Accepts(unsupported=frozenset({"n"}))
    )
    client = await ask(gateway(backend), n=2)
    assert (client.status, len(client.json["choices"])) == (200, 2)
    assert "usage" not in client.json


@pytest.mark.parametrize("is_counted", [True, False])
async def test_counts_that_nobody_made_are_marked_in_whole_answers_too(is_counted: bool) -> None:
    far = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    last = sse({"id": "x", "choices": [], "usage": far if is_counted else None})
    steps = [delta({"content": "a"}), delta({"content": "b"}), delta({}, "stop"), last]
    backend = foreign(Turn(steps), whole_by_stream=True)
    finished: list[Event] = []
    stop = events.subscribe(finished.append)
    client = await ask(gateway(backend))
    stop()
    (told,) = [each for each in finished if isinstance(each, RequestFinished)]
    if is_counted:
        assert client.json["usage"] == far
        assert "trueup" not in client.json
        assert (told.prompt_tokens, told.completion_tokens) == (3, 2)
    else:
        assert client.json["trueup"] == {"usage": "estimated"}
        assert client.json["usage"]["prompt_tokens"] > 0
        assert client.json["usage"]["completion_tokens"] == 2
        assert (told.prompt_tokens, told.completion_tokens) == (None, 2)


async def test_estimated_counts_of_a_whole_answer_are_marked_in_a_stream_too() -> None:
    steps = [delta({"content": "{}"}), delta({}, "stop")]
    backend = foreign(
        Turn(status=500),
        Turn(status=500),
        Turn(steps),
        accepts=Accepts(unsupported=frozenset({"response_format"})),
    )
    client = await ask(
        gateway(backend),
        stream=True,
        response_format={"type": "json_object"},
        stream_options={"include_usage": True},
    )
    assert orjson.loads(client.events[-2])["trueup"] == {"usage": "estimated"}


@pytest.mark.parametrize("is_stream", [True, False])
@pytest.mark.parametrize("finish", ["length", "stop"])
async def test_a_checked_answer_that_its_token_limit_cut_is_told_as_cut(
    finish: str, is_stream: bool
) -> None:
    backend = foreign(
        Turn([whole_answer('{"a": ', finish=finish)], headers=JSON),
        accepts=Accepts(unsupported=frozenset({"response_format"})),
    )
    format_ = {"type": "json_object"}
    client = await ask(gateway(backend), stream=is_stream, response_format=format_)
    if finish == "stop":
        assert (client.status, client.json["error"]["code"]) == (502, "answer_rejected")
    else:
        assert (client.text, backend.open_count) == ('{"a": ', 1)
        assert b'"finish_reason":"length"' in client.body


FORMAT = {"response_format": {"type": "json_object"}}
FORCED = {
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
    "tool_choice": "required",
}


@pytest.mark.parametrize(
    ("asked", "text", "is_passed"),
    [
        (FORMAT, "Here is what you asked", False),
        (FORMAT, "[1, 2", False),
        (FORMAT, '```json\n{"a": 1, "b', True),
        (FORCED, "I would call", False),
    ],
)
async def test_what_was_cut_and_is_no_beginning_of_the_right_answer_is_rejected(
    asked: dict[str, Any], text: str, is_passed: bool
) -> None:
    backend = foreign(
        Turn([whole_answer(text, finish="length")], headers=JSON),
        accepts=Accepts(unsupported=frozenset({"response_format", "tool_choice"})),
    )
    client = await ask(gateway(backend), **asked)
    assert (client.status == 200) is is_passed
    if not is_passed:
        assert client.json["error"]["code"] == "answer_rejected"


async def test_rows_are_told_in_the_order_of_their_index() -> None:
    rows = [{"index": k, "text": text, "finish_reason": "stop"} for k, text in ((1, "B"), (0, "A"))]
    backend = foreign(Turn([orjson.dumps({"choices": rows})], headers=JSON))
    client = FakeClient(
        path="/v1/completions", body={"model": "talk", "prompt": ["a", "b"]}, headers=JSON
    )
    app = gateway(backend)
    await app(client.scope, client.receive, client.send)
    told = [(each["index"], each["text"]) for each in client.json["choices"]]
    assert told == [(0, "A"), (1, "B")]


async def test_of_several_answers_only_those_that_failed_are_asked_for_again() -> None:
    good = Turn([whole_answer("x")], headers=JSON)
    bad = Turn([b"{}"], 500, JSON)
    accepts = Accepts(unsupported=frozenset({"n"}))
    backend = foreign(good, good, bad, good, good, accepts=accepts)
    client = await ask(gateway(backend), n=4)
    assert (client.status, len(client.json["choices"])) == (200, 4)
    assert backend.open_count < 8


def deep(levels: int) -> Any:
    value: Any = "x"
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("value", [deep(400), 2**70], ids=["deep", "long"])
async def test_what_one_library_reads_and_does_not_write_is_written(value: Any) -> None:
    shape = orjson.loads(whole_answer("right"))
    del shape["id"]  # it has to be written anew
    body = json.dumps({**shape, "more": value, "odd": float("nan")}).encode()
    client = await ask(gateway(foreign(Turn([body], headers=JSON))))
    assert (client.status, client.text) == (200, "right")
    assert json.loads(client.body)["more"] == value


async def test_a_request_that_is_deep_is_rewritten() -> None:
    accepts = Accepts(unsupported=frozenset({"user"}))
    backend = foreign(Turn([whole_answer("right")], headers=JSON), accepts=accepts)
    body = json.dumps({**BODY, "user": "u", "metadata": {"deep": deep(400)}}).encode()
    client = FakeClient(body=body, headers=JSON)
    app = gateway(backend)
    await app(client.scope, client.receive, client.send)
    assert client.text == "right"
    assert json.loads(backend.requests[0].body)["metadata"] == {"deep": deep(400)}


async def test_an_error_whose_code_is_no_word_is_an_error_of_the_backend() -> None:
    stated = {"error": {"message": "no", "code": {"a": [1]}}}
    client = await ask(gateway(foreign(Turn([orjson.dumps(stated)], 500, JSON))))
    assert (client.status, client.json["error"]["code"]) == (500, "backend_error")
