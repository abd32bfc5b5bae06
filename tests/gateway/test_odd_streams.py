"""Streams in shapes that servers of the field send: nothing of an answer is lost or made up."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from tests.fakes import FakeBackend, FakeClient, Turn
from tests.gateway.test_chain import JSON, ask, foreign, gateway
from tests.gateway.test_recovery import delta, sse
from trueup.backends.base import Accepts, Capabilities
from trueup.gateway.delivery import Delivery
from trueup.gateway.reading import StreamReading

DONE = b"data: [DONE]\n\n"
FIRST, STOP = delta({"role": "assistant", "content": "a"}), delta({}, "stop")
TEXT = "/v1/completions"


def row(finish: str | None = None, **said: Any) -> bytes:
    """A chunk with one choice, in any shape."""
    choice = {"index": 0, **said, "finish_reason": finish}
    return sse({"id": "far-1", "created": 1, "model": "m", "choices": [choice]})


def streaming(*steps: bytes, **capabilities: Any) -> FakeBackend:
    return FakeBackend(
        steps, name="far", is_foreign=True, capabilities=Capabilities(**capabilities)
    )


async def complete(backend: FakeBackend, **changes: Any) -> FakeClient:
    """What is answered on /v1/completions."""
    body = {"model": "far", "prompt": "x", "stream": True, **changes}
    client = FakeClient(path=TEXT, body=body, headers=JSON)
    await gateway(backend)(client.scope, client.receive, client.send)
    return client


def texts(client: FakeClient) -> str:
    shapes = [orjson.loads(each) for each in client.events if each != b"[DONE]"]
    return "".join(row["text"] for shape in shapes for row in shape["choices"])


NOTHING = {
    "no data": b"data:\n\n",
    "blank data": b"data: \n\n",
    "a word": b"data: ping\n\n",
    "a ping": b"event: ping\ndata: ping\n\n",
    "a ping with an object": b'event: ping\ndata: {"message":"hi"}\n\n',
    "a heartbeat": b"event: heartbeat\ndata: 12:00\n\n",
}


@pytest.mark.parametrize("what", NOTHING)
async def test_events_that_only_keep_a_connection_alive_are_passed_over(what: str) -> None:
    nothing = NOTHING[what]
    backend = streaming(nothing, FIRST, nothing, delta({"content": "b"}), nothing, STOP, DONE)
    client = await ask(gateway(backend), model="far", stream=True)
    assert (client.text, client.events[-1]) == ("ab", b"[DONE]")
    assert b"error" not in client.body
    assert backend.open_count == 1


async def test_an_answer_of_events_that_bring_nothing_is_none() -> None:
    client = await ask(gateway(streaming(*NOTHING.values(), DONE)), model="far", stream=True)
    assert (client.status, client.json["error"]["code"]) == (502, "stream_incomplete")


PIECES: dict[str, tuple[list[dict[str, Any]], Any]] = {
    "refusal": ([{"refusal": "I cannot "}, {"refusal": "do that"}], "I cannot do that"),
    "function_call": (
        [
            {"function_call": {"name": "f", "arguments": '{"a":'}},
            {"function_call": {"name": "f", "arguments": "1}"}},
        ],
        {"name": "f", "arguments": '{"a":1}'},
    ),
    "audio": (
        [{"audio": {"id": "1", "data": "AA"}}, {"audio": {"data": "BB", "expires_at": 7}}],
        {"id": "1", "data": "AABB", "expires_at": 7},
    ),
    "thought": ([{"thought": "h"}, {"thought": "m"}], "hm"),
}


@pytest.mark.parametrize("key", PIECES)
async def test_an_answer_put_together_has_all_pieces_of_what_is_passed_on(key: str) -> None:
    deltas, expected = PIECES[key]
    backend = streaming(*map(delta, deltas), STOP, DONE, whole_by_stream=True)
    client = await ask(gateway(backend), model="far")
    assert client.json["choices"][0]["message"][key] == expected


async def test_what_is_said_beside_every_word_is_no_piece() -> None:
    said = [{"reasoning": "h"}, {"reasoning": "m"}, {"content": "a"}, {"content": "b"}]
    steps = [delta({**each, "mood": "good"}) for each in said]
    backend = streaming(*steps, STOP, DONE, whole_by_stream=True)
    client = await ask(gateway(backend), model="far")
    assert client.json["choices"][0]["message"]["mood"] == "good"


@pytest.mark.parametrize("keys", [["reasoning"], ["reasoning_content", "reasoning"]])
async def test_reasoning_is_counted_once_and_keeps_its_names(keys: list[str]) -> None:
    steps = [delta(dict.fromkeys(keys, text)) for text in ("think ", "more")]
    backend = streaming(*steps, FIRST, STOP, DONE, whole_by_stream=True)
    message = (await ask(gateway(backend), model="far")).json["choices"][0]["message"]
    named = {key: value for key, value in message.items() if key.startswith("reasoning")}
    assert named == dict.fromkeys(keys, "think more")


async def test_an_answer_with_two_names_for_its_reasoning_is_gone_on_with() -> None:
    def said(text: str) -> dict[str, str]:
        return {"reasoning_content": text, "reasoning": text}

    message = {"role": "assistant", "content": "done", **said("think more")}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    whole = Turn([orjson.dumps({"id": "1", "choices": [choice]})], headers=JSON)
    backend = foreign(Turn([delta(said("think "))]), whole, asks_again=True)
    client = await ask(gateway(backend), model="far", stream=True)
    rows = [orjson.loads(each)["choices"][0]["delta"] for each in client.events[:-1]]
    for key in ("reasoning_content", "reasoning"):
        assert "".join(each.get(key, "") for each in rows) == "think more"
    assert (client.text, client.events[-1]) == ("done", b"[DONE]")


@pytest.mark.parametrize("end", ["done", "finish_reason"])
async def test_several_answers_that_nobody_tells_apart_are_no_answer(end: str) -> None:
    def nameless(text: str, finish: str | None = None) -> bytes:
        return sse({"id": "1", "choices": [{"delta": {"content": text}, "finish_reason": finish}]})

    steps = [*map(nameless, ("A1 ", "B1 ", "A2", "B2")), nameless("", "stop"), DONE]
    client = await ask(gateway(streaming(*steps, end_of_answer=end)), model="far", stream=True, n=2)
    assert client.status == 502
    assert client.json["error"]["code"] == "stream_malformed"


@pytest.mark.parametrize("end", [b"\n", b""])
async def test_an_error_is_heard_in_a_last_event_that_is_not_closed(end: bytes) -> None:
    told = b'data: {"error":{"message":"out of memory","code":"oom"}}' + end
    client = await ask(gateway(streaming(told)), model="far", stream=True)
    assert client.json["error"]["code"] == "oom"


async def test_a_choice_that_failed_beside_its_words_is_a_fault() -> None:
    failed = row(delta={"content": "b"}, error={"message": "x"})
    client = await ask(gateway(streaming(FIRST, failed, STOP, DONE)), model="far", stream=True)
    assert orjson.loads(client.events[-2])["error"]["code"] == "stream_incomplete"


USAGE = {"prompt_tokens": 11, "completion_tokens": 22, "total_tokens": 33}


@pytest.mark.parametrize("is_cut", [False, True])
async def test_an_answer_that_ends_before_its_stop_string_has_the_backends_count(
    is_cut: bool,
) -> None:
    accepts = Accepts(unsupported=frozenset({"stop"}))
    steps = [FIRST, *([delta({"content": " END"})] if is_cut else []), STOP]
    usage = sse({"id": "far-1", "choices": [], "usage": USAGE})
    backend = streaming(*steps, usage, DONE, accepts=accepts)
    options = {"include_usage": True}
    client = await ask(
        gateway(backend), model="far", stream=True, stop=["END"], stream_options=options
    )
    assert client.text.strip() == "a"
    told = orjson.loads(client.events[-2])
    assert (told["usage"] == USAGE) is not is_cut
    assert ("trueup" in told) is is_cut


WRONG_SHAPES = {
    "deltas": [
        row(delta={"content": "one "}),
        row(delta={"content": "two"}),
        row("stop", delta={}),
    ],
    "a message": [row("stop", message={"role": "assistant", "content": "one two"})],
    "one delta": [row(text="one "), row(delta={"content": "two"}), row("stop", text="")],
    "an end without a text": [row(text="one "), row(text="two"), row("stop")],
    "texts": [row(text="one "), row(text="two"), row("stop", text="")],
}


@pytest.mark.parametrize("what", WRONG_SHAPES)
@pytest.mark.parametrize("is_chat", [True, False])
async def test_words_in_the_shape_of_the_other_path_are_the_answer(
    what: str, is_chat: bool
) -> None:
    backend = streaming(*WRONG_SHAPES[what], DONE)
    if is_chat:
        client = await ask(gateway(backend), model="far", stream=True)
        assert client.text == "one two"
    else:
        client = await complete(backend)
        assert texts(client) == "one two"
        assert b"delta" not in client.body
    assert client.events[-1] == b"[DONE]"


async def test_halves_of_a_character_are_joined_in_reasoning_too() -> None:
    halves = [
        b'data: {"id":"1","choices":[{"index":0,"delta":{"reasoning":"%b"}}]}\n\n' % text
        for text in (b"a \\ud83d", b"\\ude42 b")
    ]
    backend = streaming(*halves, FIRST, STOP, DONE, whole_by_stream=True)
    message = (await ask(gateway(backend), model="far")).json["choices"][0]["message"]
    assert message["reasoning"] == "a \U0001f642 b"


async def test_halves_of_a_character_are_joined_in_completions_too() -> None:
    halves = [
        b'data: {"id":"1","choices":[{"index":0,"text":"%b","finish_reason":null}]}\n\n' % text
        for text in (b"a \\ud83d", b"\\ude42 b")
    ]
    client = await complete(streaming(*halves, row("stop", text=""), DONE))
    assert texts(client) == "a \U0001f642 b"


def deep(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


async def test_a_count_that_cannot_be_written_costs_no_end() -> None:
    usage = b'data: {"id":"1","choices":[],"usage":{"completion_tokens":1,"x":%b}}\n\n' % deep(1000)
    client = await ask(
        gateway(streaming(FIRST, STOP, usage, DONE)),
        model="far",
        stream=True,
        stream_options={"include_usage": True},
    )
    assert (client.text, client.events[-1], client.is_ended) == ("a", b"[DONE]", True)
    assert b"error" not in client.body


async def test_an_answer_that_cannot_be_written_again_is_none() -> None:
    choice = b'{"message":{"content":"a","x":%b},"finish_reason":"stop"}' % deep(1000)
    client = await ask(gateway(foreign(Turn([b'{"choices":[%b]}' % choice], headers=JSON))))
    assert (client.status, client.json["error"]["code"]) == (502, "answer_incomplete")


@pytest.mark.parametrize("is_framed", [True, False])
def test_a_body_that_ends_with_its_connection_says_nothing_of_its_answer(is_framed: bool) -> None:
    reading = StreamReading(Delivery(choices=1, is_chat=True), Capabilities(end_of_answer="end"))
    reading.take(FIRST)
    reading.end(is_framed=is_framed)
    assert (reading.fault is None, reading.is_complete) == (is_framed, is_framed)
