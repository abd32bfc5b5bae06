"""What is counted, under which names, and that nobody can make the counting grow."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as families_of
from prometheus_client.parser import text_string_to_metric_families

from tests.fakes import FakeBackend, FakeClient, answer, whole_answer
from trueup.config.secret import Secret
from trueup.config.settings import ApiKey
from trueup.errors import BackendError
from trueup.events import (
    BreakerChanged,
    ContinuationStarted,
    Event,
    FallbackTaken,
    FirstTokenSent,
    MemoryMeasured,
    ModelStateChanged,
    ParameterDropped,
    RequestFinished,
    RequestStarted,
    RetryStarted,
)
from trueup.gateway.app import Gateway
from trueup.gateway.auth import Access
from trueup.gateway.metrics import MAX_WORDS, Metrics
from trueup.gateway.retry import RetryPolicy
from trueup.gateway.router import Served
from trueup.gateway.serving import Serving

CHAT = {"model": "demo", "messages": [{"role": "user", "content": "hi"}]}
VLLM = {"model_name": "demo", "engine": "0"}


def started(request_id: str = "r", *, at: float = 0.0, is_stream: bool = True) -> Event:
    return RequestStarted(
        at_seconds=at, request_id=request_id, model="demo", path="/v1", is_stream=is_stream
    )


def finished(request_id: str = "r", **facts: Any) -> Event:
    facts = {"outcome": "answered", "status": 200, "chunks": 3, "seconds": 2.0, **facts}
    return RequestFinished(at_seconds=2.0, request_id=request_id, model="demo", **facts)


class Scrape:
    """The samples of a scrape by name and labels."""

    def __init__(self, body: bytes) -> None:
        families = list(text_string_to_metric_families(body.decode()))
        self.samples = {
            (sample.name, *sorted(sample.labels.items())): sample.value
            for family in families
            for sample in family.samples
        }

    def of(self, name: str, **labels: str) -> float | None:
        return self.samples.get((name, *sorted(labels.items())))

    def count(self, name: str) -> int:
        return sum(key[0] == name for key in self.samples)


def scrape(*events: Event, now: float = 10.0) -> Scrape:
    metrics = Metrics(clock=lambda: now)
    for event in events:
        metrics.note(event)
    return Scrape(metrics.render("")[0])


def test_an_answer_is_counted_under_the_names_of_vllm() -> None:
    shown = scrape(
        started(),
        FirstTokenSent(at_seconds=0.5, request_id="r", model="demo", seconds=0.5),
        finished(
            backend="glm",
            prompt_tokens=12,
            completion_tokens=4,
            first_token_seconds=0.5,
            finish_reasons=("length",),
        ),
    )
    assert shown.of("vllm:request_success_total", **VLLM, finished_reason="length") == 1
    assert shown.of("vllm:prompt_tokens_total", **VLLM) == 12
    assert shown.of("vllm:generation_tokens_total", **VLLM) == 4
    assert shown.of("vllm:time_to_first_token_seconds_sum", **VLLM) == 0.5
    assert shown.of("vllm:e2e_request_latency_seconds_sum", **VLLM) == 2.0
    for name in ("inter_token_latency", "request_time_per_output_token"):
        assert shown.of(f"vllm:{name}_seconds_sum", **VLLM) == pytest.approx(0.5)
        assert shown.of(f"vllm:{name}_seconds_count", **VLLM) == 1
    assert shown.of("vllm:request_prompt_tokens_bucket", **VLLM, le="20.0") == 1
    assert shown.of("vllm:request_generation_tokens_bucket", **VLLM, le="2.0") == 0
    assert shown.of("trueup_requests_total", model="demo", backend="glm", outcome="answered") == 1


def test_one_token_has_no_time_between_tokens_and_a_whole_answer_no_first_one() -> None:
    shown = scrape(
        *(started("a"), finished("a", completion_tokens=1, first_token_seconds=0.1)),
        *(started("b", is_stream=False), finished("b", completion_tokens=9)),
    )
    assert shown.of("vllm:inter_token_latency_seconds_count", **VLLM) == 0
    assert shown.of("vllm:time_to_first_token_seconds_count", **VLLM) == 1
    assert shown.of("vllm:e2e_request_latency_seconds_count", **VLLM) == 2


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"outcome": "failed", "code": "stream_incomplete"}, "error"),
        ({"outcome": "left", "status": None}, "abort"),
        ({"finish_reasons": ("stop", "length")}, "stop"),
        ({"finish_reasons": ("eos_token",)}, "unknown"),
        ({}, "stop"),
    ],
)
def test_how_a_request_ended_is_one_of_few_words(facts: dict[str, Any], reason: str) -> None:
    shown = scrape(started(), finished(**facts))
    assert shown.of("vllm:request_success_total", **VLLM, finished_reason=reason) == 1
    failed = 1 if reason == "error" else None
    assert shown.of("trueup_errors_total", model="demo", code="stream_incomplete") == failed


def test_open_streams_are_told_with_the_age_of_the_oldest() -> None:
    first = FirstTokenSent(at_seconds=4.0, request_id="a", model="demo", seconds=1.0)
    shown = scrape(
        *(started("a", at=3.0), started("b", at=8.0), started("c", at=1.0, is_stream=False)),
        first,
        *(started("d"), finished("d")),
    )
    assert shown.of("trueup_streams_open", model="demo") == 2
    assert shown.of("trueup_stream_oldest_age_seconds", model="demo") == 7.0
    assert shown.of("vllm:num_requests_running", **VLLM) == 2
    assert shown.of("vllm:num_requests_waiting", **VLLM) == 1


def test_requests_of_the_same_id_are_all_over_in_the_end() -> None:
    shown = scrape(started(), started(), finished(), finished())
    assert shown.of("trueup_streams_open", model="demo") == 0
    assert shown.of("trueup_stream_oldest_age_seconds", model="demo") == 0
    assert shown.of("vllm:request_success_total", **VLLM, finished_reason="stop") == 2


def test_what_began_before_the_counting_is_not_half_counted() -> None:
    first = FirstTokenSent(at_seconds=4.0, request_id="r", model="demo", seconds=1.0)
    assert scrape(first, finished()).count("vllm:request_success_total") == 0


def test_everything_else_that_happens_has_a_name_of_ours() -> None:
    at = {"at_seconds": 0.0}
    shown = scrape(
        RetryStarted(**at, request_id="r", backend="xin", code="timeout"),
        FallbackTaken(**at, request_id="r", before="xin", after="glm", code="timeout"),
        ContinuationStarted(**at, request_id="r", backend="glm", how="prefix"),
        ParameterDropped(**at, request_id="r", backend="xin", parameter="seed"),
        BreakerChanged(**at, backend="xin", state="open"),
        BreakerChanged(**at, backend="xin", state="half-open"),
        ModelStateChanged(**at, model_id="glm", before="starting", after="ready"),
        MemoryMeasured(**at, model_id="glm", memory_bytes=123),
    )
    assert shown.of("trueup_retries_total", backend="xin", code="timeout") == 1
    assert shown.of("trueup_fallbacks_total", before="xin", after="glm", code="timeout") == 1
    assert shown.of("trueup_continuations_total", backend="glm", how="prefix") == 1
    assert shown.of("trueup_parameters_dropped_total", backend="xin", parameter="seed") == 1
    states = {"closed": 0, "open": 0, "half-open": 1}
    for state, value in states.items():
        assert shown.of("trueup_breaker_state", backend="xin", state=state) == value
    assert shown.of("trueup_model_state", model="glm", state="ready") == 1
    assert shown.of("trueup_model_state", model="glm", state="starting") == 0
    assert shown.of("trueup_model_memory_bytes", model="glm") == 123


def test_words_that_others_choose_make_only_so_many_series() -> None:
    at = {"at_seconds": 0.0, "request_id": "r", "backend": "xin"}
    codes = [RetryStarted(**at, code=f"code-{number}") for number in range(500)]
    names = [ParameterDropped(**at, parameter="x" * number) for number in range(500)]
    shown = scrape(*codes, *names)
    assert shown.count("trueup_retries_total") == MAX_WORDS + 1
    assert shown.of("trueup_retries_total", backend="xin", code="other") == 500 - MAX_WORDS
    assert shown.count("trueup_parameters_dropped_total") == MAX_WORDS + 1


def test_two_gateways_count_apart() -> None:
    one, other = Metrics(), Metrics()
    one.note(started())
    one.note(finished())
    assert b'model_name="demo"' in one.render("")[0]
    assert b'model_name="demo"' not in other.render("")[0]


@contextlib.contextmanager
def watching(backend: FakeBackend, *keys: str) -> Iterator[Gateway]:
    serving = Serving(policy=RetryPolicy(first_pause_seconds=0))
    serving.router.open(Served(id="demo", kind="chat", backend=backend))
    gateway = Gateway(serving, Access([ApiKey.of(Secret(key)) for key in keys]))
    with gateway.watching():
        yield gateway


async def ask(gateway: Gateway, *arguments: Any, **more: Any) -> FakeClient:
    client = FakeClient(*arguments, **more)
    await gateway(client.scope, client.receive, client.send)
    return client


async def shown_by(gateway: Gateway) -> Scrape:
    return Scrape((await ask(gateway, "GET", "/metrics")).body)


async def test_requests_to_the_gateway_are_counted() -> None:
    with watching(FakeBackend(answer("a", "b"))) as gateway:
        await ask(gateway, body={**CHAT, "stream": True})
        await ask(gateway, body={**CHAT, "model": "nope"})
        await ask(gateway, body=b"{")
        shown = await shown_by(gateway)
    assert shown.of("vllm:request_success_total", **VLLM, finished_reason="stop") == 1
    assert shown.of("vllm:time_to_first_token_seconds_count", **VLLM) == 1
    assert shown.of("trueup_refusals_total", code="model_not_found") == 1
    assert shown.of("trueup_refusals_total", code="invalid_json") == 1
    assert not any("nope" in str(key) for key in shown.samples)


async def test_an_error_is_counted_once_and_not_as_a_refusal() -> None:
    backend = FakeBackend(before=[BackendError("no", retryable=False, code="gone")])
    with watching(backend) as gateway:
        await ask(gateway, body=CHAT)
        shown = await shown_by(gateway)
    assert shown.of("trueup_errors_total", model="demo", code="gone") == 1
    assert shown.count("trueup_refusals_total") == 0


async def test_metrics_need_the_key_and_come_in_the_form_that_is_asked_for() -> None:
    with watching(FakeBackend(), "k") as gateway:
        assert (await ask(gateway, "GET", "/metrics")).status == 401
        headers = {"authorization": "Bearer k"}
        plain = await ask(gateway, "GET", "/metrics", headers=headers)
        assert plain.headers["content-type"].startswith("text/plain; version=")
        assert b"_created" not in plain.body
        accept = "application/openmetrics-text; version=1.0.0"
        other = await ask(gateway, "GET", "/metrics", headers={**headers, "accept": accept})
        assert other.headers["content-type"].startswith("application/openmetrics-text")
        assert other.body.endswith(b"# EOF\n")
        assert (await ask(gateway, "HEAD", "/metrics", headers=headers)).status == 200


OPENMETRICS = "application/openmetrics-text;version=1.0.0"


@pytest.mark.parametrize(
    "accept",
    [
        "text/plain",
        "text/plain;version=1.0.0;escaping=dots",
        f"{OPENMETRICS};q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
        "text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
        OPENMETRICS,
        "application/openmetrics-text",
        *(f"{OPENMETRICS};escaping={how}" for how in ("allow-utf-8", "underscores", "values")),
    ],
)
async def test_names_are_the_same_whatever_form_a_scraper_asks_for(accept: str) -> None:
    with watching(FakeBackend(answer("a"))) as gateway:
        await ask(gateway, body={**CHAT, "stream": True})
        scrape = await ask(gateway, "GET", "/metrics", headers={"accept": accept})
    is_open = scrape.headers["content-type"].startswith("application/openmetrics-text")
    assert is_open is accept.startswith("application/openmetrics-text")
    parse = families_of if is_open else text_string_to_metric_families
    samples = {each.name for family in parse(scrape.body.decode()) for each in family.samples}
    assert {"vllm:num_requests_running", "vllm:time_to_first_token_seconds_bucket"} <= samples
    assert {"vllm:request_success_total", "trueup_requests_total"} <= samples


async def test_nothing_is_counted_when_nobody_watches() -> None:
    with watching(FakeBackend()) as gateway:
        pass
    again = Gateway(gateway.serving, Access(()))
    assert (await ask(again, "GET", "/metrics")).status == 404


async def test_streams_are_listed_the_oldest_first_with_a_key() -> None:
    going = asyncio.Event()
    backend = FakeBackend([going.wait, *answer("a")])
    with watching(backend, "k") as gateway:
        headers = {"authorization": "Bearer k"}
        assert (await ask(gateway, "GET", "/api/streams")).status == 401
        waiting = []
        for request_id in ("one", "two"):
            more = {**headers, "x-request-id": request_id}
            body = {**CHAT, "stream": True}
            waiting.append(asyncio.create_task(ask(gateway, body=body, headers=more)))
            while len(backend.requests) < len(waiting):  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(0)
        listed = (await ask(gateway, "GET", "/api/streams", headers=headers)).json["streams"]
        going.set()
        await asyncio.gather(*waiting)
        after = (await ask(gateway, "GET", "/api/streams", headers=headers)).json["streams"]
    assert [each["request_id"] for each in listed] == ["one", "two"]
    assert listed[0]["model"] == "demo"
    assert listed[0]["age_seconds"] >= listed[1]["age_seconds"]
    assert after == []


async def test_a_whole_answer_has_its_tokens_counted() -> None:
    json = {"content-type": "application/json"}
    with watching(FakeBackend([whole_answer()], headers=json)) as gateway:
        await ask(gateway, body=CHAT)
        shown = await shown_by(gateway)
    assert shown.of("vllm:e2e_request_latency_seconds_count", **VLLM) == 1
    assert shown.of("vllm:time_to_first_token_seconds_count", **VLLM) == 0
