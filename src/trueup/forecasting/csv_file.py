"""Bars from a CSV file of any length in bounded memory.

Of each series the newest bars are kept, whatever the order of the rows; times are read in all.
"""

from __future__ import annotations

import csv
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from io import StringIO
from itertools import islice
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from trueup.errors import RequestError
from trueup.forecasting.bars import (
    Series,
    Times,
    build_series,
    refuse_doubled,
    shown_time,
)
from trueup.forecasting.columns import Roles, find_roles
from trueup.forecasting.frequency import NEWEST_BARS
from trueup.forecasting.times import TimeReader
from trueup.protocol.candles import COLUMNS

STDIN = "-"
PART_ROWS, HEADER_CHARACTERS = 16_384, 100_000
WAITING_ROWS = 100_000  # of text, not yet read as numbers, of all series: some 50 MB
# So many series may each keep what tells the sessions; of more, only what is asked for is kept.
FEW_SERIES = 64
MOST_BARS = 20_000_000  # 56 bytes each
DELIMITERS = (",", ";", "\t", "|")
EMPTY = frozenset(("", "nan", "na", "n/a", "null", "none", "-"))

Row = list[str]


def read_csv(
    path: str | Path,
    rows: int,
    *,
    time_column: str | None = None,
    id_column: str | None = None,
    on_rows: Callable[[int], None] = lambda count: None,
) -> list[Series]:
    """The newest `rows` bars, or more, of each series in the file, in the order of their names.

    `-` is standard input. `on_rows` is told how many rows have been read.

    Raises: RequestError where the file is not there or not what it should be.
    """
    place = "standard input" if str(path) == STDIN else str(path)
    try:
        if str(path) == STDIN:
            return _Reading(place, rows, time_column, id_column).read(sys.stdin, on_rows)
        with Path(path).expanduser().open(encoding="utf-8-sig", newline="") as file:
            return _Reading(place, rows, time_column, id_column).read(file, on_rows)
    except UnicodeDecodeError as error:
        raise RequestError(
            "the file is not UTF-8",
            param="bars",
            where=place,
            hint=f"iconv -f GB18030 -t UTF-8 {shlex.quote(place)} > utf8.csv",
        ) from error
    except csv.Error as error:
        raise RequestError(f"the file is no CSV: {error}", param="bars", where=place) from error
    except OSError as error:
        raise RequestError(
            f"the file cannot be read: {error.strerror or error}", param="bars", where=place
        ) from error


def read_text(
    text: str,
    rows: int,
    *,
    place: str,
    time_column: str | None = None,
    id_column: str | None = None,
) -> list[Series]:
    """The same of a table that is there as text.

    Raises: RequestError where it is not what it should be.
    """
    try:
        file = StringIO(text.removeprefix("\ufeff"), newline="")
        return _Reading(place, rows, time_column, id_column).read(file, lambda count: None)
    except csv.Error as error:
        raise RequestError(f"the text is no CSV: {error}", param="bars", where=place) from error


class _Reading:
    def __init__(
        self, place: str, rows: int, time_column: str | None, id_column: str | None
    ) -> None:
        self._place = place
        self._rows = rows
        self._time_column = time_column
        self._id_column = id_column
        self._times = TimeReader(place)
        self._tails: dict[str, _Tail] = {}

    def read(self, file: TextIO, on_rows: Callable[[int], None]) -> list[Series]:
        reader, names = self._header(file)
        roles = find_roles(
            names, time_column=self._time_column, id_column=self._id_column, place=self._place
        )
        if not roles.time:
            raise RequestError(
                f"no column has the times; there are {', '.join(f'`{n}`' for n in names[:12])}",
                param="timestamps",
                where=self._place,
                hint="name it `timestamps`, or say which it is (`timestamp_column`)",
            )
        count = 0
        width = len(names)
        while part := list(islice(reader, PART_ROWS)):
            lines = count + 2
            count += len(part)
            if set(map(len, part)) != {width}:
                part = self._even(part, width, lines)
            self._take(part, roles)
            on_rows(count)
        if not count:
            raise RequestError("the file has no bar", param="bars", where=self._place)
        told = [*roles.remarks, *self._times.remarks]
        limit = self._limit()
        return [self._tails[name].series(told, self._times, limit) for name in sorted(self._tails)]

    def _even(self, part: Sequence[Row], width: int, line: int) -> list[Row]:
        """Without blank lines; every other row is as long as the first line."""
        for position, row in enumerate(part):
            if row and len(row) != width:
                raise RequestError(
                    f"a line has {len(row)} fields, the first one has {width}: "
                    f"`{','.join(row)[:60]}`",
                    param="bars",
                    where=f"{self._place}:{line + position}",
                )
        return [row for row in part if row]

    def _header(self, file: TextIO) -> tuple[Iterator[Row], Row]:
        first = file.readline(HEADER_CHARACTERS).removeprefix("\ufeff")
        if not first.strip():
            raise RequestError("the file is empty", param="bars", where=self._place)
        if "\0" in first or len(first) >= HEADER_CHARACTERS - 1:
            why = "it is binary" if "\0" in first else "its first line does not end"
            raise RequestError(f"the file is no CSV: {why}", param="bars", where=self._place)
        delimiter = max(DELIMITERS, key=first.count)
        names = next(csv.reader([first], delimiter=delimiter))
        if all(name.strip() and _number(name) is not None for name in names[1:]):
            raise RequestError(
                f"the first line has numbers where the names of the columns are expected: "
                f"`{first.strip()[:60]}`",
                param="bars",
                where=f"{self._place}:1",
                hint="put a line before it: timestamps,open,high,low,close,volume,amount",
            )
        return csv.reader(file, delimiter=delimiter), names

    def _take(self, part: Sequence[Row], roles: Roles) -> None:
        if len(roles.time) == 2:
            date, clock = roles.time
            texts = [f"{row[date]} {row[clock]}" for row in part]
        else:
            texts = [row[roles.time[0]] for row in part]
        times = self._times.read(texts)
        if roles.id is None:
            self._tail("", roles).add(times, part)
        else:
            members: dict[str, list[int]] = {}
            for position, row in enumerate(part):
                members.setdefault(row[roles.id].strip(), []).append(position)
            for name, positions in members.items():
                rows = [part[position] for position in positions]
                self._tail(name, roles).add(times[np.array(positions)], rows)
        if sum(tail.waiting for tail in self._tails.values()) > WAITING_ROWS:
            limit = self._limit()
            for tail in self._tails.values():
                tail.settle(limit)
            kept = sum(tail.kept for tail in self._tails.values())
            if kept > MOST_BARS:
                raise RequestError(
                    f"{len(self._tails):,} series keep {kept:,} bars, expected at most "
                    f"{MOST_BARS:,}",
                    param="bars",
                    where=self._place,
                    hint="split the file by series, or ask for a shorter history (lookback)",
                )

    def _limit(self) -> int:
        few = len(self._tails) <= FEW_SERIES
        return max(self._rows, NEWEST_BARS) if few else self._rows

    def _tail(self, name: str, roles: Roles) -> _Tail:
        if name not in self._tails:
            self._tails[name] = _Tail(name, roles, self._place)
        return self._tails[name]


