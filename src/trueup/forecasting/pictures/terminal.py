"""A chart as text for a terminal, by plotext: as wide as it, in colour where that may be."""

from __future__ import annotations

import os
import shutil
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from trueup.forecasting.bars import CLOSE, VOLUME
from trueup.forecasting.pictures.chart import HIGH, LOW, OPEN, PRICES, Chart

WITHOUT_TERMINAL = (100, 30)
NARROWEST, WIDEST = 30, 300
PRICE_ROWS = (12, 24)
VOLUME_ROWS = 5
# At most this part of the columns is forecast: what went before is seen beside it.
FORECAST_SHARE = 0.6
RISING, FALLING, WICK, BAND, DIVIDER = "█", "▒", "│", "░", "┊"
# For an output that has no such characters.
PLAIN = str.maketrans("█▒│░┊┤├┬┴┼─┌┐└┘…–·", "#=|.:||+++-++++.-*")
HISTORY_COLOURS = ("green+", "red+")
FORECAST_COLOURS = ("blue+", "magenta+")
BAND_COLOUR = "blue"


def draw(chart: Chart, history_bars: int | None, stream: TextIO) -> list[str]:
    """Write the chart to the stream; remarks on what is not in it.

    A column is a candle. Filled bodies rose, hatched ones fell; what is right of the dotted line
    is forecast. Colours are left out where the stream is no terminal or NO_COLOR is set.
    """
    columns, rows = _size(stream)
    # How wide the prices are written depends on which bars fit, and the reverse.
    decimals = _fitted(chart, history_bars, columns)[0].decimals()
    label_width = max(len(f"{edge:.{decimals}f}") for edge in _range(chart))
    chart, remarks = _fitted(chart, history_bars, max(columns - label_width - 3, 2))
    in_colour = _has_colour(stream)
    height = min(max(rows - VOLUME_ROWS - 6, PRICE_ROWS[0]), PRICE_ROWS[1])
    parts = [_prices(chart, columns, height, label_width, decimals)]
    if chart.has_volume:
        parts.append(_volumes(chart, columns, label_width))
    text = "\n".join(part.string(colorless=not in_colour).rstrip("\n") for part in parts)
    lines = [_cut(chart.title, columns), text, *_legend(chart), *chart.remarks]
    _write("\n".join(lines) + "\n", stream)
    return remarks


def _size(stream: TextIO) -> tuple[int, int]:
    try:
        size = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError, AttributeError):
        size = shutil.get_terminal_size(WITHOUT_TERMINAL)
    columns = size.columns or WITHOUT_TERMINAL[0]
    return min(max(columns, NARROWEST), WIDEST), size.lines or WITHOUT_TERMINAL[1]


