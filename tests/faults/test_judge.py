"""The judge catches every kind of lie: planted answers that are nearly right are broken."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable

import pytest

from tests.faults.answer import Asked
from tests.faults.case import ALWAYS, COMPLETE, Case, Fault
from tests.faults.cases import CASES
from tests.faults.judge import Target, judge
from tests.faults.server import FaultServer
from tests.faults.steps import (
    DONE,
    Raw,
    Step,
    dumped,
    event,
    events,
    framed,
    head,
    part,
    reply,
    stream,
)

HEALTHY = Fault(name="no-fault", family="none")
STREAM = Case(fault=HEALTHY, lasts=ALWAYS, is_stream=True, alone=COMPLETE, why="")
PLAIN = Case(fault=HEALTHY, lasts=ALWAYS, is_stream=False, alone=COMPLETE, why="")


@contextlib.asynccontextmanager
async def liar(streamed: Iterable[Step]) -> AsyncIterator[str]:
    """A server that says the same bytes to everyone and closes."""
    sent = b"".join(
        each if isinstance(each, Raw) else framed(each)
        for each in streamed
        if isinstance(each, bytes)
    )

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(sent)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"


def asked(*, usage: bool = True) -> Asked:
    options = {"stream_options": {"include_usage": True}} if usage else {}
    return Asked({"model": "test", "stream": True, **options})


def changed(old: str, new: str) -> list[Step]:
    return list(stream([each.replace(old.encode(), new.encode(), 1) for each in events(asked())]))


async def verdict(sent: Iterable[Step], case: Case = STREAM, client: str = "raw") -> str:
    async with liar(sent) as url:
        judged = await judge(case, Target(url, limit_seconds=20), [client])
    return f"{judged[client].verdict}: {judged[client].reason}"


@pytest.mark.parametrize("case", [STREAM, PLAIN], ids=["stream", "plain"])
async def test_the_right_answer_is_complete_to_both_clients(case: Case) -> None:
    async with FaultServer(is_healthy=True).listening() as server:
        judged = await judge(case, Target(server.url))
    assert [each.verdict for each in judged.values()] == ["complete", "complete"], judged


FINISHED = event(asked().delta({}, "stop"))
USAGE = event(asked().chunk([], usage=asked().usage))
ERROR = event({"error": {"message": "it broke", "type": "server_error", "code": "x"}})
LIES: dict[str, list[Step]] = {
    "cut text that is finished as if it were whole": list(
        stream([*part(asked(), 20), FINISHED, USAGE, DONE])
    ),
    "an empty answer": list(stream([event(asked().delta({"role": "assistant"})), FINISHED, DONE])),
    "another text": changed("TrueUp", "FalseUp"),
    "a lost line separator": changed("\u2028", "\n"),
    "no finish": list(stream([each for each in events(asked()) if each != FINISHED])),
    "two finishes": list(stream([*events(asked())[:-2], FINISHED, USAGE, DONE])),
    "no [DONE]": list(stream(events(asked())[:-1])),
    "text behind [DONE]": list(stream([*events(asked()), event(asked().delta({"content": "x"}))])),
    "no last chunk of the framing": [head(), *events(asked())],
    "two ids": changed('"id":"chatcmpl-f"', '"id":"chatcmpl-g"')[:2]
    + list(stream(events(asked())))[2:],
    "two roles": list(stream([events(asked())[0], *events(asked())])),
    "no role": list(stream(events(asked())[1:])),
    "no usage": list(stream(events(asked(usage=False)))),
    "two error events": list(stream([*part(asked(), 3), ERROR, ERROR, DONE])),
    "an error event without [DONE]": list(stream([*part(asked(), 3), ERROR])),
    "an error event behind the whole answer": list(stream([*events(asked())[:-1], ERROR, DONE])),
    "an error event behind another text": list(
        stream([event(asked().delta({"role": "assistant", "content": "Oh"})), ERROR, DONE])
    ),
    "an error that is a text": list(stream([event({"error": "it broke"}), DONE])),
    "JSON": list(reply(200, asked().whole())),
    "a status without OpenAI's shape": list(reply(503, {"detail": "it broke"})),
    "an invalid byte": list(
        stream([each.replace(b"quick", b"q\xffick") for each in events(asked())])
    ),
}


@pytest.mark.parametrize("name", LIES)
async def test_a_lie_in_a_stream_is_broken(name: str) -> None:
    said = await verdict(LIES[name])
    assert said.startswith("broken: "), said


@pytest.mark.parametrize(
    "name",
    [
        "cut text that is finished as if it were whole",
        "an empty answer",
        "another text",
        "no finish",
        "an error event behind another text",
    ],
)
async def test_a_lie_that_reaches_programs_is_broken_to_the_sdk(name: str) -> None:
    said = await verdict(LIES[name], client="sdk")
    assert said.startswith("broken: "), said


@pytest.mark.parametrize("client", ["raw", "sdk"])
async def test_honest_errors_are_errors(client: str) -> None:
    in_stream = list(stream([*part(asked(), 3), ERROR, DONE]))
    status = list(reply(502, {"error": {"message": "it broke", "code": "x", "type": "y"}}))
    assert (await verdict(in_stream, client=client)).startswith("error: ")
    assert (await verdict(status, client=client)).startswith("error: ")
    assert (await verdict(status, PLAIN, client)).startswith("error: ")


@pytest.mark.parametrize("client", ["raw", "sdk"])
@pytest.mark.parametrize(
    "body",
    [
        dumped(asked().whole())[:-30],
        b"null",
        b"{}",
        dumped({**asked().whole(), "choices": []}),
        dumped(asked().whole()).replace("谢谢".encode(), b""),
        dumped(asked().whole()).replace(b'"stop"', b'"length"'),
    ],
    ids=["cut", "null", "empty", "no choices", "another text", "another reason"],
)
async def test_a_lie_in_a_whole_answer_is_broken(client: str, body: bytes) -> None:
    said = await verdict(reply(200, body), PLAIN, client)
    assert said.startswith("broken: "), said


@pytest.mark.parametrize("client", ["raw", "sdk"])
async def test_a_server_that_hangs_is_broken(client: str) -> None:
    stalled = next(each for each in CASES if each.name == "stall-after-3:always:stream")
    async with FaultServer().listening() as server:
        judged = await judge(stalled, Target(server.url, limit_seconds=0.3), [client])
    assert judged[client].verdict == "broken"
    assert "hung" in judged[client].reason


async def test_a_server_that_refuses_is_broken() -> None:
    async with FaultServer().listening() as server:
        url = server.url
    judged = await judge(STREAM, Target(url))
    assert {each.verdict for each in judged.values()} == {"broken"}
