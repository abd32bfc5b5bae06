"""Langchain-Chatchat 0.3.1 as the runs of `make test-clients` showed it, imitated.

What relays a stream there catches nothing: any exception of the openai package cuts the answer
that the user reads. Its agents ask through langchain-openai and tell their users of an exception
as of a word of the model's.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import openai
import pytest
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from tests.clients.chatchat_asking import (
    AGENT_FINISHED,
    COMPLETE,
    CUT,
    EMPTY,
    ERROR_AS_TEXT,
    ERROR_EVENT,
    FAILED,
    LLM_FINISHED,
    NOTED,
    SHORT,
    Seen,
    judge,
)
from tests.clients.chatchat_rows import Asking, askings
from tests.clients.chatchat_run import ALONE, COLUMNS, DIRECT, PROFILE, configuration, due_of
from tests.clients.sdk_checks import asked
from tests.faults.answer import TEXT
from tests.faults.in_process import LIMITS, SLOW_SECONDS, gateway_of
from tests.faults.raw import ENDED, Heard
from tests.faults.server import FaultServer

OURS = [column for column in COLUMNS if column != DIRECT]
IMITATED = list(askings())
# What an agent sends on while its model speaks.
SPEAKING = 2
AT_ONCE = 16
PLAIN = next(each for each in IMITATED if each.name == "plain.close-after-3.always")
AGENT = next(each for each in askings(("glm3",)) if each.case.lasts == "always")
NOTE = "[The answer is incomplete: the backend broke off]"


async def relayed(url: str, asking: Asking, column: str) -> Heard:
    """What it sends on to the user."""
    shape = asked(asking.case.marker.removeprefix("fault:"), **asking.shape)
    shape |= {"model": asking.model(column), "stream": True}
    headers = {"X-TrueUp-Profile": PROFILE}
    body, end = b"", ENDED
    async with openai.AsyncOpenAI(base_url=url, api_key="EMPTY", default_headers=headers) as client:
        try:
            async for chunk in await client.chat.completions.create(**shape):
                body += b"data: %b\r\n\r\n" % chunk.model_dump_json().encode()
        except Exception as error:  # the generator ends, and so does the chunked body
            end = f"closed in mid-answer: {error}"
    return Heard(200, {}, body, end)


async def relayed_by_agent(url: str, asking: Asking, column: str) -> Heard:
    """What an agent sends on: the model's words as they come, then all of them, then its own."""
    is_streaming = asking.door == "glm3"
    chat = ChatOpenAI(
        model=asking.model(column),
        base_url=url,
        api_key=SecretStr("EMPTY"),
        default_headers={"X-TrueUp-Profile": PROFILE},
        temperature=0.1,
        max_completion_tokens=1000,
        streaming=is_streaming,
        max_retries=0,
    )
    question = asked(asking.case.marker.removeprefix("fault:"))["messages"][0]["content"]
    told: list[tuple[int, str]] = []
    try:
        if is_streaming:
            async for piece in chat.astream(question):
                told.append((SPEAKING, str(piece.content)))
        else:
            told.append((SPEAKING, str((await chat.ainvoke(question)).content)))
    except Exception as error:  # a callback tells of it, and the answer ends in order
        told.append((FAILED, str(error)))
    else:
        text = "".join(words for _, words in told)
        told += [(LLM_FINISHED, text), (AGENT_FINISHED, text)]
    return heard([chunk(words, status=status) for status, words in told])


async def _all() -> dict[tuple[str, str], Seen]:
    turn = asyncio.Semaphore(AT_ONCE)
    seen: dict[tuple[str, str], Seen] = {}
    async with (
        FaultServer(slow_seconds=SLOW_SECONDS).listening() as faulty,
        FaultServer(is_healthy=True).listening() as healthy,
    ):
        shape = configuration(IMITATED, faulty.url, healthy.url, limits=LIMITS)
        async with gateway_of(shape) as url, asyncio.TaskGroup() as group:

            async def one(asking: Asking, column: str) -> None:
                async with turn:
                    relay = relayed_by_agent if asking.is_agent else relayed
                    seen[asking.name, column] = judge(await relay(url, asking, column), asking)

            for column in OURS:
                for asking in IMITATED:
                    group.create_task(one(asking, column))
    return seen


@pytest.fixture(scope="module")
def seen() -> dict[tuple[str, str], Seen]:
    return asyncio.run(_all())


@pytest.mark.slow
@pytest.mark.parametrize("column", OURS)
@pytest.mark.parametrize("asking", IMITATED, ids=lambda asking: asking.name)
def test_its_users_see_a_whole_answer_or_the_note(
    asking: Asking, column: str, seen: dict[tuple[str, str], Seen]
) -> None:
    found = seen[asking.name, column]
    assert found.verdict in due_of(asking, column), found.reason


def chunk(content: str | None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": finish}
    return {"id": "x", "choices": [choice], **more}


def heard(shapes: Sequence[Any], end: str = ENDED) -> Heard:
    """As both versions send it: CRLF, pings, no [DONE]."""
    body = "".join(f"data: {json.dumps(shape)}\r\n\r\n: ping\r\n\r\n" for shape in shapes)
    return Heard(200, {}, body.encode(), end)


@pytest.mark.parametrize(
    ("shapes", "end", "verdict"),
    [
        ([chunk(TEXT), chunk(None, "stop")], ENDED, COMPLETE),
        ([chunk(TEXT[:30])], "the connection was closed in mid-answer", CUT),
        ([chunk(TEXT[:30]), {"error": "peer closed connection"}], ENDED, ERROR_EVENT),
        ([chunk(TEXT), {"error": "peer closed connection"}], ENDED, ERROR_EVENT),
        ([chunk(TEXT[:30]), chunk(f"\n\n{NOTE}"), chunk(None, "length")], ENDED, NOTED),
        ([chunk(TEXT[:30]), chunk(f"\n\n{NOTE}")], ENDED, "wrong"),  # without finish_reason
        ([chunk("other"), chunk(NOTE), chunk(None, "length")], ENDED, "wrong"),
        ([chunk(TEXT[:30]), chunk(None, "stop")], ENDED, SHORT),
        ([chunk(TEXT)], ENDED, SHORT),
        ([], ENDED, EMPTY),
        ([chunk(TEXT[:30])], "hung for 20 s", "hangs"),
    ],
)
def test_a_chat_is_judged_by_what_its_user_sees(shapes: Any, end: str, verdict: str) -> None:
    assert judge(heard(shapes, end), PLAIN).verdict == verdict


@pytest.mark.parametrize(
    ("shapes", "verdict"),
    [
        ([chunk(TEXT, status=2), chunk(TEXT, status=3), chunk(TEXT, status=5)], COMPLETE),
        ([chunk(TEXT[:9], status=2), chunk("peer closed", status=8)], ERROR_AS_TEXT),
        ([chunk(TEXT[:9], status=3), chunk(TEXT[:9], status=5)], SHORT),
        ([chunk(f"{TEXT[:9]}\n\n{NOTE}", status=5)], NOTED),
        ([chunk("", status=5)], EMPTY),
    ],
)
def test_an_agent_is_judged_by_its_last_word(shapes: Any, verdict: str) -> None:
    assert judge(heard(shapes), AGENT).verdict == verdict


def test_nothing_is_due_without_us_and_a_note_is_due_only_where_nothing_else_is_left() -> None:
    assert due_of(PLAIN, DIRECT) == frozenset()
    assert due_of(PLAIN, ALONE) == {COMPLETE, NOTED}
    assert due_of(PLAIN, OURS[-1]) == {COMPLETE}
