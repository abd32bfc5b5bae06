"""A chart as a PNG image, by matplotlib: without its global state, windows or settings."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueup.forecasting.bars import CLOSE, VOLUME
from trueup.forecasting.pictures.chart import HIGH, LOW, OPEN, Chart

INCHES = (14.0, 8.0)
DOTS_PER_INCH = 120
# As many candles as stay apart in this width; what is more is merged.
MOST_CANDLES = 700
LEAST_HISTORY_BARS = 120
PATHS_DRAWN = 50
BODY_WIDTH = 0.7
TIME_LABELS = 7
MOST_CHARACTERS = 300
HISTORY_COLOURS = ("#1a9c84", "#dd4a46")
FORECAST_COLOURS = ("#2f6fe4", "#9457d6")
FAN_COLOUR = "#2f6fe4"
FAN_SHADE = 0.36
# Families with Chinese, Japanese and Korean characters, asked for after matplotlib's own.
WIDE_FONTS = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Source Han Sans SC",
    "Source Han Sans CN",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "Droid Sans Fallback",
    "Microsoft YaHei",
    "SimHei",
    "PingFang SC",
    "Hiragino Sans GB",
    "Arial Unicode MS",
)
OWN_FONT = "DejaVu Sans"


def image(chart: Chart, history_bars: int | None) -> tuple[bytes, list[str]]:
    """The image, and remarks on what is not in it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    chart, remarks = _fitted(chart, history_bars)
    figure = Figure(figsize=INCHES, dpi=DOTS_PER_INCH, layout="constrained", facecolor="white")
    canvas = FigureCanvasAgg(figure)
    rows = [4, 1] if chart.has_volume else [1]
    axes = figure.subplots(len(rows), 1, sharex=True, height_ratios=rows, squeeze=False)[:, 0]
    _prices(chart, axes[0])
    if chart.has_volume:
        _volumes(chart, axes[1])
    _times(chart, axes[-1])
    families = _families()
    given = [each[:MOST_CHARACTERS] for each in (chart.title, *chart.remarks)]
    told = _writable(given, families)
    if told != given:
        remarks.append("no installed font has some characters of the text: they are `□`")
    # A title is text, never formulas: neither `$` nor a user's TeX may read it.
    text = {"family": families, "parse_math": False, "usetex": False, "ha": "left", "wrap": True}
    figure.suptitle(told[0], x=0.01, fontsize=14, **text)
    if chart.remarks:
        figure.supxlabel("\n".join(told[1:]), x=0.01, fontsize=8, **text)
    written = io.BytesIO()
    canvas.print_png(written)
    return written.getvalue(), remarks


def _fitted(chart: Chart, history_bars: int | None) -> tuple[Chart, list[str]]:
    horizon, bars = len(chart.future), len(chart.timestamps)
    shown = min(history_bars or max(3 * horizon, LEAST_HISTORY_BARS), bars)
    per_candle = -(-(shown + horizon) // MOST_CANDLES)
    remarks = []
    if shown < bars:
        remarks.append(f"the last {shown:,} of {bars:,} bars of history are drawn")
    if per_candle > 1:
        remarks.append(f"each candle is {per_candle} bars, so that they stay apart")
    return chart.last(shown).merged(per_candle), remarks


def _prices(chart: Chart, axes: Any) -> None:
    past, ahead = len(chart.timestamps), len(chart.future)
    after = np.arange(past - 1, past + ahead)
    shade = FAN_SHADE / (len(chart.bands()) + 0.5)
    for lower, upper in chart.bands():
        axes.fill_between(
            after,
            chart.fan(lower),
            chart.fan(upper),
            color=FAN_COLOUR,
            alpha=shade,
            linewidth=0,
        )
    if len(chart.quantiles) % 2:
        axes.plot(after, chart.fan(_middle(chart)), color=FAN_COLOUR, linewidth=1)
    if chart.paths is not None:
        first = chart.history[-1, CLOSE]
        for path in chart.paths[:PATHS_DRAWN]:
            axes.plot(after, np.r_[first, path], color=FAN_COLOUR, linewidth=0.5, alpha=0.25)
    _candles(axes, np.arange(past), chart.history, HISTORY_COLOURS)
    _candles(axes, np.arange(past, past + ahead), chart.mean, FORECAST_COLOURS)
    axes.axvline(past - 0.5, color="0.6", linewidth=1, linestyle=(0, (6, 5)))
    axes.autoscale_view()
    axes.set_xlim(-1, past + ahead)
    marks = _marks(chart, shade)
    axes.legend(
        handles=marks,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=min(len(marks), 7),
        fontsize=9,
        frameon=False,
        borderaxespad=0.2,
    )
    _dressed(axes)
    decimals = chart.decimals()
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.{decimals}f}")


