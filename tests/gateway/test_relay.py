"""What the client is sent is what counts as delivered, whoever is slow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import orjson
import pytest

from tests.fakes import answer
from trueup.backends.base import BackendResponse, Capabilities, Take
from trueup.errors import BackendError
from trueup.gateway.deadline import Deadline
from trueup.gateway.delivery import Delivery
from trueup.gateway.reading import StreamReading
from trueup.gateway.relay import Relay

PIECES = answer(*(f"{number} " for number in range(50)))


class Slow:
    """A client that takes every third piece at once, and turns of the loop for the others."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self._offers = 0

    def write_now(self, out: bytes) -> bool:
        self._offers += 1
        if self._offers % 3:
            return False
        self.pieces.append(out)
        return True

    async def write(self, out: bytes) -> None:
        for _ in range(5):
            await asyncio.sleep(0)
        self.pieces.append(out)

    def keep(self, out: bytes) -> None:
        self.pieces.append(out)


async def body(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        await asyncio.sleep(0)
        yield piece


def pumped(*pieces: bytes) -> BackendResponse:
    """A response that calls back, as connections do."""
    rest = list(pieces)

    async def pump(take: Take) -> bool:
        while rest:
            await asyncio.sleep(0)
            if not take(rest.pop(0)):
                return False
        return True

    return BackendResponse(status=200, headers={}, body=body(), pump=pump)


async def relayed(response: BackendResponse, sink: Slow, deadline: Deadline) -> StreamReading:
    delivery = Delivery(choices=1, is_chat=True)
    reading = StreamReading(delivery, Capabilities())
    await Relay(reading, sink, deadline, lambda: None, 3600).run(b"", response)
    assert text_of(sink.pieces) == "".join(delivery.choices[0].text)
    return reading


def response_of(kind: str) -> BackendResponse:
    return (
        pumped(*PIECES)
        if kind == "pumped"
        else BackendResponse(status=200, headers={}, body=body(*PIECES))
    )


def text_of(pieces: list[bytes]) -> str:
    events = b"".join(pieces).split(b"\n\n")
    shapes = [orjson.loads(e[6:]) for e in events if e.startswith(b"data: {")]
    return "".join(s["choices"][0]["delta"].get("content") or "" for s in shapes)


@pytest.mark.parametrize("kind", ["iterated", "pumped"])
async def test_every_piece_arrives_in_order_at_a_slow_client(kind: str) -> None:
    sink = Slow()
    with Deadline(3600) as deadline:
        reading = await relayed(response_of(kind), sink, deadline)
    assert (reading.fault, reading.is_complete) == (None, True)
    assert text_of(sink.pieces) == "".join(f"{number} " for number in range(50))


@pytest.mark.parametrize("kind", ["iterated", "pumped"])
async def test_no_piece_that_counts_as_delivered_is_lost_when_the_time_is_over(kind: str) -> None:
    delivery = Delivery(choices=1, is_chat=True)
    reading = StreamReading(delivery, Capabilities())
    sink = Slow()
    with Deadline(3600, end_at=asyncio.get_running_loop().time()) as deadline:
        await Relay(reading, sink, deadline, lambda: None, 3600).run(PIECES[0], response_of(kind))
    assert deadline.has_passed
    assert not reading.is_complete
    assert text_of(sink.pieces) == "".join(delivery.choices[0].text) != ""


async def test_what_waits_to_be_written_when_all_is_cut_is_kept() -> None:
    async def pump(take: Take) -> bool:
        take(PIECES[0])  # which the client does not take at once
        raise asyncio.CancelledError

    sink = Slow()
    response = BackendResponse(status=200, headers={}, body=body(), pump=pump)
    with Deadline(3600) as deadline, pytest.raises(asyncio.CancelledError):
        await relayed(response, sink, deadline)
    assert text_of(sink.pieces) == "0 "


async def test_a_body_that_breaks_off_is_a_fault_after_what_came() -> None:
    async def breaking() -> AsyncIterator[bytes]:
        yield PIECES[0]
        raise BackendError("gone", retryable=True, code="backend_broke_off")

    sink = Slow()
    response = BackendResponse(status=200, headers={}, body=breaking())
    with Deadline(3600) as deadline:
        reading = await relayed(response, sink, deadline)
    assert reading.fault is not None
    assert reading.fault.cause == "gone"
    assert text_of(sink.pieces) == "0 "


async def test_a_role_shortens_no_wait_for_the_first_token() -> None:
    def said(delta: dict[str, str]) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": None}
        return b"data: " + orjson.dumps({"id": "x", "choices": [choice]}) + b"\n\n"

    seconds = []

    async def pump(take: Take) -> bool:
        for each in (said({"content": "a"}), said({"content": "b"})):
            seconds.append(deadline.seconds)
            take(each)
        return True

    reading = StreamReading(Delivery(choices=1, is_chat=True), Capabilities())
    response = BackendResponse(status=200, headers={}, body=body(), pump=pump)
    first = said({"role": "assistant", "content": ""})
    with Deadline(3600) as deadline:
        await Relay(reading, Slow(), deadline, lambda: None, 60).run(first, response)
    assert seconds == [3600, 60]
