"""Charts for the tests: a stock of five-minute bars in two sessions a day, made from a seed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueup.forecasting.bars import Series
from trueup.forecasting.pictures import Chart
from trueup.forecasting.result import SeriesForecast

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)


def session_times(count: int) -> NDArray[np.datetime64]:
    """Five-minute bars of 09:35 to 11:30 and 13:05 to 15:00, day after day."""
    morning = np.arange(9 * 60 + 35, 11 * 60 + 31, 5)
    day = np.concatenate([morning, np.arange(13 * 60 + 5, 15 * 60 + 1, 5)])
    days = np.arange(-(-count // len(day))) * 24 * 60
    minutes = (days[:, None] + day).ravel()[:count]
    return (np.datetime64("2024-01-01T00:00") + minutes.astype("timedelta64[m]")).astype(
        "datetime64[ns]"
    )


def candles(closes: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    opens = np.concatenate([closes[:1], closes[:-1]])
    spread = np.abs(rng.normal(0, 0.02, (2, len(closes))))
    highs = np.maximum(opens, closes) + spread[0]
    lows = np.minimum(opens, closes) - spread[1]
    volumes = rng.lognormal(6, 0.5, len(closes)).round()
    return np.stack([opens, highs, lows, closes, volumes, volumes * closes], axis=1)


def series_and_forecast(
    bars: int = 300, horizon: int = 24, samples: int = 20, name: str = "600519"
) -> tuple[Series, SeriesForecast]:
    rng = np.random.default_rng(8)
    times = session_times(bars + horizon)
    history = candles(10 + np.cumsum(rng.normal(0, 0.02, bars)), rng)
    last = history[-1, 3]
    walks = last + np.cumsum(rng.normal(0, 0.03, (samples, horizon)), axis=1)
    paths = np.stack([candles(walk, rng) for walk in walks]).astype(np.float32)
    series = Series(name=name, timestamps=times[:bars], values=history)
    forecast = SeriesForecast(
        name=name,
        timestamps=times[bars:],
        mean=paths.mean(axis=0),
        quantiles=dict(
            zip(QUANTILES, np.quantile(paths, QUANTILES, axis=0).astype(np.float32), strict=True)
        ),
        p_close_up=(paths[..., 3] > last).mean(axis=0).astype(np.float32),
        expected_range=(paths[..., 1] - paths[..., 2]).mean(axis=0),
        paths=paths,
        samples=samples,
        lookback=bars,
        last_close=float(last),
        mode="exact",
        seed=8,
    )
    return series, forecast


def chart(bars: int = 300, horizon: int = 24, **changes: Any) -> Chart:
    return replace(Chart.of(*series_and_forecast(bars, horizon)), **changes)
