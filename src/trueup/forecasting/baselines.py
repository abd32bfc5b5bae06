"""What a forecast has to beat: persistence and the season before, with their own intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil

import numpy as np
from numpy.typing import NDArray

Closes = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """Closes to come, [h], and the ends of an interval around them; NaN where there is none."""

    name: str
    close: Closes
    low: Closes
    high: Closes


def persistence(closes: Closes, horizon: int, interval: tuple[float, float]) -> Baseline:
    """The last close, for ever; the interval is how far closes went in as many bars before."""
    lags = list(range(1, horizon + 1))
    return _with_interval("persistence", closes, np.full(horizon, closes[-1]), lags, interval)


def seasonal_naive(
    closes: Closes, horizon: int, season: int, interval: tuple[float, float]
) -> Baseline:
    """The close of the same bar in the last season; the last close where the history has none."""
    name = "seasonal naive"
    if season < 1 or len(closes) <= season:
        return replace(persistence(closes, horizon, interval), name=name)
    seasons = [ceil(step / season) for step in range(1, horizon + 1)]
    places = [step - season * count for step, count in enumerate(seasons)]
    forecast = closes[np.array(places) + len(closes)]
    lags = [season * count for count in seasons]
    return _with_interval(name, closes, forecast, lags, interval)


def _with_interval(
    name: str,
    closes: Closes,
    forecast: Closes,
    lags: Sequence[int],
    interval: tuple[float, float],
) -> Baseline:
    ends = np.full((2, len(lags)), np.nan)
    known: dict[int, Closes] = {}
    for at, lag in enumerate(lags):
        if lag < len(closes):
            if lag not in known:
                known[lag] = np.quantile(closes[lag:] - closes[:-lag], interval)
            ends[:, at] = forecast[at] + known[lag]
    return Baseline(name=name, close=forecast, low=ends[0], high=ends[1])
