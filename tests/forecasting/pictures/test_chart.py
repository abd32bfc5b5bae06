from __future__ import annotations

from dataclasses import replace
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from tests.forecasting.pictures.charts import QUANTILES, chart, series_and_forecast
from trueup.errors import RequestError
from trueup.forecasting.pictures import Chart


def test_a_chart_has_the_closes_of_a_forecast() -> None:
    series, forecast = series_and_forecast()
    made = Chart.of(series, forecast)
    assert made.title == "600519"
    assert list(made.quantiles) == list(QUANTILES)
    np.testing.assert_array_equal(made.quantiles[0.5], forecast.quantiles[0.5][:, 3])
    assert forecast.paths is not None
    np.testing.assert_array_equal(made.paths, forecast.paths[:, :, 3])
    np.testing.assert_array_equal(made.p_close_up, forecast.p_close_up)


def test_times_are_those_of_the_exchange() -> None:
    series, forecast = series_and_forecast()
    zone = ZoneInfo("Asia/Shanghai")
    made = Chart.of(replace(series, timezone=zone), replace(forecast, timezone=zone))
    assert made.timestamps[0] - series.timestamps[0] == np.timedelta64(8, "h")


def test_an_hour_that_comes_twice_leaves_the_times_in_utc() -> None:
    series, forecast = series_and_forecast(bars=60, horizon=4)
    zone = ZoneInfo("Europe/Berlin")
    times = np.datetime64("2024-10-26T22:00", "ns") + np.arange(64) * np.timedelta64(5, "m")
    made = Chart.of(
        replace(series, timezone=zone, timestamps=times[:60]),
        replace(forecast, timezone=zone, timestamps=times[60:]),
    )
    np.testing.assert_array_equal(made.timestamps, times[:60])
    assert "UTC" in made.remarks[-1]


@pytest.mark.parametrize(
    ("remarks", "expected"),
    [
        ((), ("made in the mode `rolling`, which is not exact",)),
        (("rolling beyond the context",), ("rolling beyond the context",)),
    ],
)
def test_an_approximation_is_named_once(
    remarks: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    series, forecast = series_and_forecast()
    made = Chart.of(series, replace(forecast, mode="rolling", remarks=remarks))
    assert made.remarks == expected


@pytest.mark.parametrize(
    ("quantiles", "bands"),
    [
        ((), []),
        ((0.5,), []),
        ((0.1, 0.9), [(0.1, 0.9)]),
        ((0.9, 0.1, 0.5), [(0.1, 0.9)]),
        (QUANTILES, [(0.1, 0.9), (0.25, 0.75)]),
    ],
)
def test_bands_are_pairs_from_outside_in(
    quantiles: tuple[float, ...], bands: list[tuple[float, float]]
) -> None:
    made = chart(quantiles={each: np.zeros(24) for each in quantiles})
    assert made.bands() == bands


def test_the_fan_begins_at_the_last_close() -> None:
    made = chart()
    fan = made.fan(0.9)
    assert len(fan) == 25
    assert fan[0] == made.history[-1, 3]


@pytest.mark.parametrize("bars_per_candle", [2, 3, 7, 1000])
def test_merged_candles_hold_all_bars_and_none_of_both_sides(bars_per_candle: int) -> None:
    made = chart(bars=50, horizon=10)
    merged = made.merged(bars_per_candle)
    assert len(merged.timestamps) == -(-50 // bars_per_candle)
    assert len(merged.future) == -(-10 // bars_per_candle)
    for before, after in ((made.history, merged.history), (made.mean, merged.mean)):
        assert after[0, 0] == before[0, 0]
        assert after[-1, 3] == before[-1, 3]
        assert after[:, 1].max() == before[:, 1].max()
        assert after[:, 2].min() == before[:, 2].min()
        assert after[:, 4].sum() == pytest.approx(before[:, 4].sum())
    assert merged.future[-1] == made.future[-1]
    assert merged.quantiles[0.1][-1] == made.quantiles[0.1][-1]


def test_a_merged_candle_is_of_neighbouring_bars() -> None:
    made = chart(bars=5, horizon=3).merged(2)
    bars = chart(bars=5, horizon=3).history
    assert made.history[1, 0] == bars[1, 0]
    assert made.history[1, 3] == bars[2, 3]
    assert made.history[1, 1] == bars[1:3, 1].max()
    assert made.history[1, 2] == bars[1:3, 2].min()


def test_bars_without_a_finite_price_are_left_out_and_told() -> None:
    history = chart().history.copy()
    history[[3, 5], 1] = np.nan
    mean = chart().mean.copy()
    mean[2, 0] = np.inf
    made, remarks = chart(history=history, mean=mean).finite()
    assert (len(made.timestamps), len(made.future)) == (298, 23)
    assert len(made.quantiles[0.1]) == 23
    assert made.paths is not None
    assert made.paths.shape == (20, 23)
    assert remarks == [
        "2 bars of the history are not drawn: their prices are not finite",
        "1 bar of the forecast is not drawn: its prices are not finite",
    ]


def test_nothing_finite_is_an_error() -> None:
    with pytest.raises(RequestError, match="finite prices"):
        chart(mean=np.full((24, 6), np.nan)).finite()


def test_whole_charts_are_left_as_they_are() -> None:
    made = chart()
    assert made.finite() == (made, [])
    assert made.merged(1) is made


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"history": np.zeros((300, 5))}, "`history` has the shape"),
        ({"quantiles": {0.1: np.zeros(3)}}, "`quantile 0.1` has the shape"),
        ({"paths": np.zeros((2, 3))}, "`paths` has the shape"),
        ({"p_close_up": np.zeros(3)}, "`p_close_up` has the shape"),
        ({"timestamps": chart().timestamps[::-1]}, "does not come after"),
        ({"future": chart().timestamps[:24]}, "does not come after"),
        ({"future": np.full(24, np.datetime64("NaT", "ns"))}, "does not come after"),
        ({"future": chart().future[:0], "mean": chart().mean[:0]}, "a bar of forecast"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(changes: dict[str, object], cause: str) -> None:
    with pytest.raises(RequestError, match=cause):
        chart(**changes)


def test_nobody_moves_the_cursor_with_a_title() -> None:
    assert chart(title="a\x1b[2Jb\n").title == "a\\x1b[2Jb\\n"


@pytest.mark.parametrize(("scale", "decimals"), [(1.0, 3), (1e-6, 9), (1e6, 0), (1e-30, 10)])
def test_decimals_tell_prices_apart(scale: float, decimals: int) -> None:
    made = chart()
    assert chart(history=made.history * scale, mean=made.mean * scale).decimals() == decimals


def test_constant_prices_have_decimals() -> None:
    flat = chart(history=np.full((300, 6), 7.0), mean=np.full((24, 6), 7.0))
    assert 0 <= flat.decimals() <= 4


@pytest.mark.parametrize(
    ("step", "text"),
    [("D", "1970-01-11"), ("h", "1970-01-01 10:00"), ("m", "1970-01-01 00:10")],
)
def test_moments_are_no_finer_than_bars(step: str, text: str) -> None:
    times = np.arange(324).astype(f"datetime64[{step}]").astype("datetime64[ns]")
    made = chart(timestamps=times[:300], future=times[300:])
    assert made.moment(times[10]) == text
