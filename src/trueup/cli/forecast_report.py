"""The answers of `trueup forecast` as the data that `--format json` prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueup.forecasting.backtest import Backtest
from trueup.forecasting.forecast import Request
from trueup.forecasting.result import SeriesForecast
from trueup.forecasting.table import shown_times
from trueup.protocol.candles import COLUMNS

SCHEMA_VERSION = 1


def forecast_report(
    forecasts: Sequence[SeriesForecast], model: str, request: Request, notices: Sequence[str]
) -> dict[str, Any]:
    """What `trueup forecast` computed."""
    first = forecasts[0]
    return {
        **_head("forecast", model, request, first.mode, first.seed),
        "horizon": request.horizon,
        "is_demonstration": bool(notices),
        "forecasts": [
            {
                "series": each.name,
                "timestamps": shown_times(each),
                "lookback": each.lookback,
                "last_close": each.last_close,
                "mean": _columns(each.mean),
                "quantiles": {f"{q:g}": _columns(values) for q, values in each.quantiles.items()},
                "p_close_up": _floats(each.p_close_up),
                "expected_range": _floats(each.expected_range),
                "paths": None if each.paths is None else [_columns(path) for path in each.paths],
                "remarks": list(each.remarks),
            }
            for each in forecasts
        ],
        "notices": list(notices),
    }


def backtest_report(
    result: Backtest, model: str, request: Request, notices: Sequence[str]
) -> dict[str, Any]:
    """What `trueup forecast --backtest` measured."""
    return {
        **_head("backtest", model, request, result.mode, result.seed),
        "horizon": result.horizon,
        "is_demonstration": bool(notices),
        "origins": result.origins,
        "stride": result.stride,
        "forecasts": result.forecasts,
        "lookback": result.lookback,
        "interval": list(result.interval),
        "scores": {
            score.name.replace(" ", "_"): {
                "mae": score.mae,
                "mase": score.mase,
                "coverage": score.coverage,
                "direction": score.direction,
                "mae_by_step": list(score.mae_by_step),
            }
            for score in result.scores
        },
        "remarks": list(result.remarks),
        "notices": list(notices),
    }


def _head(kind: str, model: str, request: Request, mode: str, seed: int) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": kind,
        "model": model,
        "mode": mode,
        "seed": seed,
        "samples": request.samples,
        "temperature": request.temperature,
        "top_k": request.top_k,
        "top_p": request.top_p,
    }


def _columns(values: NDArray[np.float32]) -> dict[str, list[float]]:
    return {name: _floats(values[:, at]) for at, name in enumerate(COLUMNS)}


def _floats(values: NDArray[np.float32]) -> list[float]:
    """The shortest numbers that are these in 32 bits."""
    return [float(text) for text in values.astype(str)]
