"""Draws a chart where it is wanted; what cannot work is told before anything is computed."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TextIO

from trueup.errors import ConfigError
from trueup.forecasting.pictures import html, png, terminal
from trueup.forecasting.pictures.chart import Chart
from trueup.forecasting.pictures.destination import TERMINAL, check_place, kind_of

PACKAGES = {TERMINAL: "plotext", ".png": "matplotlib"}
EXTRA_HINT = "pip install 'trueup[forecast]'"


def check_destination(destination: str | Path) -> None:
    """Make sure that a chart can be drawn there: call it before the forecast is computed.

    Raises: ConfigError where the suffix is none of ours, the folder is missing or not writable,
    or a package is not installed.
    """
    kind = check_place(destination)
    if kind == ".html":
        html.library()
    else:
        _check_package(PACKAGES[kind])


def draw(
    chart: Chart,
    destination: str | Path,
    history_bars: int | None = None,
    stream: TextIO | None = None,
) -> list[str]:
    """Draw the chart with the last `history_bars` bars of history; remarks on what is not in it.

    The default number of bars is what the kind of picture shows well. `stream` is where the
    terminal's picture goes, standard output by default. A file there is replaced.

    Raises: ConfigError as `check_destination`, and where the file cannot be written.
    """
    check_destination(destination)
    if history_bars is not None and history_bars < 1:
        raise ConfigError(
            f"a chart cannot show {history_bars} bars of history",
            where="history_bars",
            hint="give 1 or more",
        )
    chart, remarks = chart.finite()
    kind = kind_of(destination)
    if kind == TERMINAL:
        remarks += terminal.draw(chart, history_bars, stream or sys.stdout)
        return remarks
    draws = html.page if kind == ".html" else png.image
    picture, told = draws(chart, history_bars)
    remarks += told
    try:
        Path(destination).write_bytes(picture)
    except OSError as error:
        raise ConfigError(
            f"the chart cannot be written: {error.strerror or error}", where=str(destination)
        ) from error
    return remarks


def _check_package(name: str) -> None:
    # Imported, not only found: plotext draws with a compiled part that not every build has.
    try:
        importlib.import_module(name)
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError)
        raise ConfigError(
            f"`{name}` is not installed" if missing else f"`{name}` cannot be imported: {error}",
            where="the packages of this Python environment",
            hint=EXTRA_HINT,
        ) from error
