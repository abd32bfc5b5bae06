"""POST /v1/forecasts at the gateway: JSON and CSV, streams of bars, what breaks and goes on."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from tests.fakes import FakeBackend, FakeClient, Turn, forever, whole_answer
from trueup.errors import BackendError
from trueup.events import ContinuationStarted, Event, RequestFinished, subscribe
from trueup.gateway.app import Gateway
from trueup.gateway.auth import Access
from trueup.gateway.router import Served, ServedAlias, ServedRole
from trueup.gateway.serving import Serving

JSON = {"content-type": "application/json"}
CSV = {"content-type": "text/csv"}
AS_TABLE = {"accept": "text/csv"}
PATH = "/v1/forecasts"
CANDLES = {
    "timestamps": ["2026-06-29", "2026-06-30"],
    "open": [1, 2],
    "high": [3, 4.5],
    "low": [0.5, 1],
    "close": [2, 3],
}
ASKED = {"model": "kronos", "horizon": 2, "series": [CANDLES]}
TABLE = b"date,open,high,low,close\n2026-06-29,1,3,0.5,2\n2026-06-30,2,4.5,1,3\n"
PRICES = ("open", "high", "low", "close", "volume", "amount")
DONE = b"data: [DONE]\n\n"
BROKEN = BackendError("the worker ended", retryable=True, code="worker_failed")


def columns(*values: float) -> dict[str, list[float]]:
    return {name: list(values) for name in PRICES}


def row(name: str = "0", **more: Any) -> dict[str, Any]:
    return {
        "id": name,
        "timestamps": ["2026-07-01T00:00:00", "2026-07-02T00:00:00"],
        "mean": columns(1.5, 2),
        "quantiles": {"0.5": columns(1, 2)},
        "p_close_up": [0.5, 0.25],
        "expected_range": [1, 1],
        "remarks": [],
        **more,
    }


def whole(*rows: dict[str, Any]) -> bytes:
    shape = {
        "id": "forecast-1",
        "object": "forecast",
        "model": "kronos",
        "forecasts": rows or [row()],
        "usage": {"bars_in": 2, "bars_out": 2, "sampled_bars": 60},
    }
    return orjson.dumps(shape)


def event(data: bytes) -> bytes:
    return b"data: %b\n\n" % data


def bar(step: int, close: float = 1.5) -> bytes:
    bars = [{"id": "0", "timestamp": f"2026-07-0{step + 1}", "mean": {"close": close}}]
    shape = {"object": "forecast.bar", "model": "kronos", "step": step, "bars": bars}
    return event(orjson.dumps(shape))


STREAM = (bar(0), bar(1), event(whole()), DONE)


class Bench:
    """A gateway with a forecasting model, a spare one, a chat model, a role and an alias."""

    def __init__(self, *turns: Turn, spare: Turn | None = None) -> None:
        self.kronos = FakeBackend(turns=turns or [Turn([whole()], headers=JSON)])
        self.spare = FakeBackend(turns=[spare or Turn([whole()], headers=JSON)], name="spare")
        self.chat = FakeBackend([whole_answer()], headers=JSON)
        self.serving = Serving()
        kronos = Served(id="kronos", kind="forecast", backend=self.kronos)
        spare_one = Served(id="spare", kind="forecast", backend=self.spare)
        role = ServedRole(id="market_forecast", chain=(kronos, spare_one))
        self.serving.router.open(
            kronos,
            spare_one,
            Served(id="demo", kind="chat", backend=self.chat),
            roles=(role, ServedAlias(id="forecaster", target=role)),
        )
        self._gateway = Gateway(self.serving, Access([]), log=None)
        self.events: list[Event] = []

    async def ask(
        self, body: Any = ASKED, headers: Any = JSON, query: str = "", path: str = PATH
    ) -> FakeClient:
        client = self.client(body, headers, query, path)
        await self.run(client)
        assert client.is_ended
        return client

    def client(
        self, body: Any, headers: Any = JSON, query: str = "", path: str = PATH
    ) -> FakeClient:
        client = FakeClient("POST", path, body, headers)
        client.scope["query_string"] = query.encode()
        return client

    async def run(self, client: FakeClient) -> None:
        unsubscribe = subscribe(self.events.append)
        try:
            await self._gateway(client.scope, client.receive, client.send)
        finally:
            unsubscribe()

    def told(self, kind: type[Event]) -> list[Any]:
        return [each for each in self.events if type(each) is kind]


def error_of(client: FakeClient) -> Any:
    return client.json["error"]


async def test_a_forecast_passes_byte_for_byte_and_its_bars_are_counted() -> None:
    bench = Bench()
    client = await bench.ask()
    assert (client.status, client.body) == (200, whole())
    assert client.headers["x-trueup-backend"] == "fake"
    (request,) = bench.kronos.requests
    assert not request.is_stream
    (finished,) = bench.told(RequestFinished)
    assert (finished.bars_in, finished.bars_out) == (2, 2)
    assert finished.prompt_tokens is None


async def test_a_seed_is_drawn_where_the_client_has_none() -> None:
    bench = Bench()
    await bench.ask()
    await bench.ask({**ASKED, "seed": 7})
    drawn, given = (orjson.loads(each.body)["seed"] for each in bench.kronos.requests)
    assert given == 7
    assert 0 <= drawn < 2**53


@pytest.mark.parametrize("name", ["market_forecast", "forecaster"])
async def test_roles_and_aliases_answer(name: str) -> None:
    assert (await Bench().ask({**ASKED, "model": name})).status == 200


async def test_a_table_with_its_parameters_in_the_query_is_a_request() -> None:
    bench = Bench()
    query = "model=kronos&horizon=2&quantiles=0.1,0.9&temperature=0.5&repair=true&freq=1d"
    assert (await bench.ask(b"\xef\xbb\xbf" + TABLE, CSV, query)).status == 200
    asked = orjson.loads(bench.kronos.requests[0].body)
    asked.pop("seed")
    assert asked == {
        "model": "kronos",
        "horizon": 2,
        "quantiles": [0.1, 0.9],
        "temperature": 0.5,
        "repair": True,
        "freq": "1d",
        "csv": TABLE.decode(),
    }


async def test_an_answer_as_a_table() -> None:
    paths = [columns(1, 1), columns(2, 3)]
    bench = Bench(Turn([whole(row("A", paths=paths), row("B", paths=paths))], headers=JSON))
    client = await bench.ask(headers={**JSON, **AS_TABLE})
    assert client.headers["content-type"] == "text/csv; charset=utf-8"
    lines = client.body.decode().splitlines()
    assert lines[0].startswith("series,timestamps,open,high,low,close,volume,amount,p_close_up,")
    assert "close_0.5" in lines[0]
    assert lines[0].endswith("amount_sample_2")
    assert [line.split(",")[:3] for line in lines[1:]] == [
        [name, day, value]
        for name in "AB"
        for day, value in (("2026-07-01", "1.5"), ("2026-07-02", "2"))
    ]
    alone = await Bench().ask(headers={**JSON, "accept": "text/csv;q=1, */*;q=0.1"})
    assert alone.body.startswith(b"timestamps,open,")


@pytest.mark.parametrize(
    ("query", "body", "param", "words"),
    [
        ("horizon=2", TABLE, "model", "`model` is missing"),
        ("model=kronos", TABLE, "horizon", "`horizon` is missing"),
        ("model=kronos&horizon=two", TABLE, "horizon", "expected a number"),
        ("model=kronos&horizon=2&repair=perhaps", TABLE, "repair", "`true` or `false`"),
        ("model=kronos&horizon=2&quantiles=a", TABLE, "quantiles", "with commas between"),
        ("model=kronos&horizon=2&sample=2", TABLE, "sample", "is not a parameter"),
        ("model=kronos&horizon=2&horizon=3", TABLE, "horizon", "is there twice"),
        ("model=kronos&horizon=2&csv=a", TABLE, "csv", "the body itself"),
        ("model=kronos&horizon=2", b"", None, "the body is empty"),
        ("model=kronos&horizon=2", b"\xff\xfe", None, "not UTF-8: byte 0xff at offset 0"),
        ("model=m&horizon=2&temperature=nan", TABLE, "temperature", "expected a number"),
        ("model=m&horizon=2&quantiles=0.1,inf", TABLE, "quantiles", "expected numbers"),
        ("&".join(f"a{n}=1" for n in range(100)), TABLE, None, "the query cannot be read"),
    ],
)
async def test_a_table_that_cannot_be_meant(
    query: str, body: bytes, param: str | None, words: str
) -> None:
    bench = Bench()
    client = await bench.ask(body, CSV, query)
    assert (client.status, error_of(client)["param"]) == (400, param)
    assert words in error_of(client)["message"]
    assert bench.kronos.open_count == 0


async def test_a_stream_is_no_table() -> None:
    client = await Bench().ask({**ASKED, "stream": True}, {**JSON, **AS_TABLE})
    assert (client.status, error_of(client)["param"]) == (400, "stream")


async def test_a_body_of_another_type_is_refused() -> None:
    client = await Bench().ask(TABLE, {"content-type": "text/plain"}, "model=kronos&horizon=2")
    assert client.status == 415


@pytest.mark.parametrize(
    ("model", "path", "words"),
    [
        ("demo", PATH, "the model `demo` gives text, not forecasts"),
        ("kronos", "/v1/chat/completions", "the model `kronos` gives forecasts, not text"),
        ("forecaster", "/v1/embeddings", "the model `forecaster` gives forecasts, not embeddings"),
    ],
)
async def test_a_model_of_another_kind_is_refused(model: str, path: str, words: str) -> None:
    bench = Bench()
    body = {**ASKED, "model": model, "messages": [], "input": "a"}
    client = await bench.ask(body, path=path)
    error = error_of(client)
    assert (client.status, error["code"], error["param"]) == (400, "model_kind", "model")
    assert words in error["message"]
    assert bench.kronos.open_count == bench.chat.open_count == 0


async def test_what_is_no_forecast_is_asked_for_again_and_then_told() -> None:
    bench = Bench(Turn([b'{"object":"forecast","forecasts":['], headers=JSON))
    client = await bench.ask()
    assert client.status == 502
    assert error_of(client)["code"] == "answer_incomplete"
    assert bench.kronos.open_count == 3


async def test_bars_stream_as_they_come_and_the_whole_ends_them() -> None:
    bench = Bench(Turn(STREAM))
    client = await bench.ask({**ASKED, "stream": True})
    assert client.body == b"".join(STREAM)
    assert client.headers["content-type"] == "text/event-stream"
    (finished,) = bench.told(RequestFinished)
    assert (finished.outcome, finished.chunks, finished.bars_out) == ("answered", 3, 2)


async def test_a_broken_stream_is_asked_for_again_and_goes_on_where_the_client_stands() -> None:
    bench = Bench(Turn([bar(0), BROKEN]), Turn(STREAM))
    client = await bench.ask({**ASKED, "stream": True})
    first, second, last, done = client.events
    assert (first, second, done) == (bar(0)[6:-2], bar(1)[6:-2], b"[DONE]")
    told = orjson.loads(last)
    assert told.pop("trueup") == {"tries": 2, "continuations": 1, "exact": True}
    assert told == orjson.loads(whole())
    one, other = (each.body for each in bench.kronos.requests)
    assert one == other  # with the same seed
    (continued,) = bench.told(ContinuationStarted)
    assert continued.how == "asked_again"


async def test_another_forecast_is_never_joined_to_what_the_client_has() -> None:
    other = Turn([bar(0, close=9.0), bar(1), event(whole()), DONE])
    bench = Bench(Turn([bar(0), BROKEN]), other)
    client = await bench.ask({**ASKED, "stream": True})
    first, error, done = client.events
    assert (first, done) == (bar(0)[6:-2], b"[DONE]")
    told = orjson.loads(error)["error"]
    assert told["code"] == "stream_incomplete"
    assert "after 1 events of bars, of a horizon of 2" in told["message"]
    assert bench.kronos.open_count == 2


async def test_another_model_of_a_role_goes_on_only_where_it_says_the_same() -> None:
    body = {**ASKED, "model": "market_forecast", "stream": True}
    bench = Bench(Turn([bar(0), BROKEN]), spare=Turn(STREAM))
    client = await bench.ask(body)
    assert client.events[:2] == [bar(0)[6:-2], bar(1)[6:-2]]
    assert orjson.loads(client.events[2])["trueup"]["backend"] == "spare"
    bench = Bench(Turn([bar(0), BROKEN]), spare=Turn([bar(0, 9.0), DONE]))
    client = await bench.ask(body)
    assert len(client.events) == 3
    assert orjson.loads(client.events[1])["error"]["code"] == "stream_incomplete"


@pytest.mark.parametrize(
    "steps",
    [
        [bar(0), bar(1), DONE],
        [bar(0), bar(1)],
        [bar(0), event(b"{]")],
        [bar(0), event(b"[]")],
        [bar(0), event(b'{"object":"chat.completion.chunk"}')],
        [bar(0), event(b'{"error":{"message":"no","code":"engine_failed"}}'), DONE],
        [bar(0), bar(1)[:20]],
    ],
)
async def test_a_stream_without_its_whole_ends_in_one_error(steps: list[Any]) -> None:
    client = await Bench(Turn(steps)).ask({**ASKED, "stream": True})
    *bars, error, done = client.events
    assert bars[0] == bar(0)[6:-2]
    assert orjson.loads(error)["error"]["code"] == "stream_incomplete"
    assert done == b"[DONE]"


async def test_a_complete_stream_stays_complete_whatever_comes_after() -> None:
    client = await Bench(Turn([*STREAM[:3], BROKEN])).ask({**ASKED, "stream": True})
    assert client.body == b"".join(STREAM)


async def test_a_failure_before_the_first_bar_has_its_own_status() -> None:
    body = b'{"error":{"message":"the time x is none","code":"invalid_value","param":"timestamps"}}'
    client = await Bench(Turn([body], 400, JSON)).ask({**ASKED, "stream": True})
    assert (client.status, error_of(client)["param"]) == (400, "timestamps")


async def test_a_client_that_cannot_bear_error_events_gets_one_all_the_same() -> None:
    from dataclasses import replace

    bench = Bench(Turn([bar(0), bar(1), DONE]))
    client = bench.client({**ASKED, "stream": True})
    gateway = Gateway(bench.serving, Access([]), log=None)
    check = gateway._access.check

    def checked(exchange: Any) -> None:
        check(exchange)
        exchange.profile = replace(exchange.profile, error_events=False)

    gateway._access.check = checked  # type: ignore[method-assign]
    await gateway(client.scope, client.receive, client.send)
    assert orjson.loads(client.events[-2])["error"]["code"] == "stream_incomplete"


async def test_a_client_that_leaves_cancels_the_forecast() -> None:
    bench = Bench(Turn([bar(0), forever]))
    client = bench.client({**ASKED, "stream": True})
    running = asyncio.create_task(bench.run(client))
    await client.got_piece.wait()
    assert (snapshot := next(iter(bench.serving.answering)).snapshot())["tokens"] == 1
    assert snapshot["path"] == PATH
    client.leave()
    await asyncio.wait_for(bench.kronos.closed.wait(), 10)
    await running
    assert bench.told(RequestFinished)[0].outcome == "left"


async def test_a_server_that_stops_tells_so() -> None:
    bench = Bench(Turn([bar(0), forever]))
    client = bench.client({**ASKED, "stream": True})
    running = asyncio.create_task(bench.run(client))
    await client.got_piece.wait()
    bench.serving.stop_answers()
    await running
    assert orjson.loads(client.events[-2])["error"]["code"] == "server_stopping"
    assert client.events[-1] == b"[DONE]"
