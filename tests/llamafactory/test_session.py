"""Our end of a worker, without processes: what is sent again, and told to who waits."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from trueup.backends.hosts.host import HostLost
from trueup.backends.llamafactory import session as module
from trueup.backends.llamafactory.far.lines import Message
from trueup.backends.llamafactory.link import Link
from trueup.backends.llamafactory.session import Session
from trueup.errors import BackendError, ConfigError, TrueUpError

READY: Message = {"event": "state", "state": "ready"}
LOADING: Message = {"event": "state", "state": "loading"}


class Wire:
    """A link whose other end is the test's; `drop` loses it."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self._coming: asyncio.Queue[Message | None] = asyncio.Queue()
        self._moved = asyncio.Event()
        self.is_dead = False
        self.is_asked, self.holds = asyncio.Event(), asyncio.Event()
        self.holds.set()

    async def send(self, message: Message) -> None:
        self.is_asked.set()
        await self.holds.wait()
        if self.is_dead:
            raise HostLost("it dropped", where="far")
        self.sent.append(message)
        self._moved.set()
        if message["op"] == "unload":
            await self.close()

    async def receive(self) -> Message | None:
        return await self._coming.get()

    async def close(self) -> None:
        self._coming.put_nowait(None)

    def say(self, message: Message) -> None:
        self._coming.put_nowait(message)

    def drop(self) -> None:
        self.is_dead = True
        self._coming.put_nowait(None)

    async def heard(self, op: str, *, times: int = 1) -> Message:
        """Wait for so many messages of that kind; the last of them."""
        while len(found := [each for each in self.sent if each["op"] == op]) < times:
            self._moved.clear()
            await self._moved.wait()
        return found[-1]


class Ways:
    """What opening gives, one after another; the last of them again and again."""

    def __init__(self, *found: Wire | BaseException | None, state: Message = READY) -> None:
        self.found = list(found)
        self.state = state

    async def open(self, hello: Message, *, may_start: bool) -> tuple[Any, Message] | None:
        found = self.found.pop(0) if len(self.found) > 1 else self.found[0]
        if isinstance(found, BaseException):
            raise found
        return None if found is None else (found, self.state)


def session_of(*found: Wire | BaseException | None, state: Message = READY) -> Session:
    return Session(Ways(*found, state=state), name="far", lease_seconds=60.0)  # type: ignore[arg-type]


async def test_a_request_that_the_drop_has_swallowed_is_sent_again() -> None:
    before, after = Wire(), Wire()
    session = session_of(before, after)
    answering = await session.ask({"op": "chat"})
    before.drop()
    resume = await after.heard("resume")
    assert (resume["id"], resume["after"]) == (answering.id, 0)
    after.say({"event": "gone", "id": answering.id})
    assert (await after.heard("chat"))["id"] == answering.id
    after.say({"event": "started", "id": answering.id, "seq": 1})
    assert (await answering.next())["event"] == "started"
    # What was begun by a worker that is no more cannot be.
    after.say({"event": "gone", "id": answering.id})
    with pytest.raises(BackendError, match="was started anew"):
        await answering.next()
    await session.close()


@pytest.mark.parametrize(
    "error",
    [
        ConfigError("`key` cannot be read"),
        BackendError("the host key has changed", retryable=False, code="ssh_host_key"),
        ZeroDivisionError("what nobody has thought of"),
    ],
)
async def test_an_error_on_reconnecting_reaches_whoever_waits(error: Exception) -> None:
    wire = Wire()
    session = session_of(wire, error, state=LOADING)
    answering = await session.ask({"op": "chat"})
    loading = asyncio.create_task(session.changes())
    await wire.heard("chat")
    wire.drop()
    for waiting in (answering.next(), loading):
        with pytest.raises(TrueUpError) as caught:
            await waiting
        assert str(error) in caught.value.cause
    await session.close()


async def test_a_worker_that_is_gone_is_told_to_whoever_waits_for_its_load() -> None:
    wire = Wire()
    session = session_of(wire, None, state=LOADING)
    await session.connect()
    loading = asyncio.create_task(session.changes())
    wire.drop()
    with pytest.raises(BackendError, match="was killed"):
        await loading
    await session.close()


async def test_answers_left_meanwhile_are_ended_by_whichever_connection_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE_SECONDS", 0.0)
    before, after = Wire(), Wire()
    lasting = BackendError("the host key has changed", retryable=False, code="ssh_host_key")
    session = session_of(before, lasting, after)
    answering = await session.ask({"op": "chat"})
    before.drop()
    with pytest.raises(BackendError, match="has changed"):
        await answering.next()
    await session.leave(answering)
    await session.connect()  # somebody has mended it
    assert (await after.heard("cancel"))["id"] == answering.id
    assert (await after.heard("done"))["id"] == answering.id
    await session.close()


async def test_a_conversation_too_long_for_a_line_leaves_nothing_behind() -> None:
    class Strict(Wire):
        async def send(self, message: Message) -> None:
            if message["op"] == "chat":
                await Link(None).send(message)  # type: ignore[arg-type]
            await super().send(message)

    wire = Strict()
    session = session_of(wire)
    with pytest.raises(BackendError, match="the conversation has") as caught:
        await session.ask({"op": "chat", "messages": ["x" * 2**24]})
    assert caught.value.code == "conversation_too_long"
    assert session._answers == {}
    await session.close()


async def test_who_leaves_while_asking_leaves_no_answer_behind() -> None:
    wire = Wire()
    session = session_of(wire)
    await session.connect()
    await wire.heard("ping")
    wire.holds.clear()  # as a pipe that is full does
    wire.is_asked.clear()
    asking = asyncio.create_task(session.ask({"op": "chat"}))
    await wire.is_asked.wait()
    (answer_id,) = session._answers
    asking.cancel()
    wire.holds.set()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert (await wire.heard("cancel"))["id"] == answer_id
    assert session._answers == {}
    await session.close()


async def test_that_an_answer_is_left_is_told_until_the_worker_knows() -> None:
    before, after, last = Wire(), Wire(), Wire()
    session = session_of(before, after, last)
    answering = await session.ask({"op": "chat"})
    await session.leave(answering)  # into a pipe whose other end is dead already
    before.drop()
    assert (await after.heard("done"))["id"] == answering.id
    after.say({"event": "forgotten", "id": answering.id})
    after.say({"event": "pong"})
    after.drop()
    while session._link is not last:
        await session.changes()
    await session.settle()
    assert "cancel" not in [each["op"] for each in last.sent]
    await session.close()
