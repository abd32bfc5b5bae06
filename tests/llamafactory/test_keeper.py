"""What the keeper decides, without processes: turns, and a model that does not move."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from trueup.backends.llamafactory.far import keeper as module
from trueup.backends.llamafactory.far.answers import KEPT_SECONDS, Answer, Answers
from trueup.backends.llamafactory.far.directory import SOCKET
from trueup.backends.llamafactory.far.keeper import Keeper
from trueup.backends.llamafactory.far.lines import line_of, message_of


class Model:
    """A model's process that is told and never says anything by itself."""

    pid = None

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.ended = asyncio.Event()

    def send(self, message: Any) -> None:
        self.told.append(message)

    def end(self) -> None:
        self.ended.set()

    kill = end


class Client:
    def __init__(self) -> None:
        self.name = "client"
        self.follows: set[str] = set()
        self.heard: list[Any] = []

    def send(self, message: Any) -> None:
        self.heard.append(message)

    def events(self, answer_id: str) -> list[str]:
        return [each["event"] for each in self.heard if each.get("id") == answer_id]


def ready() -> tuple[Any, Model, Client]:
    keeper: Any = Keeper({"base_model_path": "/m"})
    model, client = Model(), Client()
    keeper._model = model
    keeper._clients.add(client)
    keeper._told(model, {"event": "state", "state": "ready", "concurrent": 1})
    return keeper, model, client


async def test_answers_have_their_turns_in_order_and_are_told_of_the_queue() -> None:
    keeper, model, client = ready()
    for name in ("a", "b", "c"):
        keeper._do(client, {"op": "chat", "id": name})
    assert [each["id"] for each in model.told] == ["a"]
    assert client.events("a") == ["started"]
    assert [e["position"] for e in client.heard if e["event"] == "queued"] == [1, 2]
    keeper._do(client, {"op": "cancel", "id": "b"})
    assert client.events("b") == ["queued", "end"]
    keeper._told(model, {"event": "end", "id": "a", "finish_reason": "stop"})
    assert [each["id"] for each in model.told] == ["a", "c"]


async def test_what_a_client_has_missed_is_told_again_as_long_as_it_is_kept() -> None:
    keeper, model, client = ready()
    keeper._do(client, {"op": "chat", "id": "a"})
    for text in ("x", "y"):
        keeper._told(model, {"event": "delta", "id": "a", "text": text})
    other = Client()
    keeper._do(other, {"op": "resume", "id": "a", "after": 2})
    assert [(each["seq"], each["text"]) for each in other.heard] == [(3, "y")]
    keeper._do(other, {"op": "done", "id": "a"})
    keeper._do(other, {"op": "resume", "id": "a", "after": 0})
    assert other.heard[-1] == {"event": "gone", "id": "a"}


async def test_a_request_that_comes_by_two_connections_is_answered_once() -> None:
    keeper, model, client = ready()
    keeper._do(client, {"op": "chat", "id": "a"})
    other = Client()
    keeper._do(other, {"op": "chat", "id": "a"})
    assert len(model.told) == 1
    assert other.events("a") == ["started"]


async def test_who_comes_to_one_that_ends_finds_that_it_is_to_be_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    keeper, model, client = ready()
    keeper._clients.discard(client)
    may_end = asyncio.Event()
    keeper._runs[asyncio.create_task(may_end.wait())] = model  # it takes its time to end
    read, write = os.pipe()
    keeping = asyncio.create_task(keeper.run(write))
    while not await asyncio.to_thread(os.read, read, 5):
        pass
    os.close(read)
    one, late = [await asyncio.open_unix_connection(SOCKET) for _ in range(2)]

    def say(connection: Any, **message: Any) -> None:
        connection[1].write(line_of(message))

    say(one, op="hello", client="one", lease_seconds=60)
    assert message_of(await one[0].readline())["state"] == "ready"  # type: ignore[index]
    say(one, op="unload")
    await model.ended.wait()
    say(late, op="hello", client="late", lease_seconds=60)
    assert await late[0].read() == b""
    say(one, op="ping")
    with pytest.raises(FileNotFoundError):
        await asyncio.open_unix_connection(SOCKET)
    assert not keeping.done()
    assert not one[0].at_eof()  # whoever unloaded it is told of the end by this
    may_end.set()
    await keeping
    assert await one[0].read() == b""
    for _, writer in (one, late):
        writer.close()


async def test_a_model_that_makes_no_token_is_ended_after_its_answer_was_cancelled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "HUNG_SECONDS", 0.0)
    keeper, model, client = ready()
    keeper._do(client, {"op": "chat", "id": "a"})
    keeper._do(client, {"op": "chat", "id": "b"})
    keeper._do(client, {"op": "cancel", "id": "a"})
    assert model.told[-1] == {"op": "cancel", "id": "a"}
    assert not model.ended.is_set()
    await model.ended.wait()
    error = client.heard[-1]
    assert (error["event"], error["id"], error["type"]) == ("error", "b", "Hung")
    assert keeper._state["state"] == "failed"


async def test_who_leaves_an_answer_costs_nobody_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HUNG_SECONDS", 0.0)
    keeper, model, client = ready()
    for name in ("a", "b"):
        keeper._do(client, {"op": "chat", "id": name})
    for op in ("cancel", "done"):
        keeper._do(client, {"op": op, "id": "a"})
    assert [each["op"] for each in model.told if each["id"] == "b"] == []  # `a` is still made
    keeper._told(model, {"event": "end", "id": "a", "finish_reason": "cancelled"})
    assert model.told[-1]["id"] == "b"
    later = asyncio.Event()
    asyncio.get_running_loop().call_later(0.0, later.set)  # after what the cancel has set
    await later.wait()
    assert not model.ended.is_set()
    assert keeper._answers.get("a") is None


def test_answers_that_nobody_fetches_are_forgotten() -> None:
    answers = Answers()
    answer = Answer({"id": "a"})
    answers.add(answer)
    answer.add({"event": "end"}, now=10.0)
    answers.forget_old(10.0 + KEPT_SECONDS)
    assert answers.get("a") is answer
    answers.forget_old(10.1 + KEPT_SECONDS)
    assert answers.get("a") is None