def _middle(chart: Chart) -> float:
    return sorted(chart.quantiles)[len(chart.quantiles) // 2]


def _marks(chart: Chart, shade: float) -> list[Any]:
    """What the legend shows, in its order."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    marks: list[Any] = [
        Patch(color=HISTORY_COLOURS[0], label="history, rose"),
        Patch(color=HISTORY_COLOURS[1], label="fell"),
        Patch(color=FORECAST_COLOURS[0], label="mean forecast, rose"),
        Patch(color=FORECAST_COLOURS[1], label="fell"),
    ]
    for depth, (lower, upper) in enumerate(chart.bands(), 1):
        seen = 1 - (1 - shade) ** depth
        label = f"closes, {_percent(lower)} to {_percent(upper)}"
        marks.append(Patch(facecolor=FAN_COLOUR, alpha=seen, linewidth=0, label=label))
    if len(chart.quantiles) % 2:
        label = f"close, {_percent(_middle(chart))}"
        marks.append(Line2D([], [], color=FAN_COLOUR, linewidth=1, label=label))
    return marks


def _percent(quantile: float) -> str:
    return f"{100 * quantile:.4g}%"


def _candles(
    axes: Any, places: NDArray[np.intp], bars: NDArray[np.float64], colours: tuple[str, str]
) -> None:
    from matplotlib.collections import LineCollection, PolyCollection

    shades = [colours[0] if is_up else colours[1] for is_up in bars[:, CLOSE] >= bars[:, OPEN]]
    wicks = [[(at, bar[LOW]), (at, bar[HIGH])] for at, bar in zip(places, bars, strict=True)]
    half = BODY_WIDTH / 2
    bodies = [
        [
            (at - half, bar[OPEN]),
            (at + half, bar[OPEN]),
            (at + half, bar[CLOSE]),
            (at - half, bar[CLOSE]),
        ]
        for at, bar in zip(places, bars, strict=True)
    ]
    axes.add_collection(LineCollection(wicks, colors=shades, linewidths=0.9, zorder=3))
    # Edges are drawn, too: a body whose open is its close has no area.
    axes.add_collection(
        PolyCollection(bodies, facecolors=shades, edgecolors=shades, linewidths=0.6, zorder=4)
    )


def _volumes(chart: Chart, axes: Any) -> None:
    past = len(chart.timestamps)
    for first, bars, colours in (
        (0, chart.history, HISTORY_COLOURS),
        (past, chart.mean, FORECAST_COLOURS),
    ):
        shades = [colours[0] if is_up else colours[1] for is_up in bars[:, CLOSE] >= bars[:, OPEN]]
        places = np.arange(first, first + len(bars))
        volumes = np.nan_to_num(bars[:, VOLUME], posinf=0, neginf=0)
        axes.bar(places, volumes, width=BODY_WIDTH, color=shades, alpha=0.6)
    axes.set_ylabel("volume", fontsize=9)
    _dressed(axes)


def _times(chart: Chart, axes: Any) -> None:
    """Timestamps at bars: between sessions there is no room on this axis."""
    times = np.concatenate([chart.timestamps, chart.future])
    # The first and the last text stand within the axis, so that of few bars not every one has room.
    count = min(TIME_LABELS, max(2, len(times) // 2))
    places = np.unique(np.linspace(0, len(times) - 1, count).round().astype(int))
    labels = axes.set_xticks(places, [chart.moment(times[each]) for each in places])
    labels[0].label1.set_horizontalalignment("left")
    labels[-1].label1.set_horizontalalignment("right")


def _dressed(axes: Any) -> None:
    axes.grid(color="0.92", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.yaxis.tick_right()
    axes.tick_params(labelsize=9, length=0)
    for side in ("top", "left"):
        axes.spines[side].set_visible(False)
    for side in ("right", "bottom"):
        axes.spines[side].set_color("0.8")


def _families() -> list[str]:
    from matplotlib import font_manager

    installed = {each.name for each in font_manager.fontManager.ttflist}
    return [OWN_FONT, *(each for each in WIDE_FONTS if each in installed)]


def _writable(texts: list[str], families: list[str]) -> list[str]:
    """The texts with `□` for what no font here has: matplotlib would warn of each character."""
    from matplotlib import font_manager
    from matplotlib.ft2font import FT2Font

    if all(map(str.isascii, texts)):
        return texts
    known: set[int] = set()
    for family in families:
        known |= FT2Font(font_manager.findfont(family)).get_charmap().keys()
    return ["".join(each if ord(each) in known else "□" for each in text) for text in texts]