class _Tail:
    """The newest bars of one series, settled as numbers or waiting as rows of text."""

    def __init__(self, name: str, roles: Roles, place: str) -> None:
        self._name = name
        self._place = place
        self._columns = [column for column in COLUMNS if column in roles.bars]
        self._positions = [roles.bars[column] for column in self._columns]
        self._times: Times = np.empty(0, dtype="datetime64[ns]")
        self._values: NDArray[np.float64] = np.empty((0, len(self._columns)))
        self._waiting_times: list[Times] = []
        self._waiting: list[Row] = []
        self._is_sorted = True

    @property
    def waiting(self) -> int:
        """Rows of text."""
        return len(self._waiting)

    @property
    def kept(self) -> int:
        """Bars as numbers."""
        return len(self._times)

    def add(self, times: Times, rows: Sequence[Row]) -> None:
        self._waiting_times.append(times)
        self._waiting += rows

    def settle(self, limit: int) -> None:
        """Keep the newest `limit` bars, as numbers."""
        if not self._waiting:
            return
        held = len(self._times)
        times = np.concatenate([self._times, *self._waiting_times])
        order = np.arange(len(times))
        if np.any(times[1:] < times[:-1]):
            self._is_sorted = False
            order = np.argsort(times, kind="stable")
        refuse_doubled(times[order], self._name or self._place)
        newest = order[-limit:]
        values = np.empty((len(newest), len(self._columns)))
        old = newest < held
        values[old] = self._values[newest[old]]
        if not old.all():
            waited = newest[~old]
            rows = [self._waiting[at - held] for at in waited.tolist()]
            values[~old] = self._numbers(rows, times[waited])
        self._times, self._values = times[newest], values
        self._waiting_times, self._waiting = [], []

    def series(self, remarks: Iterable[str], times: TimeReader, limit: int) -> Series:
        self.settle(limit)
        told = list(remarks)
        if not self._is_sorted:
            told.append("the bars were not in the order of time and were sorted")
        return build_series(
            self._name,
            self._times,
            {column: self._values[:, at] for at, column in enumerate(self._columns)},
            timezone=times.timezone,
            remarks=told,
        )

    def _numbers(self, rows: Sequence[Row], times: Times) -> NDArray[np.float64]:
        try:
            listed = [[float(row[at]) for at in self._positions] for row in rows]
        except ValueError:
            listed = [self._careful(row, time) for row, time in zip(rows, times, strict=True)]
        return np.array(listed, dtype=np.float64)

    def _careful(self, row: Row, time: np.datetime64) -> list[float]:
        numbers = []
        for column, at in zip(self._columns, self._positions, strict=True):
            number = _number(row[at])
            if number is None:
                raise RequestError(
                    f"`{column}` is `{row[at]}` at {shown_time(time)}, expected a number",
                    param="bars",
                    where=self._place,
                )
            numbers.append(number)
        return numbers


def _number(text: str) -> float | None:
    """A number; NaN where the field is empty; None where it is something else."""
    plain = text.strip()
    if plain.lower() in EMPTY:
        return float("nan")
    try:
        return float(plain)
    except ValueError:
        return None
