from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from tests.forecasting.stand_in import StandIn, minutes, series_of, sessions
from trueup.errors import RequestError
from trueup.forecasting import backtest as module
from trueup.forecasting.backtest import backtest
from trueup.forecasting.bars import Series
from trueup.forecasting.baselines import persistence, seasonal_naive
from trueup.forecasting.forecast import Request, forecast_series

REQUEST = Request(horizon=10, samples=8, seed=1, lookback=40)


def run(series: Series, forecaster: Any = None, **options: Any) -> Any:
    return backtest(forecaster or StandIn(), [series], REQUEST, **options)


def seen(series: Series) -> list[dict[str, Any]]:
    """What the model and the baselines were given at each of three origins, the oldest first."""
    shown, given = StandIn(), []
    with pytest.MonkeyPatch.context() as patch:
        for name in ("persistence", "seasonal_naive"):
            line = getattr(module, name)

            def noted(closes: Any, *rest: Any, line: Any = line) -> Any:
                given.append(np.append(closes, rest[:-1]))  # closes, horizon, season
                return line(closes, *rest)

            patch.setattr(module, name, noted)
        run(series, shown, origins=3)
    return [
        {
            "bars": window.bars,
            "past": window.past,
            "future": window.future,
            "persistence": given[2 * at],
            "seasonal naive": given[2 * at + 1],
        }
        for at, window in enumerate(shown.windows)
    ]


def leaks() -> set[str]:
    """What is another where all that came after an origin is: values and times."""
    series = series_of(sessions(6))
    plain, found = seen(series), set()
    for origin in range(3):
        cut = len(series) - 10 * (3 - origin)
        values, times = series.values.copy(), series.timestamps.copy()
        values[cut:] = values[cut:][::-1] * 3 + 7
        times[cut:] += np.timedelta64(3, "D")
        other = seen(replace(series, values=values, timestamps=times))
        for at in range(origin + 1):
            pairs = ((name, plain[at][name], other[at][name]) for name in plain[at])
            found |= {name for name, one, two in pairs if not np.array_equal(one, two)}
    return found


def test_nothing_after_an_origin_reaches_its_forecast() -> None:
    """Changing all that came, values and times, changes neither a window nor a baseline."""
    assert leaks() == set()


def one_bar_more(series: Series, place: int) -> Series:
    return series.between(0, place + 1)


def everything(series: Series, place: int) -> Series:
    return series


def scaled_by_all(series: Series, place: int) -> Series:
    known = series.between(0, place)
    return replace(known, values=known.values / series.values.std(axis=0))


def filled_from_behind(series: Series, place: int) -> Series:
    known = series.between(0, place)
    known.values[-1] = series.values[place]
    return known


BARS = {"bars", "persistence", "seasonal naive"}


