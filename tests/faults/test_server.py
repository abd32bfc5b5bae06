"""The fault server plays what its rows say, and tells what it received."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.faults.answer import ARGUMENTS, TEXT, TOOLS, Asked
from tests.faults.case import is_faulty
from tests.faults.cases import CASES, FAULTS
from tests.faults.form import events_of
from tests.faults.raw import ENDED, Heard, ask_raw, request_bytes
from tests.faults.server import FaultServer

PATH = "/v1/chat/completions"
FAMILIES = {"connection", "protocol", "status", "parameter", "tools"}


@pytest.fixture
async def server() -> AsyncIterator[FaultServer]:
    async with FaultServer(slow_seconds=0.02).listening() as listening:
        yield listening


async def ask(server: FaultServer, marker: str = "", path: str = PATH, **shape: Any) -> Heard:
    messages = [{"role": "user", "content": f"{marker} Say it."}]
    whole = {"model": "test", "messages": messages, **shape}
    return await ask_raw(server.url, path, whole, limit_seconds=20)


def text_of(heard: Heard) -> str:
    chunks = [json.loads(data) for data in events_of(heard.body) if data != "[DONE]"]
    return "".join(
        choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"]
    )


def content_of(heard: Heard) -> Any:
    return json.loads(heard.body)["choices"][0]["message"]["content"]


async def test_a_request_without_a_marker_gets_the_right_answer_in_both_ways(
    server: FaultServer,
) -> None:
    streamed = await ask(server, stream=True, stream_options={"include_usage": True})
    plain = await ask(server)
    assert (streamed.end, plain.end) == (ENDED, ENDED)
    assert text_of(streamed) == content_of(plain) == TEXT
    *_, usage, done = events_of(streamed.body)
    assert done == "[DONE]"
    assert json.loads(usage)["usage"] == json.loads(plain.body)["usage"]


async def test_the_right_answer_honours_stop_max_tokens_n_and_tools(server: FaultServer) -> None:
    stopped = await ask(server, stop=["The quick"])
    short = await ask(server, max_tokens=2)
    two = json.loads((await ask(server, n=2)).body)["choices"]
    called = json.loads((await ask(server, tools=TOOLS)).body)["choices"][0]
    assert content_of(stopped) == TEXT.partition("The quick")[0]
    assert json.loads(short.body)["choices"][0]["finish_reason"] == "length"
    assert [choice["index"] for choice in two] == [0, 1]
    call = called["message"]["tool_calls"][0]["function"]
    assert json.loads(call["arguments"]) == ARGUMENTS


async def test_the_models_name_a_message_or_the_control_path_chooses_the_fault(
    server: FaultServer,
) -> None:
    marked = await ask(server, "fault:503:always")
    named = await ask(server, model="fault:503:once")
    again = await ask(server, model="fault:503:once")
    assert (marked.status, named.status, again.status) == (503, 503, 200)
    await ask(server, path="/_fault", name="401", times=2)
    statuses = [(await ask(server)).status for _ in range(3)]
    assert statuses == [401, 401, 200]


async def test_a_fault_that_does_not_exist_is_told(server: FaultServer) -> None:
    heard = await ask(server, "fault:no-such-thing")
    assert heard.status == 404
    assert b"no-such-thing" in heard.body


async def test_keys_count_for_themselves(server: FaultServer) -> None:
    statuses = [(await ask(server, f"fault:503:once#{key}")).status for key in ("a", "b", "a", "b")]
    assert statuses == [503, 503, 200, 200]


# a fault of a stream, how many whole events with text come, how the response ends
PLAYED = (
    ("close-after-3", 3, "closed"),
    ("reset-after-3", 3, "ConnectionResetError"),
    ("close-after-20", 20, "closed"),
    ("close-before-headers", 0, "closed"),
    ("reset-before-headers", 0, "ConnectionResetError"),
    ("end-after-3", 3, ENDED),
    ("end-empty", 0, ENDED),
    ("done-after-3", 3, ENDED),
    ("bad-chunk-size", 3, "not HTTP"),
    ("close-mid-event", 3, "closed"),
    ("with-length-cut", 20, "closed"),
)


@pytest.mark.parametrize(("name", "count", "end"), PLAYED)
async def test_a_stream_breaks_where_its_row_says(
    server: FaultServer, name: str, count: int, end: str
) -> None:
    heard = await ask(server, f"fault:{name}:always", stream=True)
    whole = heard.body[: heard.body.rfind(b"\n\n") + 2]
    pieces = Asked({}).said[0]
    assert end in heard.end
    text = text_of(Heard(body=whole))
    assert TEXT.startswith(text)
    assert (text == "".join(pieces[:count])) or (name == "with-length-cut" and text)


async def test_a_stall_lasts_until_the_client_leaves_and_the_leaving_is_recorded(
    server: FaultServer,
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(server.url.split(":")[2][:-3]))
    shape = {"model": "fault:stall-after-1:always", "stream": True, "messages": []}
    writer.write(request_bytes(server.url, PATH, shape))
    await reader.readuntil(TEXT[:6].encode())
    assert server.running == 1
    writer.close()
    async with asyncio.timeout(20):
        await server.is_idle.wait()
    received = server.received[0]
    assert received.left_at is not None
    assert received.ended_at is not None
    assert received.ended_at >= received.left_at >= received.at


async def test_how_many_were_answered_at_once_is_counted(server: FaultServer) -> None:
    await asyncio.gather(*(ask(server, "fault:slow-first-token", stream=True) for _ in range(5)))
    assert server.most_at_once == 5
    assert len(server.of("slow-first-token")) == 5


async def test_a_poisoned_connection_is_reset_by_its_next_request(server: FaultServer) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(server.url.split(":")[2][:-3]))
    shape = {"model": "fault:500-then-reset:always", "messages": []}
    writer.write(request_bytes(server.url, PATH, shape))
    await reader.readuntil(b"validation error")
    writer.write(request_bytes(server.url, PATH, shape))
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()


async def test_a_prefix_is_continued_where_the_row_says_so(server: FaultServer) -> None:
    messages = [
        {"role": "user", "content": "Say it."},
        {"role": "assistant", "content": TEXT[:100]},
    ]
    heard = await ask(
        server,
        model="fault:close-after-10-continues:always",
        stream=True,
        messages=messages,
        continue_final_message=True,
    )
    assert text_of(heard) == TEXT[100:160]


async def test_a_rejected_parameter_is_rejected_only_while_it_is_there(
    server: FaultServer,
) -> None:
    with_it = await ask(server, "fault:rejects-seed-pydantic", seed=7)
    without = await ask(server, "fault:rejects-seed-pydantic")
    assert (with_it.status, without.status) == (422, 200)
    assert json.loads(with_it.body)["detail"][0]["loc"] == ["body", "seed"]


def test_what_once_twice_and_stream_only_mean() -> None:
    assert [is_faulty("twice", played, is_stream=True) for played in range(3)] == [
        True,
        True,
        False,
    ]
    assert is_faulty("stream-only", 9, is_stream=True)
    assert not is_faulty("stream-only", 0, is_stream=False)


def test_every_family_is_there_and_every_name_is_unique() -> None:
    assert {fault.family for fault in FAULTS.values()} == FAMILIES
    assert len({case.name for case in CASES}) == len(CASES) > 150
    assert all(case.alone and case.why for case in CASES)


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.lasts == "always"], ids=lambda case: case.name
)
def test_every_play_can_be_made_from_every_request_of_its_case(case: Any) -> None:
    shape = {"stream": case.is_stream, "stream_options": {"include_usage": True}}
    asked = Asked({**shape, **case.fault.asks, "model": "m"}, case.fault.path)
    play = case.fault.stream if case.is_stream else case.fault.plain
    if play is not None:
        assert list(play(asked))
