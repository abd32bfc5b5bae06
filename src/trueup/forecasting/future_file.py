"""The times to come, from a CSV file of them."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from trueup.errors import RequestError
from trueup.forecasting.bars import Series, Times, from_wall_clock
from trueup.forecasting.columns import find_time_and_id
from trueup.forecasting.times import TimeReader


def read_futures(path: str | Path, series: Sequence[Series]) -> list[Times]:
    """The times to come of each series, from a CSV file of them; one list does for all.

    Times without an offset are those of a clock at the exchange.

    Raises: RequestError where the file is not what it should be, or lacks a series.
    """
    place = str(path)
    try:
        with Path(path).expanduser().open(encoding="utf-8-sig", newline="") as file:
            names, *rows = [row for row in csv.reader(file) if row] or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise RequestError(
            f"the times cannot be read: {reason}", param="future", where=place
        ) from error
    time_at, id_at = find_time_and_id(names, place)
    if any(len(row) != len(names) for row in rows):
        raise RequestError("the lines are not all as long", param="future", where=place)
    owners: dict[str, list[str]] = {}
    for row in rows:
        owners.setdefault("" if id_at is None else row[id_at].strip(), []).append(row[time_at])
    found = []
    for each in series:
        texts = owners.get("" if id_at is None else each.name, [])
        reader = TimeReader(place)
        times = reader.read(texts)
        if reader.timezone is not None and each.timezone is None:
            raise RequestError(
                "these times have an offset from UTC, those of the history have none",
                param="future",
                where=place,
            )
        is_local = reader.timezone is None
        found.append(from_wall_clock(times, each.timezone) if is_local else times)
    return found
