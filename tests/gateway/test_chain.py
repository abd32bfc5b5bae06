"""Tries and fallbacks: who is asked, how often, with what, and what the client is told of it."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from tests.fakes import FakeBackend, FakeClient, Turn, answer, chunk, forever, whole_answer
from trueup import events
from trueup.backends.base import Capabilities, Limits
from trueup.errors import AdaptError, BackendError, CapacityError, RequestError
from trueup.events import BreakerChanged, Event, FallbackTaken, RequestFinished, RetryStarted
from trueup.gateway.app import Gateway
from trueup.gateway.auth import Access
from trueup.gateway.breaker import FAILURES_TO_OPEN, LET_THROUGH, Breakers
from trueup.gateway.learning import MAX_LESSONS
from trueup.gateway.outlet import ClientLimits
from trueup.gateway.retry import RetryBudget, RetryPolicy, is_unhealthy
from trueup.gateway.router import Served, ServedRole
from trueup.gateway.serving import Serving

BODY = {"model": "talk", "messages": [{"role": "user", "content": "hi"}]}
JSON = {"content-type": "application/json"}
AT_ONCE = RetryPolicy(first_pause_seconds=0)
# Errors keep an HTTP status of their own, however slow the machine is.
PATIENT = ClientLimits(grace_seconds=3600, heartbeat_seconds=3600)
GOOD = Turn(answer("right"))
GOOD_WHOLE = Turn([whole_answer("right")], headers=JSON)
REFUSED = BackendError("nobody listens", retryable=True, code="backend_unreachable")


def failing(status: int, **headers: str) -> Turn:
    return Turn([b'{"error":{"message":"no"}}'], status, {**JSON, **headers})


def foreign(*turns: Turn, name: str = "far", **more: Any) -> FakeBackend:
    capabilities = Capabilities(limits=Limits(total_seconds=60), **more)
    return FakeBackend(turns=turns, name=name, capabilities=capabilities, is_foreign=True)


def gateway(
    *backends: FakeBackend,
    policy: RetryPolicy = AT_ONCE,
    limits: ClientLimits = PATIENT,
) -> Gateway:
    serving = Serving(policy=policy, limits=limits)
    chain = tuple(Served(id=each.name, kind="chat", backend=each) for each in backends)
    serving.router.open(*chain, roles=[ServedRole(id="talk", chain=chain)])
    return Gateway(serving, Access(()))


async def ask(app: Gateway, **changes: Any) -> FakeClient:
    client = FakeClient(body={**BODY, **changes}, headers=JSON)
    await app(client.scope, client.receive, client.send)
    assert client.is_ended
    return client


@pytest.fixture
def told() -> Any:
    heard: list[Event] = []
    stop = events.subscribe(heard.append)
    yield heard
    stop()


@pytest.mark.parametrize("is_stream", [True, False])
@pytest.mark.parametrize(
    "first",
    [
        failing(500),
        failing(502),
        failing(503, **{"retry-after": "0"}),
        failing(429, **{"retry-after": "0"}),
        failing(408),
        Turn([REFUSED]),
        Turn(),
        Turn([b"<html>"], headers={"content-type": "text/html"}),
        Turn([b'{"error":"x"}'], headers=JSON),
        Turn([b"null"], headers=JSON),
    ],
)
async def test_what_passes_is_asked_again_of_the_same(first: Turn, is_stream: bool) -> None:
    backend = foreign(first, GOOD if is_stream else GOOD_WHOLE)
    client = await ask(gateway(backend), stream=is_stream)
    assert (client.status, client.text) == (200, "right")
    assert backend.open_count == backend.closed_count == 2
    assert client.headers["x-trueup-tries"] == "2"
    assert client.headers["x-trueup-backend"] == "far"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
async def test_what_does_not_pass_is_not_asked_again_but_elsewhere(
    status: int, told: list[Event]
) -> None:
    backend, second = foreign(failing(status)), foreign(GOOD_WHOLE, name="second")
    alone = await ask(gateway(backend))
    # A key that a backend refuses is not the client's.
    told_status = 502 if status in (401, 403) else status
    assert (alone.status, backend.open_count) == (told_status, 1)
    client = await ask(gateway(backend, second))
    assert (client.status, client.text, backend.open_count) == (200, "right", 2)
    assert client.headers["x-trueup-backend"] == "second"
    fallbacks = [(e.before, e.after) for e in told if isinstance(e, FallbackTaken)]
    assert fallbacks == [("far", "second")]


async def test_where_nobody_answers_the_first_ones_error_is_told() -> None:
    app = gateway(foreign(failing(404)), foreign(failing(500), name="second"))
    client = await ask(app)
    assert (client.status, client.json["error"]["source"]) == (404, "far")
    assert client.headers["x-trueup-tries"] == "4"


async def test_tries_end(told: list[Event]) -> None:
    backend = foreign(failing(500))
    client = await ask(gateway(backend), stream=True)
    assert (client.status, backend.open_count) == (500, 3)
    assert [e.code for e in told if isinstance(e, RetryStarted)] == ["backend_error"] * 2
    (finished,) = [e for e in told if isinstance(e, RequestFinished)]
    assert (finished.outcome, finished.tries, finished.backend) == ("failed", 3, "far")


async def test_a_server_that_wants_long_is_not_waited_for_and_the_client_is_told() -> None:
    backend = foreign(failing(429, **{"retry-after": "3600"}))
    client = await ask(gateway(backend))
    assert (client.status, client.headers["retry-after"]) == (429, "3600")
    assert backend.open_count == 1


async def test_a_busy_server_is_not_waited_for_where_there_is_another() -> None:
    busy, second = foreign(failing(429, **{"retry-after": "5"})), foreign(GOOD_WHOLE, name="b")
    client = await ask(gateway(busy, second))
    assert (client.text, busy.open_count, second.open_count) == ("right", 1, 1)


async def test_a_server_whose_streams_break_is_asked_whole() -> None:
    cut = Turn([chunk()])
    backend = foreign(cut, cut, GOOD_WHOLE)
    client = await ask(gateway(backend), stream=True)
    assert (client.text, client.events[-1]) == ("right", b"[DONE]")
    assert [orjson.loads(r.body)["stream"] for r in backend.requests] == [True, True, False]


async def test_a_whole_answer_that_stays_away_is_asked_for_as_a_stream() -> None:
    backend = foreign(Turn(), Turn(), GOOD)
    client = await ask(gateway(backend))
    assert client.text == "right"
    assert client.json["object"] == "chat.completion"
    sent = orjson.loads(backend.requests[2].body)
    assert (sent["stream"], sent["stream_options"]) == (True, {"include_usage": True})


async def test_a_server_that_only_stops_when_a_stream_is_left_is_asked_for_streams() -> None:
    backend = foreign(GOOD, whole_by_stream=True)
    client = await ask(gateway(backend))
    assert client.text == "right"
    assert orjson.loads(backend.requests[0].body)["stream"] is True


async def test_sse_for_a_whole_answer_and_json_for_a_stream_are_both_understood() -> None:
    assert (await ask(gateway(foreign(GOOD)))).text == "right"
    streamed = await ask(gateway(foreign(GOOD_WHOLE)), stream=True)
    assert (streamed.text, streamed.events[-1]) == ("right", b"[DONE]")


async def test_one_of_our_own_without_room_is_not_asked_again() -> None:
    full = FakeBackend(before=[CapacityError("full", status=429)], name="own")
    assert (await ask(gateway(full))).status == 429
    assert full.open_count == 1
    second = foreign(GOOD_WHOLE, name="second")
    assert (await ask(gateway(full, second))).text == "right"


async def test_a_model_that_the_check_refuses_is_passed_over() -> None:
    refused = FakeBackend(before=[AdaptError("it cannot run")], name="own")
    client = await ask(gateway(refused, foreign(GOOD_WHOLE, name="second")))
    assert client.text == "right"
    assert client.headers["x-trueup-backend"] == "second"


async def test_what_one_of_our_own_cannot_do_another_may() -> None:
    own = FakeBackend([whole_answer()], headers=JSON, name="own")
    tools = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
    client = await ask(gateway(own, foreign(GOOD_WHOLE, name="second")), tools=tools)
    assert (client.text, own.open_count) == ("right", 0)
    alone = await ask(gateway(own), tools=tools)
    assert (alone.status, alone.json["error"]["source"]) == (400, "trueup")


async def test_a_backend_that_keeps_failing_is_passed_over_until_a_probe_answers(
    told: list[Event],
) -> None:
    far, second = foreign(failing(500)), foreign(GOOD_WHOLE, name="second")
    app = gateway(far, second)
    now = [100.0]
    app.serving.breakers._clock = lambda: now[0]
    for _ in range(FAILURES_TO_OPEN):
        assert (await ask(app)).text == "right"
    asked = far.open_count
    await ask(app)
    assert far.open_count == asked, "an open breaker lets nobody through"
    far.turns = [GOOD_WHOLE]
    now[0] += 60
    assert (await ask(app)).headers["x-trueup-backend"] == "far"
    states = [e.state for e in told if isinstance(e, BreakerChanged)]
    assert states == ["open", "half-open", "closed"]


async def test_an_open_breaker_refuses_nobody_who_has_nowhere_else_to_go() -> None:
    far = foreign(failing(500))
    app = gateway(far)
    for _ in range(FAILURES_TO_OPEN):
        await ask(app)
    assert app.serving.breakers.state("far") == "open"
    far.turns = [GOOD_WHOLE]
    assert (await ask(app)).text == "right"
    assert app.serving.breakers.state("far") == "closed"


async def test_those_who_hang_in_front_of_an_open_breaker_hold_up_nobody() -> None:
    is_asked = asyncio.Event()

    async def hang() -> None:
        is_asked.set()
        await asyncio.Event().wait()

    far = foreign(failing(500))
    app = gateway(far)
    for _ in range(FAILURES_TO_OPEN):
        await ask(app)
    far.turns = [Turn([hang])]
    hanging = [asyncio.create_task(ask(app)) for _ in range(LET_THROUGH + 1)]
    await is_asked.wait()
    far.turns = [GOOD_WHOLE]
    assert (await ask(app)).text == "right"
    for each in hanging:
        each.cancel()
    await asyncio.wait(hanging)


def test_retries_are_a_share_of_the_requests_and_a_few_more() -> None:
    now = [0.0]
    budget = RetryBudget(lambda: now[0])
    free = int(RetryBudget.FREE_PER_SECOND * RetryBudget.WINDOW_SECONDS)
    for _ in range(100):
        budget.note_request()
    allowed = free + int(RetryBudget.SHARE * 100)
    assert [budget.take() for _ in range(allowed + 2)] == [True] * allowed + [False] * 2
    now[0] += RetryBudget.WINDOW_SECONDS + 1
    assert budget.take()


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RequestError("x"), False),
        (CapacityError("x", status=429), False),
        (CapacityError("x", status=503), True),
        (BackendError("x", retryable=True, code="backend_silent", status=504), True),
        (BackendError("x", retryable=True, code="stream_malformed", status=502), True),
        (BackendError("x", retryable=True, code="tool_call_malformed", status=502), False),
        (BackendError("x", retryable=True, code="answer_rejected", status=502), False),
        (BackendError("x", retryable=True, code="choices_missing", status=502), False),
        (BackendError("x", retryable=True, code="too_many_files", status=502), False),
        (AdaptError("x"), False),
    ],
)
def test_what_speaks_against_a_backend(error: Exception, expected: bool) -> None:
    assert is_unhealthy(error) is expected  # type: ignore[arg-type]


def test_pauses_grow_and_end() -> None:
    policy = RetryPolicy(first_pause_seconds=1, longest_pause_seconds=4)
    broken = BackendError("x", retryable=True)
    pauses = [policy.pause_seconds(broken, tries, 1.0) for tries in range(1, 6)]
    assert pauses == [1, 2, 4, 4, 4]
    assert policy.pause_seconds(broken, 1, 0.0) == 0.5
    assert policy.pause_seconds(REFUSED, 5, 1.0) == policy.restart_pause_seconds
    assert policy.pause_seconds(CapacityError("x", retry_after_seconds=7), 1, 0.0) == 7


async def test_the_clients_patience_ends_the_tries() -> None:
    backend = foreign(failing(500))
    backend.capabilities = Capabilities(limits=Limits(total_seconds=1e6))
    policy = RetryPolicy(first_pause_seconds=3600, longest_pause_seconds=3600)
    client = await ask(gateway(backend, policy=policy))
    assert (client.status, backend.open_count) == (500, 1)


async def test_a_server_that_was_well_is_waited_for_while_it_restarts() -> None:
    policy = RetryPolicy(first_pause_seconds=0, restart_seconds=3600)
    backend = foreign(GOOD_WHOLE, *[Turn([REFUSED])] * 9, GOOD_WHOLE)
    app = gateway(backend, policy=policy)
    assert (await ask(app)).text == "right"
    client = await ask(app)
    assert (client.text, client.headers["x-trueup-tries"]) == ("right", "10")


async def test_a_server_that_never_answered_is_not_waited_for() -> None:
    policy = RetryPolicy(first_pause_seconds=0, restart_seconds=3600)
    backend = foreign(Turn([REFUSED]))
    client = await ask(gateway(backend, policy=policy))
    assert (client.status, backend.open_count) == (502, policy.max_tries)


async def test_a_server_that_stays_away_is_not_waited_for_by_every_request() -> None:
    now = [0.0]
    policy = RetryPolicy(first_pause_seconds=0, restart_seconds=10)
    backend = foreign(GOOD_WHOLE, *[Turn([REFUSED])] * 5, GOOD_WHOLE, Turn([REFUSED]))
    app = gateway(backend, policy=policy)
    app.serving.breakers = Breakers(lambda: now[0])
    await ask(app)
    breaker = app.serving.breakers.of("far")
    breaker.failed()
    now[0] += 11
    client = await ask(app)
    assert (client.status, backend.open_count) == (502, 1 + policy.max_tries)


async def test_who_restarts_is_not_waited_for_where_there_is_another() -> None:
    policy = RetryPolicy(first_pause_seconds=0, restart_seconds=3600)
    backend, second = foreign(GOOD_WHOLE, Turn([REFUSED])), foreign(GOOD_WHOLE, name="second")
    app = gateway(backend, second, policy=policy)
    await ask(app)
    client = await ask(app)
    assert (client.text, client.headers["x-trueup-backend"]) == ("right", "second")
    assert backend.open_count == 1 + policy.max_tries


async def test_a_silent_server_whose_answers_are_paid_for_is_not_asked_twice() -> None:
    silent = BackendError("x", retryable=True, code="backend_silent", status=504)
    backend = foreign(Turn([silent]), asks_again=False)
    client = await ask(gateway(backend))
    assert (client.status, backend.open_count) == (504, 1)


async def test_a_request_that_cannot_be_meant_is_asked_of_nobody(told: list[Event]) -> None:
    first, second = foreign(GOOD_WHOLE), foreign(GOOD_WHOLE, name="second")
    client = await ask(gateway(first, second), temperature=9)
    assert (client.status, first.open_count, second.open_count) == (400, 0, 0)
    assert "x-trueup-backend" not in client.headers
    assert not [e for e in told if isinstance(e, FallbackTaken)]
    (finished,) = [e for e in told if isinstance(e, RequestFinished)]
    assert (finished.backend, finished.tries) == (None, 0)


@pytest.mark.parametrize("is_first", [True, False])
async def test_the_error_that_a_client_can_mend_is_told_whoever_said_it(is_first: bool) -> None:
    picky, down = foreign(failing(400), name="picky"), foreign(Turn([REFUSED]), name="down")
    client = await ask(gateway(*((picky, down) if is_first else (down, picky))))
    assert (client.status, client.json["error"]["source"]) == (400, "picky")
    assert client.headers["x-trueup-backend"] == "picky"


async def test_a_backend_that_is_down_costs_a_wrong_request_one_try(told: list[Event]) -> None:
    picky, down = foreign(failing(400), name="picky"), foreign(Turn([REFUSED]), name="down")
    app = gateway(picky, down)
    for _ in range(FAILURES_TO_OPEN):
        await ask(app)
    before = down.open_count
    assert (await ask(app)).status == 400
    assert down.open_count == before + 1


async def test_a_probe_is_one_of_a_request_that_is_asked(told: list[Event]) -> None:
    now = [0.0]
    flaky = foreign(failing(500), name="flaky")
    good = foreign(GOOD_WHOLE, name="good")
    app = gateway(good, flaky)
    app.serving.breakers = Breakers(lambda: now[0])
    breaker = app.serving.breakers.of("flaky")
    for _ in range(FAILURES_TO_OPEN):
        await ask(app, model="flaky")
    now[0] += 3600
    for _ in range(3):
        assert (await ask(app)).headers["x-trueup-backend"] == "good"
    assert breaker.state == "open", "nobody probed it"


async def test_a_request_that_a_backend_finds_wrong_shows_that_it_is_well() -> None:
    app = gateway(foreign(failing(500), failing(500), failing(500), failing(400), failing(500)))
    assert [(await ask(app)).status for _ in range(2)] == [500, 400]
    assert app.serving.breakers.of("far").failures == 0


async def test_a_key_that_a_backend_refuses_is_not_the_clients() -> None:
    client = await ask(gateway(foreign(failing(401))))
    error = client.json["error"]
    assert (client.status, error["code"]) == (502, "backend_unauthorized")
    assert "`far` refuses the key" in error["message"]
    assert "backends.far" in error["hint"]


@pytest.mark.parametrize(
    ("turn", "words"),
    [
        (failing(500), "`far` says: no"),
        (Turn([], 302, {"location": "/login"}), "`far` answered with status 302 and sends to `/lo"),
        (Turn([b"[]"], headers=JSON), "`far` answered with status 200"),
    ],
)
async def test_what_a_backend_does_is_told_with_its_name(turn: Turn, words: str) -> None:
    error = (await ask(gateway(foreign(turn)))).json["error"]
    assert error["message"].startswith(words)
    assert (error["where"], error["hint"]) == (
        "far",
        "see what it can do: trueup backends check far",
    )


async def test_a_limit_that_shrinks_with_every_try_is_not_followed_for_ever() -> None:
    class Shrinking(FakeBackend):
        def __init__(self) -> None:
            super().__init__(name="far", is_foreign=True, capabilities=Capabilities())

        @property
        def turns(self) -> Any:
            told = f"max_tokens must be at most {999 - self.open_count}"
            return [Turn([orjson.dumps({"error": {"message": told}})], 400, JSON)]

        @turns.setter
        def turns(self, turns: Any) -> None:
            pass

    backend = Shrinking()
    client = FakeClient(
        body={**BODY, "max_tokens": 2000},
        headers={**JSON, "x-trueup-profile": "langchain-chatchat"},
    )
    await gateway(backend)(client.scope, client.receive, client.send)
    assert 2 <= backend.open_count <= MAX_LESSONS + 1


@pytest.mark.parametrize(
    ("words", "is_kept"),
    [
        ("Streaming is not supported", True),
        ("streaming is not supported for this model", True),
        ("Streaming is not supported when top_k is set", False),
        ("stream is not supported together with logprobs", False),
        ("streaming with n > 1 is not supported", False),
        ("top_p: streaming is unsupported here", False),
    ],
)
async def test_who_does_not_stream_in_some_company_is_not_taken_for_who_never_does(
    words: str, is_kept: bool
) -> None:
    refusal = Turn([orjson.dumps({"error": {"message": words}})], 400, JSON)
    backend = foreign(refusal, GOOD_WHOLE, name=words)  # what is learned is kept by name
    app = gateway(backend)
    client = await ask(app, stream=True, top_p=0.5)
    assert (client.text, client.events[-1]) == ("right", b"[DONE]")
    assert ("stream" in app.serving.lessons.of(backend, "talk")) is is_kept


async def test_a_stream_for_a_whole_answer_may_stay_open_after_its_end() -> None:
    backend = foreign(Turn([*answer("right"), forever]))
    client = await ask(gateway(backend))
    assert (client.status, client.text, backend.open_count) == (200, "right", 1)


@pytest.mark.parametrize("cut", [1, 3, 5])
@pytest.mark.parametrize("is_stream", [True, False])
async def test_a_stream_is_known_by_its_first_bytes_however_they_come(
    cut: int, is_stream: bool
) -> None:
    whole = b"".join(answer("right"))
    backend = foreign(Turn([b"\n", whole[:cut], whole[cut:]], headers=JSON))
    client = await ask(gateway(backend), stream=is_stream)
    assert (client.status, client.text, backend.open_count) == (200, "right", 1)