@pytest.mark.parametrize(
    ("known", "leaked"),
    [
        (one_bar_more, BARS | {"past", "future"}),
        (everything, BARS | {"past", "future"}),
        (scaled_by_all, BARS),
        (filled_from_behind, BARS),
    ],
)
def test_a_backtest_that_leaks_would_be_found(
    known: Any, leaked: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = module._cases

    def cases(series: Series, *rest: Any) -> Any:
        made = honest(series, *rest)
        return [replace(each, known=known(series, len(each.known))) for each in made]

    monkeypatch.setattr(module, "_cases", cases)
    assert leaks() == leaked


def test_a_backtest_that_is_given_the_times_that_came_would_be_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    honest = module._cases
    came: list[Any] = []

    def cases(*words: Any) -> Any:
        made = honest(*words)
        came[:] = [each.actual.timestamps for each in made]
        return made

    monkeypatch.setattr(module, "_cases", cases)
    monkeypatch.setattr(module, "forecast_series", partial(forecast_series, futures=came))
    assert leaks() == {"future"}


def test_a_window_ends_at_its_origin_and_owns_its_memory() -> None:
    series = series_of(sessions(6))
    stand_in = StandIn()
    run(series, stand_in, origins=3, stride=7)
    ends = [len(series) - 10 - 7 * back for back in (2, 1, 0)]
    for window, end in zip(stand_in.windows, ends, strict=True):
        assert np.array_equal(window.bars, series.values[end - 40 : end])
        base = window.bars
        while base.base is not None:
            base = base.base
        assert len(base) <= end  # what it is a view of holds no bar that came


def test_a_forecaster_that_knows_what_comes_would_be_seen_to() -> None:
    """The scores are of the true bars: one who knows them has no error, the others have."""
    series = series_of(sessions(6))

    class Clairvoyant(StandIn):
        def sample(self, windows: Any, horizon: int, *, samples: int, **options: Any) -> Any:
            ends = [int(np.flatnonzero(series.values[:, 3] == w.bars[-1, 3])[-1]) for w in windows]
            truth = [series.values[end + 1 : end + 1 + horizon] for end in ends]
            return np.stack([np.repeat(t[None], samples, axis=0) for t in truth]).astype(np.float32)

    scores = {score.name: score for score in run(series, Clairvoyant(), origins=4).scores}
    assert scores["model"].mae < 1e-6
    assert scores["model"].direction == 1.0
    assert scores["persistence"].mae > 0.001
    assert scores["persistence"].direction is None


def test_scores_are_what_they_are_called() -> None:
    closes = np.arange(60, dtype=float)
    values = np.repeat(closes[:, None], 6, axis=1)
    series = Series(name="", timestamps=minutes(60), values=values)
    result = run(series, origins=2)
    scores = {score.name: score for score in result.scores}
    # A close that rises by 1 a bar: persistence is off by the step, 5.5 on average.
    assert scores["persistence"].mae == pytest.approx(5.5)
    assert scores["persistence"].mase == pytest.approx(5.5)
    assert scores["persistence"].mae_by_step == pytest.approx(tuple(range(1, 11)))
    assert scores["persistence"].coverage == 1.0
    assert scores["model"].direction is not None
    assert (result.forecasts, result.origins, result.stride) == (2, 2, 10)
    assert result.interval == (0.1, 0.9)


def test_constant_prices_have_no_mase_and_no_direction() -> None:
    series = Series(name="", timestamps=minutes(60), values=np.full((60, 6), 3.0))
    for score in run(series, origins=2).scores:
        assert score.mase is None
        assert score.direction is None


def test_too_short_a_history_is_told_or_refused() -> None:
    result = run(series_of(minutes(35)), origins=5)
    assert (result.forecasts, result.origins) == (3, 5)
    assert any("only 3 of 5 origins" in remark for remark in result.remarks)
    with pytest.raises(RequestError, match="too few for a backtest"):
        run(series_of(minutes(11)), origins=1)


def test_other_times_than_came_are_told() -> None:
    times = np.delete(sessions(8), np.arange(6 * 48, 7 * 48))  # a holiday
    result = run(series_of(times[: 6 * 48 + 5]), origins=1)
    assert any("other times than the bars that came" in remark for remark in result.remarks)


def test_several_series_are_scored_together() -> None:
    many = [series_of(minutes(90), "A", 1), series_of(minutes(90), "B", 2)]
    result = backtest(StandIn(), many, REQUEST, origins=2)  # type: ignore[arg-type]
    assert result.forecasts == 4


@pytest.mark.parametrize("options", [{"origins": 0}, {"stride": 0}])
def test_no_origin_and_no_stride_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(RequestError):
        run(series_of(minutes(90)), **options)


def test_an_interval_needs_two_quantiles() -> None:
    with pytest.raises(RequestError, match="two quantiles"):
        backtest(
            StandIn(),  # type: ignore[arg-type]
            [series_of(minutes(90))],
            Request(horizon=5, quantiles=(0.5,)),
        )


def test_the_seasonal_baseline_repeats_the_last_season() -> None:
    closes = np.arange(1, 9, dtype=float)
    found = seasonal_naive(closes, 5, 3, (0.1, 0.9))
    assert found.close.tolist() == [6.0, 7.0, 8.0, 6.0, 7.0]
    assert (found.low[0], found.high[0]) == (9.0, 9.0)  # all moves over 3 bars were 3
    assert seasonal_naive(closes, 3, 8, (0.1, 0.9)).close.tolist() == [8.0, 8.0, 8.0]


def test_persistence_has_no_interval_where_the_history_is_too_short() -> None:
    found = persistence(np.array([1.0, 2.0, 4.0]), 4, (0.0, 1.0))
    assert found.close.tolist() == [4.0] * 4
    assert found.low[:2].tolist() == [5.0, 7.0]
    assert np.isnan(found.high[2:]).all()


def test_the_frequency_that_is_given_tells_the_season_of_irregular_bars() -> None:
    gaps = np.random.default_rng(0).integers(1, 2000, 100)
    times = np.datetime64("2024-01-01", "ns") + np.cumsum(gaps) * np.timedelta64(1, "m")
    series = series_of(times)
    with pytest.raises(RequestError, match="no regular step"):
        run(series)
    found = backtest(StandIn(), [series], replace(REQUEST, freq="1h"), origins=1)
    assert [each.name for each in found.scores] == ["model", "persistence", "seasonal naive"]
