"""What a picture of a forecast shows, free of how it is drawn: arrays checked and cut to size."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueup.doctor.render.text import printable
from trueup.errors import RequestError
from trueup.forecasting.bars import CLOSE, VOLUME, Series
from trueup.forecasting.result import SeriesForecast
from trueup.protocol.candles import COLUMNS

OPEN, HIGH, LOW = map(COLUMNS.index, ("open", "high", "low"))
PRICES = slice(VOLUME)
DAY = np.timedelta64(1, "D")
MINUTE = np.timedelta64(1, "m")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A history of bars and the forecast that follows it, in data units.

    Bars are [n, 6]: open, high, low, close, volume, amount. Quantiles and paths are of the close.

    Raises: RequestError where timestamps do not increase or lengths differ.
    """

    title: str
    timestamps: NDArray[np.datetime64]  # [bars]
    history: NDArray[np.float64]  # [bars, 6]
    future: NDArray[np.datetime64]  # [horizon]
    mean: NDArray[np.float64]  # [horizon, 6]
    quantiles: Mapping[float, NDArray[np.float64]] = field(default_factory=dict)  # each [horizon]
    paths: NDArray[np.float64] | None = None  # [samples, horizon]
    p_close_up: NDArray[np.float64] | None = None  # [horizon]
    has_volume: bool = True
    remarks: tuple[str, ...] = ()
    bars_per_candle: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "title", printable(self.title))
        object.__setattr__(self, "remarks", tuple(map(printable, self.remarks)))
        bars, horizon = len(self.timestamps), len(self.future)
        if not bars or not horizon:
            raise _unfit("a chart needs a bar of history and a bar of forecast", self.title)
        shapes = {
            "history": (self.history, (bars, 6)),
            "mean": (self.mean, (horizon, 6)),
            **{f"quantile {q:g}": (values, (horizon,)) for q, values in self.quantiles.items()},
        }
        if self.paths is not None:
            shapes["paths"] = (self.paths, (len(self.paths), horizon))
        if self.p_close_up is not None:
            shapes["p_close_up"] = (self.p_close_up, (horizon,))
        for name, (array, wanted) in shapes.items():
            if array.shape != wanted:
                raise _unfit(f"`{name}` has the shape {array.shape}, not {wanted}", self.title)
        times = np.concatenate([self.timestamps, self.future])
        falls = np.flatnonzero(~(times[1:] > times[:-1]))
        if falls.size:
            at = int(falls[0]) + 1
            raise _unfit(f"timestamp {times[at]} does not come after {times[at - 1]}", self.title)

    @classmethod
    def of(cls, series: Series, forecast: SeriesForecast) -> Chart:
        """The chart of a series and its forecast, by the clock of the exchange."""
        past, future, remarks = series.wall_clock(), forecast.wall_clock(), forecast.remarks
        times = np.concatenate([past, future])
        if np.any(times[1:] <= times[:-1]):
            past, future = series.timestamps, forecast.timestamps
            remarks += ("times are in UTC: a change of the clock makes an hour come twice",)
        if forecast.mode != "exact" and not any(forecast.mode in each for each in remarks):
            remarks += (f"made in the mode `{forecast.mode}`, which is not exact",)
        quantiles = sorted(forecast.quantiles.items())
        return cls(
            title=series.name,
            timestamps=past,
            history=_floats(series.values),
            future=future,
            mean=_floats(forecast.mean),
            quantiles={level: _floats(values)[:, CLOSE] for level, values in quantiles},
            paths=None if forecast.paths is None else _floats(forecast.paths)[:, :, CLOSE],
            p_close_up=_floats(forecast.p_close_up),
            has_volume=series.has_volume,
            remarks=remarks,
        )

    def last(self, bars: int) -> Chart:
        """The same with the last `bars` bars of its history."""
        return replace(self, timestamps=self.timestamps[-bars:], history=self.history[-bars:])

    def bands(self) -> list[tuple[float, float]]:
        """Pairs of quantiles, the widest first; in an odd number the middle one is no band."""
        order = sorted(self.quantiles)
        return [(order[each], order[-1 - each]) for each in range(len(order) // 2)]

    def fan(self, quantile: float) -> NDArray[np.float64]:
        """A quantile's closes from the last close of the history on, where all begin: [1 + h]."""
        return np.concatenate([self.history[-1:, CLOSE], self.quantiles[quantile]])

    def merged(self, bars_per_candle: int) -> Chart:
        """The same in fewer candles, each of some neighbouring bars.

        A candle has the first open, the highest high, the lowest low, the last close and the sum
        of the volumes; quantiles, paths and the probability are those at its last bar.
        """
        if bars_per_candle == 1:
            return self
        # Counted from the end of the history, so that no candle has bars of both.
        ends = np.arange(len(self.history), 0, -bars_per_candle)[::-1]
        history = np.maximum(ends - bars_per_candle, 0)
        future = np.arange(0, len(self.future), bars_per_candle)
        last = np.minimum(future + bars_per_candle, len(self.future)) - 1
        return replace(
            self,
            timestamps=self.timestamps[history],
            history=_candles(self.history, history),
            future=self.future[last],
            mean=_candles(self.mean, future),
            quantiles={q: values[last] for q, values in self.quantiles.items()},
            paths=None if self.paths is None else self.paths[:, last],
            p_close_up=None if self.p_close_up is None else self.p_close_up[last],
            bars_per_candle=bars_per_candle,
        )

    def finite(self) -> tuple[Chart, list[str]]:
        """The same without bars that have no finite price, and what was left out."""
        kept = np.isfinite(self.history[:, PRICES]).all(axis=1)
        ahead = np.isfinite(self.mean[:, PRICES]).all(axis=1)
        for values in self.quantiles.values():
            ahead &= np.isfinite(values)
        if kept.all() and ahead.all():
            return self, []
        if not kept.any() or not ahead.any():
            raise _unfit("there is no bar with finite prices to draw", self.title)
        remarks = [
            f"1 bar of the {name} is not drawn: its prices are not finite"
            if count == 1
            else f"{count:,} bars of the {name} are not drawn: their prices are not finite"
            for name, count in (("history", (~kept).sum()), ("forecast", (~ahead).sum()))
            if count
        ]
        chart = replace(
            self,
            timestamps=self.timestamps[kept],
            history=self.history[kept],
            future=self.future[ahead],
            mean=self.mean[ahead],
            quantiles={q: values[ahead] for q, values in self.quantiles.items()},
            paths=None if self.paths is None else self.paths[:, ahead],
            p_close_up=None if self.p_close_up is None else self.p_close_up[ahead],
        )
        return chart, remarks

    def decimals(self) -> int:
        """How many decimals tell prices of this chart apart."""
        lowest = min(self.history[:, LOW].min(), self.mean[:, LOW].min())
        highest = max(self.history[:, HIGH].max(), self.mean[:, HIGH].max())
        span = float(highest - lowest) or abs(float(highest)) or 1.0
        return min(max(math.ceil(-math.log10(span / 200)), 0), 10)

    def step(self) -> np.timedelta64:
        """The usual time between two bars."""
        times = np.concatenate([self.timestamps, self.future]).astype("datetime64[ns]")
        return np.timedelta64(int(np.median(np.diff(times).astype(np.int64))), "ns")

    def is_intraday(self) -> bool:
        """Whether a bar is less than a day."""
        return bool(self.step() < DAY)

    def moment(self, time: np.datetime64, *, with_year: bool = True) -> str:
        """A timestamp as this chart writes it: no finer than its bars."""
        if not self.is_intraday():
            return str(time.astype("datetime64[D]"))
        text = str(time.astype("datetime64[s]" if self.step() < MINUTE else "datetime64[m]"))
        return text.replace("T", " ") if with_year else text[5:].replace("T", " ")


def _floats(values: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray(values, dtype=np.float64)


def _candles(bars: NDArray[np.float64], starts: NDArray[np.intp]) -> NDArray[np.float64]:
    """Bars merged from each start to the next: [starts, 6]."""
    ends = np.concatenate([starts[1:], [len(bars)]]) - 1
    merged = np.add.reduceat(bars, starts, axis=0)
    merged[:, OPEN] = bars[starts, OPEN]
    merged[:, HIGH] = np.maximum.reduceat(bars[:, HIGH], starts)
    merged[:, LOW] = np.minimum.reduceat(bars[:, LOW], starts)
    merged[:, CLOSE] = bars[ends, CLOSE]
    return merged


def _unfit(cause: str, title: str) -> RequestError:
    return RequestError(cause, where=f"the chart of `{title}`")
