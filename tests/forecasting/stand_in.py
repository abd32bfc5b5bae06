"""A pair that forecasts without a model: the last bar, moved by numbers drawn from the seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueup.forecasting.bars import Series, build_series
from trueup.protocol.candles import COLUMNS


class StandIn:
    """Follows the seam of the Forecaster, and remembers what it was shown."""

    def __init__(self, context: int = 64) -> None:
        self.context = context
        self.windows: list[Any] = []
        self.calls: list[dict[str, Any]] = []

    def sample(
        self,
        windows: Sequence[Any],
        horizon: int,
        *,
        samples: int,
        temperature: float,
        top_k: int,
        top_p: float,
        seed: int | None,
        mode: str = "exact",
        on_step: Callable[[int, NDArray[np.float32]], None] | None = None,
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> NDArray[np.float32]:
        self.windows += windows
        self.calls.append({"seed": seed, "mode": mode, "series": len(windows), "top_k": top_k})
        random = np.random.RandomState(seed)
        paths = np.stack(
            [
                window.bars[-1] + random.normal(0, 0.1, (samples, horizon, len(COLUMNS)))
                for window in windows
            ]
        ).astype(np.float32)
        for step in range(horizon):
            if is_cancelled():
                return paths[:, :, :step]
            if on_step is not None:
                on_step(step, paths[:, :, step])
        return paths


def minutes(count: int, step: int = 5, start: str = "2024-06-03T00:00") -> NDArray[np.datetime64]:
    """Times without a gap."""
    return np.datetime64(start, "ns") + np.arange(count) * np.timedelta64(step, "m")


def columns(count: int, seed: int = 0) -> dict[str, NDArray[np.float64]]:
    """Candles that could be."""
    random = np.random.RandomState(seed)
    close = 10 + np.cumsum(random.normal(0, 0.01, count))
    opened = np.concatenate([[10.0], close[:-1]])
    return {
        "open": opened,
        "high": np.maximum(opened, close) + 0.02,
        "low": np.minimum(opened, close) - 0.02,
        "close": close,
        "volume": random.gamma(2, 100, count),
        "amount": random.gamma(2, 1000, count),
    }


def series_of(times: NDArray[np.datetime64], name: str = "", seed: int = 0, **more: Any) -> Series:
    return build_series(name, times, columns(len(times), seed), **more)


def sessions(days: int, start: str = "2024-06-03") -> NDArray[np.datetime64]:
    """Five-minute bars of a market with a lunch break, nights and weekends: 48 a day."""
    half = np.arange(24) * np.timedelta64(5, "m")
    clock = np.concatenate([np.timedelta64(575, "m") + half, np.timedelta64(785, "m") + half])
    dates = np.busday_offset(np.datetime64(start), np.arange(days), roll="forward")
    return np.asarray((dates[:, None] + clock[None, :]).ravel().astype("datetime64[ns]"))
