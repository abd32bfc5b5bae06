"""Carries out `trueup forecast`: reads, loads, computes, and hands on to what shows it."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trueup.cli.downloading import DownloadLine
from trueup.cli.forecast_report import backtest_report, forecast_report
from trueup.cli.forecast_text import backtest_lines, counted, forecast_lines
from trueup.cli.similar_progress import ProgressLine
from trueup.errors import RequestError
from trueup.forecasting import defaults
from trueup.forecasting.backtest import backtest, rows_needed
from trueup.forecasting.bars import Series, Times
from trueup.forecasting.calendar import future_timestamps
from trueup.forecasting.csv_file import read_csv
from trueup.forecasting.demo import NOTICE, demo_forecaster, demo_series
from trueup.forecasting.forecast import Request, forecast_series
from trueup.forecasting.future_file import read_futures
from trueup.forecasting.result import SeriesForecast, joined_remarks
from trueup.forecasting.table import write_csv

if TYPE_CHECKING:
    from trueup.kronos.forecaster import Forecaster

# The longest context of a published model: what is read where nobody gives a longer one.
LONGEST_CONTEXT = 2048
STDOUT = "-"
TERMINAL = "terminal"
# What a refusal may be of that is in the file of candles.
OF_BARS = ("bars", "timestamps", "freq")


def run_forecast(arguments: argparse.Namespace, request: Request) -> int:
    """Forecast the series of the file."""
    with _placed(arguments):
        return _forecast(arguments, request)


def run_backtest(arguments: argparse.Namespace, request: Request) -> int:
    """Compare forecasts of bars that the file has with them."""
    with _placed(arguments):
        return _backtest(arguments, request)


@contextmanager
def _placed(arguments: argparse.Namespace) -> Iterator[None]:
    """What is wrong with bars or times is in the file that they are of; options as typed here."""
    try:
        yield
    except RequestError as error:
        places = {"future": arguments.future} | dict.fromkeys(OF_BARS, arguments.candles)
        place = error.where or places.get(error.param or "")
        hint = error.hint and error.hint.replace("`id_column`", "`--id-column`")
        raise RequestError(error.cause, param=error.param, where=place, hint=hint) from error


def _forecast(arguments: argparse.Namespace, request: Request) -> int:
    if arguments.plot is not None:
        from trueup.forecasting.pictures import check_destination

        check_destination(arguments.plot)
    rows = arguments.lookback or arguments.context or LONGEST_CONTEXT
    series = _series(arguments, rows)
    futures: Sequence[Times | None] = [None] * len(series)
    if arguments.future is not None:
        futures = read_futures(arguments.future, series)
    for each, times in zip(series, futures, strict=True):
        if times is None:  # told before a model is downloaded
            future_timestamps(each, request.horizon, request.freq)
    forecaster = None if arguments.url else _forecaster(arguments)
    progress = _Progress(request.horizon, len(series), request.samples)
    try:
        if forecaster is None:
            forecasts = _asked(arguments, series, futures, request, progress)
        else:
            forecasts = forecast_series(
                forecaster, series, request, futures=futures, on_step=progress.told
            )
    finally:
        progress.clear()
    notices = [NOTICE] if arguments.demo else []
    for remark in (*notices, *joined_remarks(forecasts)):
        _say(f"note: {remark}")
    _write(arguments, forecasts)
    if arguments.plot is not None:
        _draw(arguments, series, forecasts)
    if arguments.format == "json":
        report = forecast_report(forecasts, _model(arguments), request, notices)
        print(json.dumps(report, ensure_ascii=False))
    elif arguments.output is None and arguments.plot != TERMINAL:
        print("\n".join([*notices, *forecast_lines(forecasts)]))
    return 0


def _backtest(arguments: argparse.Namespace, request: Request) -> int:
    origins = arguments.origins or defaults.ORIGINS
    context = arguments.lookback or arguments.context or LONGEST_CONTEXT
    rows = rows_needed(replace(request, lookback=context), context, origins, arguments.stride)
    series = _series(arguments, rows)
    forecaster = _forecaster(arguments)
    progress = _Progress(request.horizon, len(series) * origins, request.samples, unit="forecast")
    try:
        result = backtest(
            forecaster,
            series,
            request,
            origins=origins,
            stride=arguments.stride,
            on_step=progress.told,
        )
    finally:
        progress.clear()
    notices = [NOTICE] if arguments.demo else []
    for remark in (*notices, *result.remarks):
        _say(f"note: {remark}")
    if arguments.format == "json":
        report = backtest_report(result, _model(arguments), request, notices)
        print(json.dumps(report, ensure_ascii=False))
    else:
        print("\n".join([*notices, *backtest_lines(result)]))
    return 0


def _series(arguments: argparse.Namespace, rows: int) -> list[Series]:
    if arguments.demo:
        return [demo_series()]
    line = ProgressLine()
    try:
        return read_csv(
            arguments.candles,
            rows,
            time_column=arguments.timestamp_column,
            id_column=arguments.id_column,
            on_rows=lambda count: line.show(f"(reading: {count:,} rows)"),
        )
    finally:
        line.clear()


def _forecaster(arguments: argparse.Namespace) -> Forecaster:
    if arguments.demo:
        return demo_forecaster()
    from trueup.kronos.loading import load_forecaster

    if arguments.dtype != "float32":
        _say(f"note: computed in {arguments.dtype}: another forecast than the published code's")
    return load_forecaster(
        arguments.model,
        tokenizer=arguments.tokenizer,
        context=arguments.context,
        revision=arguments.revision,
        device=arguments.device,
        dtype=arguments.dtype,
        progress=DownloadLine(),
    )


def _asked(
    arguments: argparse.Namespace,
    series: Sequence[Series],
    futures: Sequence[Times | None],
    request: Request,
    progress: _Progress,
) -> list[SeriesForecast]:
    from trueup.cli.forecast_client import ask_server

    return ask_server(arguments.url, arguments.model, series, futures, request, progress.told)


def _model(arguments: argparse.Namespace) -> str:
    return "demo" if arguments.demo else str(arguments.model)


def _write(arguments: argparse.Namespace, forecasts: Sequence[SeriesForecast]) -> None:
    if arguments.output is None:
        return
    with_id = any(each.name for each in forecasts) and not arguments.demo
    if arguments.output == STDOUT:
        write_csv(forecasts, sys.stdout, with_id=with_id)
        return
    with Path(arguments.output).open("w", encoding="utf-8", newline="") as file:
        write_csv(forecasts, file, with_id=with_id)
    _say(f"wrote {arguments.output}")


def _draw(
    arguments: argparse.Namespace, series: Sequence[Series], forecasts: Sequence[SeriesForecast]
) -> None:
    from trueup.forecasting.pictures import Chart, draw

    drawn: set[str] = set()
    title = None if arguments.demo or arguments.candles == STDOUT else Path(arguments.candles).name
    for each, forecast in zip(series, forecasts, strict=True):
        history, shown = _on_the_wall(each, forecast)
        if not each.name and title is not None:
            history = replace(history, name=title)
        if arguments.demo:
            shown = replace(shown, remarks=(NOTICE, *shown.remarks))
        where = _place(arguments.plot, each.name if len(series) > 1 else "", drawn)
        for remark in draw(Chart.of(history, shown), where, history_bars=arguments.plot_bars):
            _say(f"note: {remark}")
        if where != TERMINAL:
            _say(f"wrote {where}")


def _on_the_wall(series: Series, forecast: SeriesForecast) -> tuple[Series, SeriesForecast]:
    """With the times that a clock at the exchange shows, unless it was put back in between."""
    past, future = series.wall_clock(), forecast.wall_clock()
    times = np.concatenate([past, future])
    if not np.all(times[1:] > times[:-1]):
        return series, forecast
    return replace(series, timestamps=past), replace(forecast, timestamps=future)


def _place(plot: str, name: str, taken: set[str]) -> str:
    """Where the picture of one of several series goes: `chart.html` is `chart.NAME.html`.

    What no file's name can hold is `_`; a place that is `taken` gets a number.
    """
    if plot == TERMINAL or not name:
        return plot
    path = Path(plot)
    plain = "".join(each if each.isalnum() or each in "-_." else "_" for each in name)
    number, where = 1, str(path.with_name(f"{path.stem}.{plain}{path.suffix}"))
    while where in taken:
        number += 1
        where = str(path.with_name(f"{path.stem}.{plain}-{number}{path.suffix}"))
    taken.add(where)
    return where


@dataclass(slots=True)
class _Progress:
    """Says how far the sampling is: a line that moves on a terminal, else one at its beginning."""

    horizon: int
    series: int
    samples: int
    unit: str = "series"
    _line: Any = None
    _began: float = 0.0

    def told(self, step: int, bars: Sequence[Any] | NDArray[np.float32], first: int) -> None:
        now = time.monotonic()
        done = first * self.horizon + (step + 1) * len(bars)
        total = self.series * self.horizon
        if self._line is None:
            self._line, self._began = ProgressLine(), now
            if not self._line.is_seen:
                parts = ((self.series, self.unit), (self.horizon, "bar"), (self.samples, "sample"))
                _say(f"forecasting: {', '.join(counted(*part) for part in parts)}")
            return
        left = (now - self._began) / done * (total - done)
        self._line.show(
            f"(forecasting: bar {step + 1:,} of {self.horizon:,}, "
            f"{100 * done // max(1, total)} %, {left:.0f} s left)"
        )

    def clear(self) -> None:
        if self._line is not None:
            self._line.clear()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