def _has_colour(stream: TextIO) -> bool:
    is_terminal = getattr(stream, "isatty", lambda: False)()
    return is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _fitted(chart: Chart, history_bars: int | None, columns: int) -> tuple[Chart, list[str]]:
    """The chart with as many candles as there are columns."""
    horizon, bars = len(chart.future), len(chart.timestamps)
    if history_bars is None:
        per_candle = -(-horizon // max(int(columns * FORECAST_SHARE), 1))
        history_bars = (columns - -(-horizon // per_candle)) * per_candle
    else:
        per_candle = 1
        shown = min(history_bars, bars)
        while -(-shown // per_candle) + -(-horizon // per_candle) > columns:
            per_candle += 1
    remarks = []
    if history_bars < bars:
        remarks.append(f"the last {history_bars:,} of {bars:,} bars of history are drawn")
    if per_candle > 1:
        remarks.append(f"each candle is {per_candle} bars, so that all fit {columns} columns")
    return chart.last(history_bars).merged(per_candle), remarks


def _prices(chart: Chart, columns: int, height: int, label_width: int, decimals: int) -> Any:
    figure = _figure(columns, height)
    past, ahead = len(chart.timestamps), len(chart.future)
    first = past + 1  # the column between is the dotted line
    lowest, highest = _range(chart)
    for lower, upper in chart.bands():
        edges = zip(chart.quantiles[lower], chart.quantiles[upper], strict=True)
        for column, (low, high) in enumerate(edges, first):
            _line(figure, column, low, high, BAND, BAND_COLOUR)
    _line(figure, past, lowest, highest, DIVIDER, "gray+")
    _candles(figure, 0, chart.history, HISTORY_COLOURS)
    _candles(figure, first, chart.mean, FORECAST_COLOURS)
    ticks = [float(at) for at in np.linspace(lowest, highest, 5)]
    labels = [f"{at:.{decimals}f}".rjust(label_width) for at in ticks]
    figure.ruler("y").lim(lowest, highest).ticks(ticks, labels=labels)
    _columns(figure, columns, label_width)
    times = np.concatenate([chart.timestamps, chart.timestamps[-1:], chart.future])
    _time_labels(figure, chart, times, columns - label_width - 2, (0, past - 1, past + ahead))
    return figure.build()


def _volumes(chart: Chart, columns: int, label_width: int) -> Any:
    figure = _figure(columns, VOLUME_ROWS)
    past = np.nan_to_num(chart.history[:, VOLUME])
    ahead = np.nan_to_num(chart.mean[:, VOLUME])
    highest = max(past.max(), ahead.max(), 1e-9)
    for start, volumes, bars, colours in (
        (0, past, chart.history, HISTORY_COLOURS),
        (len(past) + 1, ahead, chart.mean, FORECAST_COLOURS),
    ):
        for column, volume in enumerate(volumes):
            is_up = bars[column, CLOSE] >= bars[column, OPEN]
            if volume > 0:
                _line(figure, start + column, 0, volume, *_body(is_up, colours))
    figure.ruler("y").lim(0, highest).ticks(
        [0, highest], labels=["0".rjust(label_width), _short(highest).rjust(label_width)]
    )
    figure.ruler("x").frequency(0)
    _columns(figure, columns, label_width)
    return figure.build()


def _figure(columns: int, rows: int) -> Any:
    """A figure of our own: plotext's global one may hold a plot of the caller's."""
    import plotext

    terminal = type(plotext.terminal)().limit(False, False)
    figure = type(plotext.figure)(terminal)
    figure.plot_size(columns, rows)
    figure.theme("colorless")
    figure.canvas("default")
    return figure


def _columns(figure: Any, columns: int, label_width: int) -> None:
    """One unit along x is one column of the terminal."""
    figure.ruler("x").lim(0, columns - label_width - 3)


def _candles(figure: Any, first: int, bars: NDArray[np.float64], colours: tuple[str, str]) -> None:
    for column, bar in enumerate(bars, first):
        mark, colour = _body(bar[CLOSE] >= bar[OPEN], colours)
        _line(figure, column, bar[LOW], bar[HIGH], WICK, colour)
        _line(figure, column, bar[OPEN], bar[CLOSE], mark, colour)


def _body(is_up: bool, colours: tuple[str, str]) -> tuple[str, str]:
    return (RISING, colours[0]) if is_up else (FALLING, colours[1])


def _line(figure: Any, column: int, low: float, high: float, mark: str, colour: str) -> None:
    import plotext

    marker = plotext.marker(mark, pixel=plotext.pixel(foreground=colour))
    x, y = (column, column), (float(low), float(high))
    figure.draw(figure.segment(x, y, marker=marker))


def _range(chart: Chart) -> tuple[float, float]:
    prices = (bars[:, PRICES].ravel() for bars in (chart.history, chart.mean))
    values = np.concatenate([*prices, *chart.quantiles.values()])
    lowest, highest = float(values.min()), float(values.max())
    margin = (highest - lowest) * 0.02 or abs(highest) * 0.01 or 1.0
    return lowest - margin, highest + margin


def _time_labels(
    figure: Any,
    chart: Chart,
    times: NDArray[np.datetime64],
    canvas: int,
    wanted: tuple[int, ...],
) -> None:
    """Timestamps under the columns `wanted`, the later one first where two would touch."""
    places: dict[int, str] = {}
    free_until = canvas + 1
    for column in sorted(set(wanted), reverse=True):
        text = chart.moment(times[column], with_year=False)
        if column + len(text) // 2 + 1 < free_until or not places:
            places[column] = text
            free_until = min(column, canvas - len(text)) - len(text) // 2
    figure.ruler("x").ticks(list(places), labels=list(places.values()))


def _short(value: float) -> str:
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def _legend(chart: Chart) -> list[str]:
    lines = [
        f"{RISING} rose  {FALLING} fell   left of {DIVIDER} history, right of it the mean forecast"
    ]
    if bands := chart.bands():
        named = ", ".join(f"{lower:.0%} to {upper:.0%}" for lower, upper in bands)
        lines.append(f"{BAND} closes of the samples from {named}")
    if chart.p_close_up is not None:
        lines.append(f"P(close up) at the end {chart.p_close_up[-1]:.0%}")
    return lines


def _cut(text: str, columns: int) -> str:
    """The text in so many columns; many characters of Chinese are two wide."""
    from rich.cells import cell_len, set_cell_size

    return text if cell_len(text) <= columns else set_cell_size(text, columns - 1) + "…"


def _write(text: str, stream: TextIO) -> None:
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = text.translate(PLAIN).encode(encoding, "replace").decode(encoding)
    stream.write(text)
    stream.flush()
