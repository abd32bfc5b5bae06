from __future__ import annotations

import numpy as np
import pytest

from trueup.forecasting.bars import check_bars
from trueup.forecasting.calendar import future_timestamps, season_length
from trueup.forecasting.demo import demo_forecaster, demo_series
from trueup.forecasting.forecast import Request, forecast_series


def test_the_series_is_the_same_everywhere_and_looks_like_a_market() -> None:
    series = demo_series()
    assert len(series) == 624
    assert series.values[-1, 3] == pytest.approx(10.81)
    assert series.values[:, 4].sum() == pytest.approx(demo_series().values[:, 4].sum())
    assert check_bars(series) == ()
    assert season_length(series) == 48
    assert str(future_timestamps(series, 1).timestamps[0]).startswith("2024-06-19T09:35")


def test_the_real_pair_forecasts_it_the_same_again() -> None:
    forecaster, series = demo_forecaster(), demo_series()
    request = Request(horizon=3, samples=2, seed=5, lookback=40)
    (first,) = forecast_series(forecaster, [series], request)
    (again,) = forecast_series(demo_forecaster(), [series], request)
    assert np.array_equal(first.mean, again.mean)
    assert np.isfinite(first.mean).all()
    close = series.values[-40:, 3]
    assert abs(first.mean[:, 3] - close.mean()).max() < 5 * close.std() + 1e-4


def test_series_of_unequal_length_go_through_the_real_pair_together() -> None:
    forecaster, series = demo_forecaster(), demo_series()
    parts = [series.last(30), series.last(50)]
    found = forecast_series(forecaster, parts, Request(horizon=2, samples=2, seed=5))
    assert [each.lookback for each in found] == [30, 50]


def test_constant_prices_come_back_from_the_real_pair() -> None:
    from trueup.forecasting.bars import build_series

    series = demo_series().last(40)
    flat = {name: np.full(40, 7.5) for name in ("open", "high", "low", "close", "volume")}
    constant = build_series("", series.timestamps, flat)
    (found,) = forecast_series(demo_forecaster(), [constant], Request(horizon=2, samples=2, seed=1))
    assert abs(found.mean[:, :4] - 7.5).max() < 1e-3
    assert any("do not move" in remark for remark in found.remarks)
