"""Forecasts as one table, a row for each bar to come: the columns of a frame and of a CSV file."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from trueup.forecasting.bars import MICROSECONDS
from trueup.forecasting.result import SeriesForecast
from trueup.protocol.candles import COLUMNS

TIME = "timestamps"
ID = "series"


def numbers(forecast: SeriesForecast) -> dict[str, NDArray[np.float32]]:
    """The columns of numbers, each [h].

    `open` to `amount` are means; `close_0.9` is a quantile, `close_sample_1` the first path.
    """
    columns = {name: forecast.mean[:, at] for at, name in enumerate(COLUMNS)}
    columns["p_close_up"] = forecast.p_close_up
    columns["expected_range"] = forecast.expected_range
    for level, values in forecast.quantiles.items():
        columns |= {f"{name}_{level:g}": values[:, at] for at, name in enumerate(COLUMNS)}
    for number, path in enumerate(() if forecast.paths is None else forecast.paths, start=1):
        columns |= {f"{name}_sample_{number}": path[:, at] for at, name in enumerate(COLUMNS)}
    return columns


def shown_times(forecast: SeriesForecast) -> list[str]:
    """The times as texts, with their offset from UTC where the history has one."""
    if forecast.timezone is None:
        seconds = forecast.timestamps.astype("datetime64[s]")
        texts = [str(second).replace("T", " ") for second in seconds]
        return [text[:10] for text in texts] if _are_days(texts) else texts
    moments = forecast.timestamps.astype(MICROSECONDS).tolist()
    return [
        moment.replace(tzinfo=UTC).astimezone(forecast.timezone).isoformat(" ")
        for moment in moments
    ]


def write_csv(forecasts: Sequence[SeriesForecast], file: TextIO, *, with_id: bool) -> None:
    """Write the table, with a column of names where there are several series."""
    writer = csv.writer(file, lineterminator="\n")
    first = [ID, TIME] if with_id else [TIME]
    writer.writerow([*first, *numbers(forecasts[0])])
    writer.writerows(_rows(forecasts, with_id=with_id))


def _rows(forecasts: Iterable[SeriesForecast], *, with_id: bool) -> Iterator[list[Any]]:
    for forecast in forecasts:
        columns = [column.astype(str) for column in numbers(forecast).values()]
        for at, time in enumerate(shown_times(forecast)):
            first = [forecast.name, time] if with_id else [time]
            yield [*first, *(column[at] for column in columns)]


def _are_days(texts: Sequence[str]) -> bool:
    return all(text.endswith(" 00:00:00") for text in texts)
