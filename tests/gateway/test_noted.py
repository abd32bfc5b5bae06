"""Clients that bear no error in a stream: what is refused before anybody was asked is a note."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from tests.fakes import FakeBackend, FakeClient, Turn, answer
from tests.gateway.test_chain import JSON, foreign
from tests.gateway.test_stream import STREAM, WHOLE, gateway
from trueup.config.settings import ServerSettings
from trueup.errors import CapacityError
from trueup.gateway.app import Gateway
from trueup.gateway.room import Room

CHATCHAT = {**JSON, "x-trueup-profile": "langchain-chatchat"}


async def refused(app: Gateway, body: dict[str, Any], headers: dict[str, str]) -> FakeClient:
    client = FakeClient(body=body, headers=headers)
    await app(client.scope, client.receive, client.send)
    assert client.is_ended
    return client


@pytest.mark.parametrize("changes", [{"model": "none"}, {"n": "x"}])
async def test_a_stream_that_is_refused_is_a_note_for_who_bears_no_error(
    changes: dict[str, Any],
) -> None:
    app = gateway(FakeBackend(answer("a")))
    client = await refused(app, {**STREAM, **changes}, CHATCHAT)
    assert (client.status, client.events[-1]) == (200, b"[DONE]")
    assert client.text.startswith("[The answer is incomplete: ")
    *_, last = (orjson.loads(each) for each in client.events[:-1])
    assert last["choices"][0]["finish_reason"] == "length"
    assert last["model"] == {**STREAM, **changes}["model"]
    for body, headers in (({**WHOLE, **changes}, CHATCHAT), ({**STREAM, **changes}, JSON)):
        assert (await refused(app, body, headers)).status in (400, 404)


async def test_a_note_where_nothing_came_names_the_model_that_was_asked_for() -> None:
    app = gateway(foreign(Turn([b'{"error":"no"}'], status=400, headers=JSON)))
    client = await refused(app, STREAM, CHATCHAT)
    assert {orjson.loads(each)["model"] for each in client.events[:-1]} == {"demo"}


async def test_who_bears_no_error_waits_for_room() -> None:
    app = gateway(FakeBackend(answer("a")))
    app = Gateway(app.serving, app._access, settings=ServerSettings(max_requests=1))
    assert app._room.take()
    client = FakeClient(body=STREAM, headers=CHATCHAT)
    task = asyncio.create_task(app(client.scope, client.receive, client.send))
    while not app._room._waiting:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0)
    app._room.leave()
    await task
    assert (client.status, client.text) == (200, "a")
    assert app._room.take()  # it was given back


async def test_a_full_house_is_told_when_it_was_waited_for_long_enough() -> None:
    room = Room(1)
    assert room.take()
    for seconds in (0, 0.01):
        with pytest.raises(CapacityError):
            await room.wait(seconds)
    waiting = asyncio.create_task(room.wait(3600))
    while not room._waiting:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait((waiting,))
    room.leave()
    assert (room.take(), room.take()) == (True, False)
