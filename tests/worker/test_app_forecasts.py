"""POST /v1/forecasts of a worker: on raw ASGI, over the model thread with a small real pair."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.kronos.directories import model_files, tokenizer_files, write
from tests.worker.fake_engine import fake_plan
from tests.worker.test_app import LIMIT_SECONDS, Client, until
from trueup.adapt.plan import Plan
from trueup.adapt.planning import plan_model
from trueup.engines.forecast import ForecastEngine, load_forecast_engine
from trueup.worker.app import App
from trueup.worker.model_thread import ModelThread

PATH = "/v1/forecasts"
DAYS = [f"2026-06-{day:02}" for day in range(1, 21)]
CLOSES = [10 + day % 3 for day in range(20)]
CANDLES = {
    "timestamps": DAYS,
    "open": CLOSES,
    "high": [each + 1 for each in CLOSES],
    "low": [each - 1 for each in CLOSES],
    "close": CLOSES,
}
ASKED = {"model": "m", "horizon": 3, "samples": 4, "seed": 5, "series": [CANDLES]}
TABLE = "Date,Open,High,Low,Close\n" + "".join(
    f"{day},{c},{c + 1},{c - 1},{c}\n" for day, c in zip(DAYS, CLOSES, strict=True)
)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> ForecastEngine:
    directory = write(tmp_path_factory.mktemp("models") / "kronos", model_files())
    write(directory / "tokenizer", tokenizer_files())
    return load_forecast_engine(Plan.from_dict(plan_model(str(directory)).as_dict()))


class Bench:
    def __init__(self, engine: Any, kind: str = "forecast") -> None:
        load: Callable[..., Any] = lambda plan, progress: engine  # noqa: E731
        self.model = ModelThread(fake_plan(kind=kind), load, lambda report: None)
        self.app = App(self.model)

    async def answer(self, path: str = PATH, **more: Any) -> Client:
        client = Client(self.app, path, {**ASKED, **more})
        await client.task
        return client


def run(engine: Any, main: Callable[[Bench], Coroutine[Any, Any, None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(LIMIT_SECONDS):
            bench = Bench(engine)
            bench.model.start()
            await until(lambda: bench.model.state == "ready")
            await main(bench)

    asyncio.run(limited())


def test_a_whole_forecast(engine: ForecastEngine) -> None:
    async def main(bench: Bench) -> None:
        said = (await bench.answer(return_samples=True)).json
        assert (said["object"], said["mode"], said["seed"]) == ("forecast", "exact", 5)
        assert said["usage"] == {"bars_in": 20, "bars_out": 3, "sampled_bars": 12}
        (row,) = said["forecasts"]
        assert row["id"] == "0"
        assert row["timestamps"][0] == "2026-06-21T00:00:00"
        assert list(row["quantiles"]) == ["0.1", "0.5", "0.9"]
        assert {len(row["mean"][name]) for name in row["mean"]} == {3}
        assert len(row["paths"]) == 4
        closes = [path["close"][0] for path in row["paths"]]
        assert row["mean"]["close"][0] == pytest.approx(sum(closes) / 4, rel=1e-5)
        assert all(0 <= share <= 1 for share in row["p_close_up"])
        assert any("no volume" in remark for remark in said["remarks"])

    run(engine, main)


def test_bars_of_a_stream_are_those_of_the_whole_and_come_again_with_the_seed(
    engine: ForecastEngine,
) -> None:
    async def main(bench: Bench) -> None:
        client = await bench.answer(stream=True, repair=True)
        assert client.headers[b"content-type"].startswith(b"text/event-stream")
        *bars, last, _ = client.events
        assert client.body.endswith(b"data: [DONE]\n\n")
        assert [each["step"] for each in bars] == [0, 1, 2]
        (row,) = last["forecasts"]
        for step, each in enumerate(bars):
            (bar,) = each["bars"]
            assert bar["timestamp"] == row["timestamps"][step]
            assert bar["mean"]["close"] == row["mean"]["close"][step]
            assert bar["quantiles"]["0.9"]["low"] == row["quantiles"]["0.9"]["low"][step]
        again = await bench.answer(stream=True, repair=True)
        assert again.events[:3] == bars

    run(engine, main)


def test_a_table_is_read_as_the_same_series(engine: ForecastEngine) -> None:
    async def main(bench: Bench) -> None:
        table = (await bench.answer(series=None, csv=TABLE)).json["forecasts"]
        series = (await bench.answer()).json["forecasts"]
        assert table[0]["mean"] == series[0]["mean"]
        assert table[0]["id"] == "0"

    run(engine, main)


def test_times_with_an_offset_keep_it_and_given_times_are_used(engine: ForecastEngine) -> None:
    async def main(bench: Bench) -> None:
        zoned = [f"{day}T09:00:00+08:00" for day in DAYS]
        future = [f"2026-07-0{day}T09:00:00+08:00" for day in (1, 2, 6)]
        shape = {**CANDLES, "id": "a", "timestamps": zoned, "future_timestamps": future}
        client = await bench.answer(series=[shape], stream=True)
        assert client.events[-2]["forecasts"][0]["timestamps"] == future
        assert client.events[0]["bars"][0]["timestamp"] == future[0]

    run(engine, main)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"close": [None, *CLOSES[1:]]}, "`close` is nan at 2026-06-01"),
        ({"close": [1e300, *CLOSES[1:]]}, "is inf as a 32-bit number"),
        ({"timestamps": ["yesterday", *DAYS[1:]]}, "`yesterday` is no time"),
        ({"timestamps": [DAYS[1], *DAYS[1:]]}, "comes more than once"),
        ({"future_timestamps": DAYS[:3]}, "2026-06"),
        ({"future_timestamps": ["2026-07-01"]}, "1 times are given for a horizon of 3"),
    ],
)
def test_bars_that_cannot_be_used_are_told_with_a_status(
    engine: ForecastEngine, more: dict[str, Any], words: str, stream: bool
) -> None:
    async def main(bench: Bench) -> None:
        client = await bench.answer(series=[{**CANDLES, **more}], stream=stream)
        assert client.status == 400, client.body
        assert words in client.json["error"]["message"]

    run(engine, main)


@pytest.mark.parametrize(("kind", "path"), [("forecast", "/v1/embeddings"), ("chat", PATH)])
def test_a_path_of_another_kind_is_refused(kind: str, path: str) -> None:
    async def main() -> None:
        client = await Bench(None, kind).answer(path)
        assert client.status == 400
        assert f"a model of kind `{kind}` does not answer" in client.json["error"]["message"]

    asyncio.run(main())


def test_series_of_unequal_length_do_not_see_what_memory_held_before(
    engine: ForecastEngine,
) -> None:
    short = {name: values[5:] for name, values in CANDLES.items()}
    series = [{**CANDLES, "id": "long"}, {**short, "id": "short"}]

    async def main(bench: Bench) -> None:
        said = []
        for _ in range(3):
            for size in (100, 1000, 10_000, 100_000):
                torch.full((size,), torch.nan)  # what is freed is given out again
            said.append((await bench.answer(series=series)).json["forecasts"])
        assert [each["id"] for each in said[0]] == ["long", "short"]
        assert said[0] == said[1] == said[2]

    run(engine, main)


class ScriptedEngine:
    """Tells of one bar, waits, and says whether it was cancelled."""

    def __init__(self, error: Exception | None = None) -> None:
        from trueup.engines.base import Work

        self.work = Work()
        self.error = error
        self.cancelled = threading.Event()

    def forecast(self, request: Any, on_bar: Any, is_cancelled: Callable[[], bool]) -> None:
        on_bar({"object": "forecast.bar", "step": 0})
        if self.error is not None:
            raise self.error
        while not is_cancelled():
            pass
        self.cancelled.set()


def test_a_client_that_leaves_cancels() -> None:
    engine = ScriptedEngine()

    async def main(bench: Bench) -> None:
        client = Client(bench.app, PATH, {**ASKED, "stream": True})
        await client.sent.wait()
        client.leave()
        await client.task
        await asyncio.to_thread(engine.cancelled.wait, LIMIT_SECONDS)
        assert engine.cancelled.is_set()

    run(engine, main)


def test_a_failure_after_the_first_bar_is_one_error_event() -> None:
    async def main(bench: Bench) -> None:
        client = await bench.answer(stream=True)
        assert client.status == 200
        bar, error, _ = client.events
        assert bar["step"] == 0
        assert error["error"]["code"] == "engine_failed"
        assert client.body.endswith(b"data: [DONE]\n\n")

    run(ScriptedEngine(ZeroDivisionError("odd")), main)


def test_files_that_changed_since_the_plan_are_not_loaded(tmp_path: Path) -> None:
    from trueup.errors import AdaptError

    directory = write(tmp_path / "kronos", model_files())
    tokenizer = write(directory / "tokenizer", tokenizer_files())
    plan = plan_model(str(directory))
    assert plan.forecast is not None
    assert plan.forecast.tokenizer.directory == str(tokenizer)
    (tokenizer / "config.json").write_text("{}")
    with pytest.raises(AdaptError, match="have changed since the plan"):
        load_forecast_engine(plan)


def test_a_forecast_in_bfloat16_says_so(tmp_path: Path) -> None:
    from trueup.adapt.wishes import Wishes

    directory = write(tmp_path / "kronos", model_files())
    write(directory / "tokenizer", tokenizer_files())
    plan = plan_model(str(directory), Wishes(dtype="bfloat16"))

    async def main(bench: Bench) -> None:
        said = (await bench.answer(stream=True)).events[-2]
        assert said["remarks"][0].startswith("computed in bfloat16")

    run(load_forecast_engine(plan), main)
