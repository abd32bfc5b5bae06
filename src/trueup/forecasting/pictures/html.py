"""A chart as one page of HTML that holds all it needs and asks nothing of a network.

The drawing is lightweight-charts' of TradingView, whose code and attribution the page carries;
`page.js` gives it the data, which stand in the page as JSON.
"""

from __future__ import annotations

import base64
import hashlib
import json
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueup.errors import ConfigError
from trueup.forecasting.bars import CLOSE, VOLUME
from trueup.forecasting.pictures.chart import Chart
from trueup.protocol.candles import COLUMNS

HERE = Path(__file__).resolve().parent
LIBRARY = HERE / "lightweight-charts" / "lightweight-charts.standalone.production.js"
HISTORY_BARS = 5_000
MOST_HISTORY_BARS = 100_000
PATHS_DRAWN = 50
ROWS_IN_TABLE = 500
SIGNIFICANT_DIGITS = 9
# As the library's licence and its NOTICE ask of each page.
ATTRIBUTION = (
    "Drawn with TradingView Lightweight Charts™, Copyright © TradingView, Inc. "
    '<a href="https://www.tradingview.com/" rel="noreferrer">https://www.tradingview.com/</a>, '
    "under the Apache License 2.0"
)


def library() -> str:
    """The code of lightweight-charts.

    Raises: ConfigError where this installation has none.
    """
    try:
        return LIBRARY.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            "`lightweight-charts`, which draws the page, is not in this installation",
            where=str(LIBRARY),
            hint="run `make install` in TrueUp's directory, or draw a `*.png`",
        ) from error


def page(chart: Chart, history_bars: int | None) -> tuple[bytes, list[str]]:
    """The page, and remarks on what is not in it."""
    remarks = []
    bars = len(chart.timestamps)
    shown = min(history_bars or HISTORY_BARS, MOST_HISTORY_BARS)
    if shown < bars:
        remarks.append(f"the last {shown:,} of {bars:,} bars of history are in the page")
    if chart.paths is not None and len(chart.paths) > PATHS_DRAWN:
        remarks.append(f"{PATHS_DRAWN} of {len(chart.paths):,} paths are in the page")
    chart = chart.last(shown)
    scripts = [library(), (HERE / "page.js").read_text(encoding="utf-8")]
    style = (HERE / "page.css").read_text(encoding="utf-8")
    head = (
        '<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_policy(scripts)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(chart.title)} · TrueUp</title>\n<style>{style}</style>\n"
    )
    body = (
        f"<header><h1>{escape(chart.title)}</h1>\n<p>{escape(_summary(chart))}</p>\n"
        f"{_remarks(chart)}</header>\n"
        '<main><div id="chart"><div id="legend" aria-live="off"></div></div>\n'
        '<div id="switches"></div>\n'
        "<noscript><p>The chart needs JavaScript; the table does not.</p></noscript>\n"
        f"{_table(chart)}</main>\n<footer>{ATTRIBUTION}</footer>\n"
        f'<script type="application/json" id="data">{_data(chart)}</script>\n'
        + "".join(f"<script>{script}</script>\n" for script in scripts)
    )
    start = '<!doctype html>\n<html lang="en">\n'
    text = f"{start}<head>\n{head}</head>\n<body>\n{body}</body>\n</html>\n"
    return text.encode("utf-8"), remarks


def _policy(scripts: list[str]) -> str:
    """Nothing is loaded, and no other script runs than these."""
    sums = (hashlib.sha256(script.encode("utf-8")).digest() for script in scripts)
    allowed = " ".join(f"'sha256-{base64.b64encode(each).decode()}'" for each in sums)
    return f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:"


def _summary(chart: Chart) -> str:
    horizon = len(chart.future)
    text = (
        f"{len(chart.timestamps):,} bars of history to {chart.moment(chart.timestamps[-1])}, "
        f"{horizon:,} of forecast to {chart.moment(chart.future[-1])}"
    )
    if chart.p_close_up is not None:
        text += f"; P(close up) at the end {chart.p_close_up[-1]:.0%}"
    return text


def _remarks(chart: Chart) -> str:
    if not chart.remarks:
        return ""
    return f"<ul>{''.join(f'<li>{escape(each)}</li>' for each in chart.remarks)}</ul>\n"


def _data(chart: Chart) -> str:
    """The arrays as JSON that can stand within a script element."""
    data: dict[str, Any] = {
        "decimals": chart.decimals(),
        "intraday": chart.is_intraday(),
        "seconds": bool(chart.step() < np.timedelta64(1, "m")),
        "hasVolume": chart.has_volume,
        "history": _bars(chart.timestamps, chart.history),
        "forecast": _bars(chart.future, chart.mean),
        "bands": [list(pair) for pair in chart.bands()],
        "quantiles": {f"{q:g}": _numbers(values) for q, values in chart.quantiles.items()},
        "paths": [] if chart.paths is None else list(map(_numbers, chart.paths[:PATHS_DRAWN])),
        "pCloseUp": None if chart.p_close_up is None else _numbers(chart.p_close_up),
    }
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")


def _bars(times: NDArray[np.datetime64], bars: NDArray[np.float64]) -> dict[str, list[Any]]:
    nanoseconds = times.astype("datetime64[ns]").astype(np.int64)
    seconds = [each // 10**9 if each % 10**9 == 0 else each / 1e9 for each in nanoseconds.tolist()]
    columns = {COLUMNS[at]: _numbers(bars[:, at]) for at in range(VOLUME + 1)}
    return {"time": seconds, **columns}


def _numbers(values: NDArray[np.float64]) -> list[float | None]:
    """Numbers without digits that say nothing; what is not finite is none."""
    return [
        float(f"{each:.{SIGNIFICANT_DIGITS}g}") if np.isfinite(each) else None
        for each in values.tolist()
    ]


def _table(chart: Chart) -> str:
    names = ["time", "open", "high", "low", "close"]
    names += [f"close {q:.4g}" for q in sorted(chart.quantiles)]
    if chart.p_close_up is not None:
        names.append("P(close up)")
    rows = []
    decimals = chart.decimals()
    for at in range(min(len(chart.future), ROWS_IN_TABLE)):
        prices = [*chart.mean[at, : CLOSE + 1]]
        prices += [chart.quantiles[q][at] for q in sorted(chart.quantiles)]
        cells = [chart.moment(chart.future[at]), *(f"{each:.{decimals}f}" for each in prices)]
        if chart.p_close_up is not None:
            cells.append(f"{chart.p_close_up[at]:.0%}")
        rows.append(f"<tr>{''.join(f'<td>{each}</td>' for each in cells)}</tr>\n")
    hidden = len(chart.future) - len(rows)
    more = f"<p>and {hidden:,} bars more</p>" if hidden else ""
    heads = "".join(f'<th scope="col">{each}</th>' for each in names)
    return (
        "<details><summary>The forecast as a table</summary>\n"
        f"<table><thead><tr>{heads}</tr></thead>\n<tbody>\n{''.join(rows)}</tbody></table>{more}"
        "</details>\n"
    )
