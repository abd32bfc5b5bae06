"""The client's end of a stream in the loop's time: when it is kept alive, when it is given up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from tests.fakes import FakeBackend, FakeClient, chunk
from tests.gateway.test_http import unreading
from tests.gateway.test_stream import QUICK, STREAM, gateway
from trueup.gateway import http
from trueup.gateway.exchange import WIRE, Exchange
from trueup.gateway.interruption import Interruptible
from trueup.gateway.outlet import ClientLimits, Outlet
from trueup.gateway.server import Server, listen
from trueup.gateway.sse import HEARTBEAT


class Clock:
    """A loop whose time is told to it; one timer at a time."""

    def __init__(self) -> None:
        self.now = 0.0
        self.due_at = 0.0

    def time(self) -> float:
        return self.now

    def call_later(self, seconds: float, call: Callable[[], None]) -> asyncio.TimerHandle:
        self.due_at, self.call = self.now + seconds, call
        return asyncio.get_running_loop().call_later(3600, lambda: None)

    async def go_to(self, seconds: float) -> None:
        while self.due_at <= seconds:
            self.now = self.due_at
            self.call()
            for _ in range(5):
                await asyncio.sleep(0)
        self.now = seconds


def outlet_for(client: FakeClient, limits: ClientLimits, clock: Clock) -> Outlet:
    exchange = Exchange(client.scope, client.receive, client.send)  # type: ignore[arg-type]
    outlet = Outlet(exchange, Interruptible(), limits, list)
    outlet._loop = clock  # type: ignore[assignment]
    outlet._wrote_at = clock.time()
    return outlet


async def test_a_heartbeat_comes_so_long_after_the_last_piece() -> None:
    client, clock = FakeClient(), Clock()
    with outlet_for(client, ClientLimits(grace_seconds=1, heartbeat_seconds=10), clock) as outlet:
        await outlet.write(b"a")
        await clock.go_to(1.5)
        await outlet.write(b"b")  # just after a look
        await clock.go_to(11.4)
        assert client.pieces == [b"a", b"b"]
        await clock.go_to(11.5)
        assert client.pieces == [b"a", b"b", HEARTBEAT]
        await clock.go_to(21.5)
        assert client.pieces == [b"a", b"b", HEARTBEAT, HEARTBEAT]


class Wire:
    """A connection that was ended or not."""

    def __init__(self) -> None:
        self.is_aborted = False

    def abort(self) -> None:
        self.is_aborted = True


@pytest.mark.parametrize("reads", [True, False])
async def test_who_does_not_read_the_end_keeps_no_connection(reads: bool) -> None:
    client, wire = FakeClient(), Wire()
    scope: dict[str, Any] = {**client.scope, "extensions": {WIRE: wire}}
    if not reads:
        client.reads.clear()
    exchange = Exchange(scope, client.receive, client.send)
    limits = ClientLimits(unread_seconds=3600 if reads else 0.01)
    await Outlet(exchange, Interruptible(), limits, list).close(b"last")
    assert (client.body, wire.is_aborted) == ((b"last", False) if reads else (b"", True))


async def test_a_stream_that_nobody_reads_leaves_no_connection_and_no_error_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lost = asyncio.Event()

    def note(self: Any, error: Exception | None) -> None:
        connection_lost(self, error)
        lost.set()

    connection_lost = http.Protocol.connection_lost
    monkeypatch.setattr(http.Protocol, "connection_lost", note)
    app = gateway(FakeBackend([chunk("x" * 2**20)] * 64), QUICK)
    body = orjson.dumps(STREAM)
    request = b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n" + (
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    )
    listener = listen("127.0.0.1", 0)
    address = listener.getsockname()
    async with Server(app, drain_seconds=0).running(listener), unreading(address, request):
        await lost.wait()
    assert [record for record in caplog.records if record.name.startswith("uvicorn")] == []
