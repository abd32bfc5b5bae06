"""Streams as scripts of what goes wrong, with one property: the last event arrives, once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import orjson
import pytest

from tests.fakes import FakeBackend, FakeClient, Step, answer, chunk, forever, whole_answer
from trueup.backends.base import Capabilities, Limits
from trueup.errors import BackendError, CapacityError
from trueup.gateway.app import Gateway
from trueup.gateway.auth import Access
from trueup.gateway.outlet import ClientLimits
from trueup.gateway.retry import RetryPolicy
from trueup.gateway.router import Served
from trueup.gateway.serving import Serving

QUICK_CLIENT = ClientLimits(grace_seconds=0.02, heartbeat_seconds=0.01, unread_seconds=0.1)
PATIENT_CLIENT = ClientLimits(grace_seconds=3600, heartbeat_seconds=3600)
QUICK = Limits(
    connect_seconds=0.01,
    first_token_seconds=0.1,
    between_tokens_seconds=0.1,
    total_seconds=0.5,
)
PATIENT = Limits()
# Tests count tries; they do not wait between them.
AT_ONCE = RetryPolicy(first_pause_seconds=0, longest_retry_after_seconds=0)
STREAM = {"model": "demo", "messages": [{"role": "user", "content": "hi"}], "stream": True}
WHOLE = {**STREAM, "stream": False}
BROKEN = BackendError("the worker broke off", retryable=True)
DONE = b"data: [DONE]\n\n"


def gateway(backend: FakeBackend, limits: Limits = PATIENT) -> Gateway:
    backend.capabilities = replace(backend.capabilities, limits=limits)
    client_limits = QUICK_CLIENT if limits is QUICK else PATIENT_CLIENT
    serving = Serving(limits=client_limits, policy=AT_ONCE)
    serving.router.open(Served(id="demo", kind="chat", backend=backend))
    return Gateway(serving, Access(()))


async def ask(
    backend: FakeBackend, body: dict[str, Any] = STREAM, limits: Limits = PATIENT
) -> FakeClient:
    client = FakeClient(body=body)
    await gateway(backend, limits)(client.scope, client.receive, client.send)
    return client


def limits_of(script: list[Step]) -> Limits:
    return QUICK if forever in script else PATIENT


def without_private(piece: bytes) -> bytes:
    shape = orjson.loads(piece.removeprefix(b"data: "))
    del shape["trueup"]
    return orjson.dumps(shape)


USAGE = (
    b'data: {"id":"x","object":"chat.completion.chunk","choices":[],"usage":{"total_tokens":3}}\n\n'
)

COMPLETE: dict[str, list[Step]] = {
    "as it should be": [*answer("a", "b")],
    "in one piece": [b"".join(answer("a", "b"))],
    "split at every byte": [bytes([byte]) for byte in b"".join(answer("中", "b"))],
    "with CRLF": [b"".join(answer("a", "b")).replace(b"\n", b"\r\n")],
    "with CR": [b"".join(answer("a", "b")).replace(b"\n", b"\r")],
    "with CRLF split at every byte": [
        bytes([byte]) for byte in b"".join(answer("a", "b")).replace(b"\n", b"\r\n")
    ],
    "with comments and other fields": [b": hi\n\nevent: x\nid: 1\nretry: 1\n\n", *answer("a", "b")],
    "with a line separator in the data": [*answer("a\u2028b", "c\u0085")],
    "with a byte order mark": [b"\xef\xbb\xbf", *answer("a", "b")],
    "without [DONE]": [*answer("a", "b")[:-1]],
    "broken after its finish chunk": [*answer("a", "b")[:-1], BROKEN],
    "with an error after its finish chunk": [*answer("a")[:-1], b'data: {"error":{}}\n\n'],
    "with data after [DONE]": [*answer("a"), chunk("late"), b"data: {\n\n"],
    "with chunks after its finish chunk": [*answer("a")[:-1], chunk("late"), chunk(finish="stop")],
    "with usage": [*answer("a")[:-1], USAGE, DONE],
    "with a line of a megabyte": [*answer("x" * 2**20, "b")],
    "silent after its finish chunk": [*answer("a")[:-1], forever],
}
BROKEN_OFF: dict[str, list[Step]] = {
    "empty": [],
    "only [DONE]": [DONE],
    "[DONE] without a finish chunk": [chunk("a"), DONE],
    "[DONE] before the finish chunk": [chunk("a"), DONE + chunk(finish="stop") + USAGE],
    "ends without a finish chunk": [chunk("a")],
    "ends in mid-event": [chunk("a"), chunk("b")[:-9]],
    "ends inside a character": [chunk("a"), chunk("中")[:-30]],
    "fails after a chunk": [chunk("a"), BROKEN],
    "fails at once": [BROKEN],
    "fails with a bug": [chunk("a"), ValueError("bug")],
    "no JSON": [chunk("a"), b"data: {nonsense\n\n"],
    "JSON that is no object": [chunk("a"), b"data: [1]\n\n"],
    "invalid UTF-8": [chunk("a"), b'data: {"choices":[{"delta":{"content":"\xff"}}]}\n\n'],
    "null choices": [chunk("a"), b'data: {"choices":null}\n\n'],
    "an error event": [chunk("a"), b'data: {"error":{"message":"x","code":"boom"}}\n\n', DONE],
    "an error event that is a text": [chunk("a"), b'data: {"error":"x"}\n\n'],
    "two error events": [chunk("a"), *[b'data: {"error":{"message":"x"}}\n\n'] * 2, DONE],
    "a chunk after the error": [chunk("a"), b'data: {"error":"x"}\n\n', *answer("b")],
    "finish reason error": [chunk("a"), chunk(finish="error"), DONE],
    "finish reason abort": [chunk("a"), chunk(finish="abort"), DONE],
    "silent for ever": [chunk("a"), forever],
    "heartbeats for ever": [chunk("a"), *[b": hi\n\n"] * 9, forever],
}


@pytest.mark.parametrize("script", COMPLETE)
async def test_a_complete_answer_ends_with_done_and_no_error(script: str) -> None:
    backend = FakeBackend(COMPLETE[script])
    client = await ask(backend, limits=limits_of(COMPLETE[script]))
    assert client.status == 200
    assert client.is_ended
    assert client.events[-1] == b"[DONE]"
    assert client.events.count(b"[DONE]") == 1
    chunks = [orjson.loads(event) for event in client.events[:-1]]
    assert not any("error" in each or "trueup" in each for each in chunks)
    finished = [c["choices"][0]["finish_reason"] for c in chunks if c["choices"]]
    assert finished[-1] == "stop"
    assert finished.count("stop") == 1
    assert backend.open_count == backend.closed_count == 1


@pytest.mark.parametrize("script", BROKEN_OFF)
async def test_a_broken_stream_ends_with_one_error_event_and_done(script: str) -> None:
    backend = FakeBackend([chunk("first"), *BROKEN_OFF[script]])
    client = await ask(backend, limits=limits_of(BROKEN_OFF[script]))
    assert client.status == 200
    assert client.is_ended
    assert client.events[-1] == b"[DONE]"
    shapes = [orjson.loads(event) for event in client.events[:-1]]
    assert [("error" in each) for each in shapes] == [False] * (len(shapes) - 1) + [True]
    assert shapes[0]["choices"][0]["delta"]["content"] == "first"
    assert not any(c["choices"][0]["finish_reason"] for c in shapes[:-1])
    assert backend.open_count == backend.closed_count


@pytest.mark.parametrize(
    "script", [name for name in BROKEN_OFF if BROKEN_OFF[name][:1] != [chunk("a")]]
)
async def test_a_stream_that_fails_before_its_first_chunk_gets_a_true_status(script: str) -> None:
    client = await ask(FakeBackend(BROKEN_OFF[script]))
    assert client.status == 502
    assert client.is_ended
    assert client.json["error"]["code"] in ("stream_incomplete", "backend_error")
    assert client.json["error"]["source"] == "fake"


async def test_what_needs_no_mending_is_sent_on_byte_by_byte() -> None:
    steps = [
        b'data: {"id": "1", "choices": [ {"index":0, "delta":{"role":"assistant","content":""}} ]}',
        b'\n\ndata: {"id": "1",  "choices":[{"index":0,"delta":{"content":"x"}}], "odd":1.50}\n\n',
        b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"id":"1"}\n\n',
        DONE,
    ]
    assert (await ask(FakeBackend(steps))).body == b"".join(steps)


async def test_the_private_key_is_taken_out_and_nothing_else() -> None:
    steps = answer("a", "b", "c")
    client = await ask(FakeBackend(steps))
    assert client.events[1:] == [*map(without_private, steps[1:-1]), b"[DONE]"]
    first = orjson.loads(without_private(steps[0]))
    first["choices"][0]["delta"] = {"role": "assistant", "content": "a"}
    assert orjson.loads(client.events[0]) == first


async def test_every_choice_must_finish() -> None:
    body = {**STREAM, "n": 2}
    steps = [chunk("a"), chunk("b", index=1), chunk(finish="stop"), DONE]
    cut = await ask(FakeBackend(steps), body)
    assert orjson.loads(cut.events[-2])["error"]["code"] == "stream_incomplete"
    steps.insert(3, chunk(finish="length", index=1))
    assert (await ask(FakeBackend(steps), body)).events[-1] == b"[DONE]"


async def test_a_quick_failure_has_a_status_and_a_slow_one_is_told_in_the_stream() -> None:
    error = CapacityError("the queue is full", status=429, retry_after_seconds=2.2)
    quick = await ask(FakeBackend(before=[error]))
    assert (quick.status, quick.headers["retry-after"]) == (429, "3")

    async def wait_for_heartbeat() -> None:
        await slow.got_piece.wait()

    slow = FakeClient(body=STREAM)
    backend = FakeBackend(before=[wait_for_heartbeat, error])
    await gateway(backend, QUICK)(slow.scope, slow.receive, slow.send)
    assert slow.status == 200
    assert slow.body.startswith(b": heartbeat\n\n")
    assert orjson.loads(slow.events[0])["error"]["code"] == "capacity"
    assert slow.events[1:] == [b"[DONE]"]


async def test_heartbeats_cover_a_load_that_takes_longer_than_any_limit() -> None:
    async def load() -> None:
        while len(client.pieces) < 15:  # longer than first_token_seconds
            client.got_piece.clear()
            await client.got_piece.wait()

    client = FakeClient(body=STREAM)
    backend = FakeBackend(answer("a"), before=[load], capabilities=Capabilities(queues=True))
    await gateway(backend, QUICK)(client.scope, client.receive, client.send)
    assert client.body.count(b": heartbeat\n\n") >= 15
    assert (client.text, client.events[-1]) == ("a", b"[DONE]")


async def test_a_backend_that_has_the_request_and_says_nothing_is_ended() -> None:
    async def sent() -> None:
        backend.requests[0].on_sent()

    backend = FakeBackend(before=[sent, forever], capabilities=Capabilities(queues=True))
    async with asyncio.timeout(30):
        client = await ask(backend, limits=QUICK)
    (error, done) = client.events
    assert orjson.loads(error)["error"]["code"] == "backend_silent"
    assert done == b"[DONE]"
    assert backend.closed_count == backend.open_count > 1


async def test_heartbeats_cover_silence_between_chunks() -> None:
    async def pause() -> None:
        while b": heartbeat" not in client.body:
            client.got_piece.clear()
            await client.got_piece.wait()

    client = FakeClient(body=STREAM)
    first, *rest = answer("a", "b")
    await gateway(FakeBackend([first, pause, *rest]), QUICK)(
        client.scope, client.receive, client.send
    )
    assert b'"a"' in client.pieces[0]
    assert client.pieces[1] == b": heartbeat\n\n"
    assert client.text == "ab"


@pytest.mark.parametrize("body", [STREAM, WHOLE], ids=["stream", "whole"])
@pytest.mark.parametrize("when", ["while loading", "before the first byte", "in the middle"])
async def test_a_client_that_leaves_cancels_and_gives_the_lease_back(
    body: dict[str, Any], when: str
) -> None:
    reached = asyncio.Event()

    async def stay() -> None:
        reached.set()
        await forever()

    scripts: dict[str, tuple[list[Step], list[Step]]] = {
        "while loading": ([stay], []),
        "before the first byte": ([], [stay]),
        "in the middle": ([], [chunk("a"), stay]),
    }
    before, steps = scripts[when]
    backend = FakeBackend(steps, before=before)
    client = FakeClient(body=body)
    app = gateway(backend)
    task = asyncio.create_task(app(client.scope, client.receive, client.send))
    await reached.wait()
    client.leave()
    await task
    assert backend.open_count == backend.closed_count == 1
    assert not app.serving.answering
    assert not client.is_ended


async def test_a_client_that_does_not_read_holds_no_lease_for_ever() -> None:
    backend = FakeBackend([chunk("a"), *answer("b")])
    client = FakeClient(body=STREAM)
    client.reads.clear()
    await gateway(backend, QUICK)(client.scope, client.receive, client.send)
    assert backend.closed_count == 1
    assert client.status is None


async def test_a_slow_reader_slows_the_backend_down_and_gets_everything() -> None:
    asked_on = asyncio.Event()

    async def note() -> None:
        asked_on.set()

    client = FakeClient(body=STREAM)
    client.reads.clear()
    first, *rest = answer("a", "b")
    task = asyncio.create_task(
        gateway(FakeBackend([first, note, *rest]))(client.scope, client.receive, client.send)
    )
    for _ in range(20):
        await asyncio.sleep(0)
    assert not asked_on.is_set()
    client.reads.set()
    await task
    assert len(client.events) == 4


@pytest.mark.parametrize("is_begun", [True, False])
async def test_a_server_that_stops_tells_the_client(is_begun: bool) -> None:
    reached = asyncio.Event()

    async def stay() -> None:
        reached.set()
        await forever()

    client = FakeClient(body=STREAM)
    app = gateway(FakeBackend([*([chunk("a")] if is_begun else []), stay]))
    task = asyncio.create_task(app(client.scope, client.receive, client.send))
    await reached.wait()
    app.serving.stop_answers()
    await task
    assert client.is_ended
    if is_begun:
        assert orjson.loads(client.events[1])["error"]["code"] == "server_stopping"
        assert client.events[2:] == [b"[DONE]"]
    else:
        assert client.status == 503
        assert client.headers["retry-after"]


LAST_PIECES: dict[str, tuple[list[Step], bytes]] = {
    "the end": ([b"".join(answer("b"))], b'"finish_reason":"stop"'),
    "not the end": ([chunk("b"), forever], b"server_stopping"),
}


@pytest.mark.parametrize("case", LAST_PIECES)
async def test_a_server_that_stops_loses_nothing_that_a_slow_client_has_not_read(case: str) -> None:
    steps, last = LAST_PIECES[case]
    client = FakeClient(body=STREAM)

    async def read_no_more() -> None:
        client.reads.clear()

    app = gateway(FakeBackend([chunk("a"), read_no_more, *steps]))
    task = asyncio.create_task(app(client.scope, client.receive, client.send))
    while client.reads.is_set():  # noqa: ASYNC110 - the client has no event for it
        await asyncio.sleep(0)
    for _ in range(20):
        await asyncio.sleep(0)
    app.serving.stop_answers()
    for _ in range(20):
        await asyncio.sleep(0)
    client.reads.set()
    await task
    assert client.text == "ab"
    assert last in client.events[-2]
    assert client.events[-1] == b"[DONE]"


@pytest.mark.parametrize("body", [STREAM, WHOLE], ids=["stream", "whole"])
@pytest.mark.parametrize("content", [b"<html>", b"null", b'{"error":{"message":"x"}}', b"", b"{}"])
async def test_status_200_with_no_answer_is_an_error(body: dict[str, Any], content: bytes) -> None:
    backend = FakeBackend([content], headers={"content-type": "application/json"})
    client = await ask(backend, body)
    assert client.status == 502
    assert client.json["error"]["source"] == "fake"


@pytest.mark.parametrize("finish", [None, "error", "abort"])
async def test_a_whole_answer_that_did_not_finish_is_an_error(finish: str | None) -> None:
    backend = FakeBackend([whole_answer(finish=finish)], headers={})
    client = await ask(backend, WHOLE)
    assert (client.status, client.json["error"]["code"]) == (502, "answer_incomplete")


async def test_a_backend_that_never_gives_its_whole_answer_is_given_up() -> None:
    client = await ask(FakeBackend([b"{", forever]), WHOLE, QUICK)
    assert (client.status, client.json["error"]["code"]) == (504, "backend_silent")
    assert "trueup ps" in client.json["error"]["hint"]  # its worker is one of ours


@pytest.mark.parametrize("body", [STREAM, WHOLE], ids=["stream", "whole"])
async def test_an_error_that_the_backend_states_keeps_its_words(body: dict[str, Any]) -> None:
    stated = {
        "message": "too long; shorten it",
        "code": "context_length_exceeded",
        "param": "messages",
        "where": "context",
        "hint": "shorten it",
    }
    backend = FakeBackend([orjson.dumps({"error": stated})], status=400, headers={})
    client = await ask(backend, body)
    assert client.status == 400
    expected = {**stated, "type": "invalid_request_error", "source": "fake"}
    assert client.json["error"] == expected


@pytest.mark.parametrize(("status", "sent"), [(500, 502), (503, 503), (429, 429), (302, 502)])
async def test_a_backends_status_without_words_is_told(status: int, sent: int) -> None:
    backend = FakeBackend([b"<html>"], status=status, headers={"retry-after": "7"})
    client = await ask(backend)
    assert client.status == (status if status >= 400 else sent)
    assert client.headers.get("retry-after") == ("7" if status in (429, 503) else None)


def far(steps: list[Step]) -> FakeBackend:
    return FakeBackend(steps, is_foreign=True)


def odd(delta: str, finish: str = "null", more: str = "") -> bytes:
    """A chunk in the words of another server, written by hand."""
    choice = f'{{"index":0,"delta":{delta},"finish_reason":{finish}}}'
    return f'data: {{"id":"1","choices":[{choice}]{more}}}\n\n'.encode()


FIRST = odd('{"role":"assistant","content":"a"}')
STOP = odd("{}", '"stop"')
BROKEN_OFF_IN_WORDS = {
    "an error event without data": b"event: error\n\n",
    "an error event with other data": b'event: error\ndata: {"message":"x"}\n\n',
    "a field of its own": b'error: {"message":"x"}\n\n',
    "a bare object": b'{"error": {"message":"x"}}\n\n',
    "a traceback": b"Traceback (most recent call last):\n  File x\nRuntimeError: x\n\n",
    "an error beside choices": odd('{"content":""}', more=',"error":{"message":"x"}'),
    "an error code": b'data: {"error_code":1,"text":"x"}\n\n',
    "a reason that is none": odd("{}", '"insufficient_system_resource"'),
    "a reason in capitals": odd("{}", '"ERROR"'),
    "a reason that is a list": odd("{}", '["stop"]'),
    "an error in the choice": FIRST.replace(b'"index":0', b'"index":0,"error":{"message":"x"}'),
    "errors": b'data: {"errors":[{"message":"x"}]}\n\n',
    "an exception": b'data: {"exception":"CUDA out of memory"}\n\n',
}


@pytest.mark.parametrize("what", BROKEN_OFF_IN_WORDS)
async def test_an_error_is_heard_in_any_dress_before_a_finish_that_lies(what: str) -> None:
    client = await ask(far([FIRST, BROKEN_OFF_IN_WORDS[what], STOP, DONE]))
    assert client.text == "a"
    assert orjson.loads(client.events[-2])["error"]["code"] == "stream_incomplete"
    assert b'"stop"' not in client.body


async def test_words_after_an_end_belong_to_the_answer() -> None:
    client = await ask(far([FIRST, STOP, odd('{"content":"b"}'), odd("{}", '"length"'), DONE]))
    assert client.text == "ab"
    reasons = [orjson.loads(each)["choices"][0]["finish_reason"] for each in client.events[:-1]]
    assert [reason for reason in reasons if reason] == ["length"]


async def test_the_first_of_two_ends_without_words_between_is_the_true_one() -> None:
    client = await ask(far([FIRST, odd("{}", '"length"'), STOP, DONE]))
    reasons = [orjson.loads(each)["choices"][0]["finish_reason"] for each in client.events[:-1]]
    assert [reason for reason in reasons if reason] == ["length"]


MENDED = {
    "no index": [b'data: {"id":"1","choices":[{"delta":{"role":"assistant","content":"a"}}]}\n\n'],
    "a null index": [FIRST.replace(b'"index":0', b'"index":null')],
    "an empty role": [FIRST.replace(b"assistant", b"")],
    "an empty finish reason": [FIRST.replace(b'"finish_reason":null', b'"finish_reason":""')],
    "null as a word": [FIRST.replace(b'"finish_reason":null', b'"finish_reason":"null"')],
    "NaN": [FIRST.replace(b'"finish_reason":null', b'"finish_reason":null,"logprobs":NaN')],
}


@pytest.mark.parametrize("what", MENDED)
async def test_what_clients_stumble_over_is_mended(what: str) -> None:
    client = await ask(far([*MENDED[what], STOP, DONE]))
    assert client.text == "a"
    (choice,) = orjson.loads(client.events[0])["choices"]
    assert (choice["index"], choice["finish_reason"]) == (0, None)
    assert choice["delta"]["role"] == "assistant"
    assert choice.get("logprobs") is None


async def test_choices_that_nobody_asked_for_are_left_out() -> None:
    other = odd('{"content":"other"}').replace(b'"index":0', b'"index":1')
    client = await ask(far([FIRST, other, odd('{"content":"b"}'), STOP, DONE]))
    assert client.text == "ab"
    assert b"other" not in client.body


async def test_halves_of_a_character_are_joined_across_chunks() -> None:
    halves = [odd('{"content":"x\\ud83e"}'), odd('{"content":"\\udd8ay"}')]
    client = await ask(far([FIRST, *halves, STOP, DONE]))
    assert client.text == "ax\U0001f98ay"
    alone = await ask(far([FIRST, odd('{"content":"\\udd8ay"}'), STOP, DONE]))
    assert alone.text == "a\ufffdy"


async def test_an_error_beside_a_whole_answer_is_an_error() -> None:
    shape = {**orjson.loads(whole_answer("cut")), "error": {"message": "x"}}
    client = await ask(FakeBackend([orjson.dumps(shape)], headers={}, is_foreign=True), WHOLE)
    assert client.status == 502


async def test_events_that_bring_nothing_are_no_progress() -> None:
    nothing = [odd('{"content":""}')] * 9
    client = await ask(far([FIRST, *nothing, forever]), limits=QUICK)
    assert orjson.loads(client.events[-2])["error"]["code"] == "stream_incomplete"


async def test_an_answer_has_one_time_and_one_model() -> None:
    def chunk_of(created: int, model: str, delta: str, finish: str = "null") -> bytes:
        return odd(delta, finish, f',"created":{created},"model":"{model}"')

    steps = [
        chunk_of(1, "m", '{"role":"assistant","content":"a"}'),
        chunk_of(2, "m", '{"content":"b"}'),
        chunk_of(2, "n", '{"content":"c"}'),
        chunk_of(3, "m", "{}", '"stop"'),
        DONE,
    ]
    client = await ask(far(steps))
    assert client.text == "abc"
    shapes = [orjson.loads(each) for each in client.events[:-1]]
    assert {(each["id"], each["created"], each["model"]) for each in shapes} == {("1", 1, "m")}
