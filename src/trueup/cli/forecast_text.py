"""The answers of `trueup forecast` as lines for people."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from trueup.forecasting.backtest import Backtest
from trueup.forecasting.bars import CLOSE
from trueup.forecasting.result import SeriesForecast
from trueup.forecasting.table import shown_times

MOST_SERIES = 20
# Of a longer forecast the first and the last bars are shown.
MOST_BARS, FIRST_BARS, LAST_BARS = 30, 12, 6
PRICE_DIGITS = 5


def forecast_lines(forecasts: Sequence[SeriesForecast]) -> Iterator[str]:
    """A table of the closes of each series."""
    first = forecasts[0]
    yield (
        f"{counted(len(first), 'bar')} after {first.lookback:,}, "
        f"{counted(first.samples, 'sample')}, mode {first.mode}, seed {first.seed}"
    )
    for each in forecasts[:MOST_SERIES]:
        yield ""
        if each.name:
            yield f"{each.name}, last close {_price(each.last_close, each.last_close)}"
        else:
            yield f"last close {_price(each.last_close, each.last_close)}"
        yield from _table(each)
    if len(forecasts) > MOST_SERIES:
        yield ""
        yield f"... and {len(forecasts) - MOST_SERIES:,} more series: -o FILE writes them all"


def counted(count: int, what: str) -> str:
    """`1 bar`, `1,000 bars`; one series and many are the same word."""
    return f"{count:,} {what}" if count == 1 or what == "series" else f"{count:,} {what}s"


def _table(forecast: SeriesForecast) -> Iterator[str]:
    levels = [f"{level:.12g}" for level in forecast.quantiles]
    rows = [["time", "mean close", *(f"close {level}" for level in levels), "P(up)", "range"]]
    for at, time in enumerate(shown_times(forecast)):
        closes = [forecast.mean, *forecast.quantiles.values()]
        rows.append(
            [
                time,
                *(_price(float(each[at, CLOSE]), forecast.last_close) for each in closes),
                f"{forecast.p_close_up[at]:.0%}",
                _price(float(forecast.expected_range[at]), forecast.last_close),
            ]
        )
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    lines = [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    ]
    if len(forecast) <= MOST_BARS:
        yield from lines
        return
    yield from lines[: FIRST_BARS + 1]
    yield f"... {len(forecast) - FIRST_BARS - LAST_BARS:,} more bars: -o FILE writes them all"
    yield from lines[-LAST_BARS:]


def backtest_lines(result: Backtest) -> Iterator[str]:
    """The scores side by side."""
    low, high = result.interval
    yield (
        f"{counted(result.forecasts, 'forecast')} of {counted(result.horizon, 'bar')} from "
        f"{counted(result.origins, 'origin')} {counted(result.stride, 'bar')} apart, each after "
        f"{counted(result.lookback, 'bar')} at most; mode {result.mode}, seed {result.seed}"
    )
    yield ""
    rows = [["of the close", "MAE", "MASE", "coverage", "direction"]]
    rows += [
        [
            score.name,
            f"{score.mae:.6g}",
            "-" if score.mase is None else f"{score.mase:.3f}",
            "-" if score.coverage is None else f"{score.coverage:.1%}",
            "-" if score.direction is None else f"{score.direction:.1%}",
        ]
        for score in result.scores
    ]
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    for name, *cells in rows:
        numbers = (cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))
        yield "  ".join([name.ljust(widths[0]), *numbers])
    yield ""
    yield "MASE: MAE in mean moves from bar to bar of the history; below 1 is better than that"
    yield f"coverage: closes within the quantiles {low:g} to {high:g}, {high - low:.0%} are meant"
    yield "direction: moves from the last known close whose sign was told; persistence tells none"


def _price(value: float, beside: float) -> str:
    """With as many decimals as prices like `beside` need."""
    size = abs(beside) or 1.0
    decimals = min(max(PRICE_DIGITS - 1 - math.floor(math.log10(size)), 2), 10)
    return f"{value:.{decimals}f}"
