"""Backtests: forecasts from rolling origins, against what came and against the baselines.

A forecast is made from the bars before its origin and from nothing else: the times to come are
inferred from them too, and compared with the true ones only afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from trueup.errors import RequestError
from trueup.forecasting import defaults
from trueup.forecasting.bars import CLOSE, Series, check_bars
from trueup.forecasting.baselines import persistence, seasonal_naive
from trueup.forecasting.calendar import season_length
from trueup.forecasting.forecast import OnStep, Request, default_lookback, forecast_series
from trueup.forecasting.result import joined_remarks

if TYPE_CHECKING:
    from trueup.kronos.forecaster import Forecaster

MODEL = "model"
# Baselines read their intervals off the history: a shorter one says nothing.
LEAST_HISTORY = 2

Closes = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How one forecaster did on the closes, over all origins, series and steps.

    `mase` is the MAE in units of the mean absolute move from one bar to the next within the
    history of each origin; None where no close moved. `coverage` is the share of closes within
    the interval. `direction` is the share of moves from the last known close whose sign was told;
    None for who tells none; closes that came back to it are not counted.
    """

    name: str
    mae: float
    mase: float | None
    coverage: float | None
    direction: float | None
    mae_by_step: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Backtest:
    """The scores of the model and of the baselines for `forecasts` forecasts of `horizon` bars."""

    horizon: int
    origins: int
    forecasts: int
    stride: int
    lookback: int
    interval: tuple[float, float]
    scores: tuple[Score, ...]
    mode: str
    seed: int
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """One forecaster's closes from one origin: [h] each."""

    close: Closes
    low: Closes
    high: Closes
    is_directed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """What was known at an origin, and what came."""

    known: Series
    actual: Series


def rows_needed(request: Request, context: int, origins: int, stride: int | None) -> int:
    """How many of the newest bars of a series a backtest uses."""
    lookback = request.lookback or default_lookback(context, request.horizon)
    return lookback + request.horizon + (origins - 1) * (stride or request.horizon)


def backtest(
    forecaster: Forecaster,
    series: Sequence[Series],
    request: Request,
    *,
    origins: int = defaults.ORIGINS,
    stride: int | None = None,
    on_step: OnStep | None = None,
) -> Backtest:
    """Forecast the last bars of each series from `origins` origins, `stride` bars apart.

    The stride is the horizon by default, so that no bar is forecast twice.

    Raises: RequestError where a series is too short for one origin, or two quantiles are missing;
    and as `forecast_series`.
    """
    if origins < 1 or (stride is not None and stride < 1):
        raise RequestError(
            f"{origins} origins, {stride} bars apart: expected 1 or more", param="origins"
        )
    if len(request.quantiles) < 2:
        raise RequestError(
            "a backtest needs two quantiles, the ends of the interval", param="quantiles"
        )
    apart = stride or request.horizon
    lookback = request.lookback or default_lookback(forecaster.context, request.horizon)
    remarks: list[str] = []
    cases: list[_Case] = []
    for each in series:
        cases += _cases(each, request.horizon, origins, apart, remarks)
    for case in cases:
        check_bars(case.actual)  # raises where what came is no number
    request = replace(request, return_samples=False)
    known = [case.known for case in cases]
    forecasts = forecast_series(forecaster, known, request, on_step=on_step)
    interval = (request.quantiles[0], request.quantiles[-1])
    told: dict[str, list[_Told]] = {MODEL: []}
    scales: list[float] = []
    other_times = 0
    for case, forecast in zip(cases, forecasts, strict=True):
        closes = case.known.last(lookback).values[:, CLOSE]
        scales.append(float(np.abs(np.diff(closes)).mean()) if len(closes) > 1 else 0.0)
        other_times += not np.array_equal(forecast.timestamps, case.actual.timestamps)
        told[MODEL].append(
            _Told(
                close=forecast.mean[:, CLOSE].astype(np.float64),
                low=forecast.quantiles[interval[0]][:, CLOSE].astype(np.float64),
                high=forecast.quantiles[interval[1]][:, CLOSE].astype(np.float64),
                is_directed=True,
            )
        )
        season = season_length(case.known, request.freq)
        for line, is_directed in (
            (persistence(closes, request.horizon, interval), False),
            (seasonal_naive(closes, request.horizon, season, interval), True),
        ):
            told.setdefault(line.name, []).append(
                _Told(close=line.close, low=line.low, high=line.high, is_directed=is_directed)
            )
    remarks += joined_remarks(forecasts)
    if other_times:
        remarks.append(
            f"{other_times} of {len(cases)} forecasts have other times than the bars that came "
            "(holidays, halts, missing bars): bars are compared in their order"
        )
    actual = np.stack([case.actual.values[:, CLOSE] for case in cases])
    last = np.array([case.known.values[-1, CLOSE] for case in cases])
    return Backtest(
        horizon=request.horizon,
        origins=origins,
        forecasts=len(cases),
        stride=apart,
        lookback=lookback,
        interval=interval,
        scores=tuple(_score(name, each, actual, last, scales) for name, each in told.items()),
        mode=request.mode,
        seed=forecasts[0].seed,
        remarks=tuple(dict.fromkeys(remarks)),
    )


def _cases(
    series: Series, horizon: int, origins: int, stride: int, remarks: list[str]
) -> list[_Case]:
    """The newest origins, oldest first; fewer where the series is short, which is told."""
    newest = len(series) - horizon
    places = [newest - stride * back for back in range(origins)]
    usable = [place for place in reversed(places) if place >= LEAST_HISTORY]
    where = f"series `{series.name}`" if series.name else None
    if not usable:
        raise RequestError(
            f"the bars, {len(series):,}, are too few for a backtest of {horizon:,}, expected at "
            f"least {horizon + LEAST_HISTORY:,}",
            param="bars",
            where=where,
        )
    if len(usable) < origins:
        of = f" of {where}" if where else ""
        remarks.append(f"only {len(usable)} of {origins} origins{of}: the history is too short")
    return [
        _Case(known=series.between(0, place), actual=series.between(place, place + horizon))
        for place in usable
    ]


def _score(
    name: str, told: Sequence[_Told], actual: Closes, last: Closes, scales: Sequence[float]
) -> Score:
    errors = np.abs(np.stack([each.close for each in told]) - actual)
    low, high = np.stack([each.low for each in told]), np.stack([each.high for each in told])
    bounded = np.isfinite(low) & np.isfinite(high)
    within = (actual >= low) & (actual <= high)
    moved = actual != last[:, None]
    right = np.sign(np.stack([each.close for each in told]) - last[:, None]) == np.sign(
        actual - last[:, None]
    )
    is_directed = told[0].is_directed and bool(moved.any())
    unit = np.array(scales)
    scaled = errors[unit > 0] / unit[unit > 0, None]
    return Score(
        name=name,
        mae=float(errors.mean()),
        mase=float(scaled.mean()) if scaled.size else None,
        coverage=float(within[bounded].mean()) if bounded.any() else None,
        direction=float(right[moved].mean()) if is_directed else None,
        mae_by_step=tuple(float(each) for each in errors.mean(axis=0)),
    )
