"""What a client is told of how its answer came about, in headers or at its end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.fakes import FakeBackend, FakeClient, Turn, answer
from tests.gateway.test_chain import BODY, JSON, foreign, gateway
from tests.gateway.test_recovery import delta, finish_chunk
from trueup.backends.base import BackendRequest, BackendResponse
from trueup.gateway.outlet import ClientLimits

BEATING_AT_ONCE = ClientLimits(grace_seconds=0)
UNKNOWN = b'{"error":{"message":"Unknown parameter: \'seed\'","code":"unknown_parameter"}}'


class Slow(FakeBackend):
    """Says nothing before the headers have left to `client`."""

    client: FakeClient

    @asynccontextmanager
    async def open(self, request: BackendRequest) -> AsyncIterator[BackendResponse]:
        await self.client.got_piece.wait()
        async with super().open(request) as response:
            yield response


async def ask_slowly(*turns: Turn, then: tuple[FakeBackend, ...] = (), **fields: Any) -> FakeClient:
    slow = Slow(turns=turns, name="slow", is_foreign=True)
    slow.client = FakeClient(body={**BODY, "stream": True, **fields}, headers=JSON)
    app = gateway(slow, *then, limits=BEATING_AT_ONCE)
    await app(slow.client.scope, slow.client.receive, slow.client.send)
    assert slow.client.headers["x-trueup-backend"] == "slow"
    assert slow.client.headers["x-trueup-tries"] == "1"
    return slow.client


async def test_a_parameter_that_was_dropped_after_the_headers_left_is_told_at_the_end() -> None:
    client = await ask_slowly(Turn([UNKNOWN], 400, JSON), Turn(answer("right")), seed=3)
    assert "x-trueup-dropped" not in client.headers
    assert finish_chunk(client)["trueup"] == {"tries": 2, "dropped": ["seed"]}


async def test_a_fallback_that_was_taken_after_the_headers_left_is_told_at_the_end() -> None:
    second = foreign(Turn(answer("right")), name="second")
    client = await ask_slowly(Turn(status=404), then=(second,))
    assert finish_chunk(client)["trueup"] == {"backend": "second", "tries": 2}


async def test_what_the_headers_said_is_not_said_again() -> None:
    whole = [delta({"content": "a"}), delta({}, "stop"), b"data: [DONE]\n\n"]
    client = await ask_slowly(Turn(whole))
    assert "trueup" not in finish_chunk(client)
    begun = foreign(Turn(status=500), Turn(whole))
    client = FakeClient(body={**BODY, "stream": True}, headers=JSON)
    await gateway(begun)(client.scope, client.receive, client.send)
    assert client.headers["x-trueup-tries"] == "2"
    assert "trueup" not in finish_chunk(client)
