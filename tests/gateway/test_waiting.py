"""How long a backend that fails is asked again: for whom it is waited, and for whom not."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from tests.fakes import FakeBackend, FakeClient, Turn, answer
from tests.gateway.test_chain import GOOD_WHOLE, JSON, REFUSED, ask, failing, foreign, gateway
from trueup.backends.base import Accepts, Capabilities, Limits
from trueup.config.settings import PROFILES
from trueup.errors import BackendError, CapacityError
from trueup.gateway.app import Gateway
from trueup.gateway.breaker import Breakers
from trueup.gateway.retry import RetryPolicy
from trueup.gateway.tries import MAX_SPELLS

AT_ONCE = RetryPolicy(first_pause_seconds=0, restart_seconds=3600)
BUSY = CapacityError("full", status=429, retry_after_seconds=0.0, code="queue_full")
DOWN = CapacityError("starting", status=503, retry_after_seconds=0.0)
BROKEN = BackendError("no", retryable=True)
REJECTED = BackendError("no JSON", retryable=True, code="answer_rejected")
CHATCHAT = {**JSON, "x-trueup-profile": "langchain-chatchat"}


async def as_chatchat(app: Gateway) -> FakeClient:
    client = FakeClient(
        body={"model": "talk", "messages": [{"role": "user", "content": "hi"}]}, headers=CHATCHAT
    )
    await app(client.scope, client.receive, client.send)
    return client


@pytest.mark.parametrize(
    ("error", "more", "is_waited"),
    [
        (BROKEN, {}, False),
        (BROKEN, {"retry_seconds": 15.0}, True),
        (BROKEN, {"retry_seconds": 5.0}, False),
        (BROKEN, {"recovery_seconds": 30.0}, True),
        (BROKEN, {"recovery_seconds": 30.0, "failing_seconds": 31.0}, False),
        (BROKEN, {"was_well": True}, False),
        (REFUSED, {"was_well": True}, True),
        (REFUSED, {"was_well": False}, False),
        (REFUSED, {"was_well": True, "seconds": 10.5}, False),
        (REFUSED, {"was_well": True, "failing_seconds": 11.0}, False),
        (DOWN, {"recovery_seconds": 30.0}, True),
        (BUSY, {"recovery_seconds": 30.0}, False),
        (BUSY, {"retry_seconds": 15.0}, True),
        (REJECTED, {"recovery_seconds": 30.0, "retry_seconds": 15.0}, False),
    ],
)
def test_who_is_waited_for(error: Any, more: dict[str, Any], is_waited: bool) -> None:
    told: dict[str, Any] = {
        "seconds": 8.0,
        "failing_seconds": 8.0,
        "was_well": False,
        "recovery_seconds": 0.0,
        "retry_seconds": 0.0,
    }
    assert RetryPolicy().waits(error, **(told | more)) is is_waited


def test_a_server_that_asks_for_no_patience_is_given_some() -> None:
    policy = RetryPolicy(first_pause_seconds=1.0)
    assert policy.pause_seconds(DOWN, 1, 1.0) == 1.0
    assert policy.pause_seconds(DOWN, 3, 1.0) == 4.0
    slow = CapacityError("x", status=503, retry_after_seconds=9.0)
    assert policy.pause_seconds(slow, 1, 1.0) == 9.0


async def test_a_client_that_would_rather_wait_is_waited_for() -> None:
    backend = foreign(*[failing(500)] * 9, GOOD_WHOLE)
    client = await as_chatchat(gateway(backend, policy=AT_ONCE))
    assert (client.text, client.headers["x-trueup-tries"]) == ("right", "10")


async def test_nobody_waits_for_a_server_that_recovers_where_there_is_another() -> None:
    backend = foreign(failing(500), recovery_seconds=3600.0)
    second = foreign(GOOD_WHOLE, name="second")
    client = await ask(gateway(backend, second, policy=AT_ONCE))
    assert (client.text, client.headers["x-trueup-backend"]) == ("right", "second")
    assert backend.open_count == AT_ONCE.max_tries


async def test_an_answer_that_a_check_rejects_is_not_waited_for() -> None:
    accepts = Accepts(ignored=frozenset({"response_format"}))
    backend = foreign(GOOD_WHOLE, recovery_seconds=3600.0, accepts=accepts)
    client = await ask(gateway(backend, policy=AT_ONCE), response_format={"type": "json_object"})
    assert (client.status, backend.open_count) == (502, AT_ONCE.max_tries)


class Poisoned(FakeBackend):
    """Closes on one request, and between its tries answers all others."""

    def open(self, request: Any) -> Any:
        is_poison = b"poison" in request.body
        self.turns = [Turn([REFUSED])] if is_poison else [GOOD_WHOLE]
        if is_poison:
            self.poisoned += 1
            self.serving_breakers.of(self.name).succeeded()  # somebody else was answered
        return super().open(request)

    poisoned = 0
    serving_breakers: Breakers


async def test_a_request_that_a_server_cannot_bear_is_not_asked_as_long_as_it_answers_others() -> (
    None
):
    backend = Poisoned(
        name="far", is_foreign=True, capabilities=Capabilities(limits=Limits(total_seconds=60))
    )
    app = gateway(backend, policy=AT_ONCE)
    backend.serving_breakers = app.serving.breakers
    client = await ask(app, user="poison")
    assert client.status == 502
    assert backend.poisoned <= AT_ONCE.max_tries + MAX_SPELLS


async def slow() -> None:
    await asyncio.sleep(0)  # others first
    await asyncio.Event().wait()


async def test_a_healthy_server_is_asked_for_a_stream_where_its_whole_answer_takes_long() -> None:
    limits = Limits(connect_seconds=0.01, first_token_seconds=0.01, total_seconds=60)
    first = FakeBackend(
        name="first",
        is_foreign=True,
        capabilities=Capabilities(limits=limits),
        turns=[Turn([slow], headers=JSON), Turn(answer("slow"))],
    )
    second = foreign(GOOD_WHOLE, name="second")
    app = gateway(first, second, policy=AT_ONCE)
    client = await ask(app)
    assert (client.text, client.headers["x-trueup-backend"]) == ("slow", "first")
    assert app.serving.breakers.of("first").failures == 0


async def test_a_rejected_answer_closes_the_breaker_of_who_gave_it() -> None:
    now = [0.0]
    backend = foreign(*[failing(500)] * 6, GOOD_WHOLE)
    second = foreign(GOOD_WHOLE, name="second")
    app = gateway(backend, second, policy=AT_ONCE)
    app.serving.breakers = Breakers(lambda: now[0])
    for _ in range(2):
        await ask(app)
    assert app.serving.breakers.state("far") == "open"
    now[0] += 100
    backend.turns = [failing(429, **{"retry-after": "3600"})]
    await ask(app)
    assert app.serving.breakers.state("far") == "closed"


async def test_a_500_that_is_understood_opens_no_breaker() -> None:
    words = orjson.dumps({"error": {"message": "tools is not supported"}})
    backend = foreign(Turn([words], 500, JSON))
    app = gateway(backend, policy=AT_ONCE)
    tools = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
    for _ in range(9):
        client = await ask(app, tools=tools)
        error = client.json["error"]
        assert "says: tools is not supported" in error["message"]
        assert "drop: [tools]" in error["hint"]
    assert app.serving.breakers.state("far") == "closed"


def test_the_built_in_profile_waits() -> None:
    assert PROFILES["langchain-chatchat"].retry_seconds > 10  # Xinference takes that long


async def test_the_whole_answer_of_who_was_silent_is_not_waited_for_without_end() -> None:
    limits = Limits(connect_seconds=0.01, first_token_seconds=0.01, total_seconds=60)
    backend = FakeBackend(
        [slow], name="far", is_foreign=True, capabilities=Capabilities(limits=limits)
    )
    client = await ask(gateway(backend, policy=AT_ONCE), stream=True)
    assert (client.status, backend.open_count) == (504, AT_ONCE.max_tries)
    asked = [orjson.loads(each.body)["stream"] for each in backend.requests]
    assert asked == [True, True, False]
