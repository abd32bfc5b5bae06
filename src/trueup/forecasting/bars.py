"""Bars of a series, as Kronos takes them: six numbers each, in the order of time.

numpy and the standard library alone. What can be mended is mended and told in `remarks`; what
cannot be is a RequestError.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo

import numpy as np
from numpy.typing import NDArray

from trueup.errors import RequestError
from trueup.protocol.candles import COLUMNS, PRICES

CLOSE = COLUMNS.index("close")
VOLUME = COLUMNS.index("volume")
MICROSECONDS = "datetime64[us]"
NANOSECONDS = "datetime64[ns]"

Times = NDArray[np.datetime64]
Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One series: n bars, each later than the one before.

    `timestamps` [n] are what was written; where they have a `timezone` they are in UTC.
    `values` [n, 6] follow COLUMNS.
    """

    name: str
    timestamps: Times
    values: Values
    has_volume: bool = True
    has_amount: bool = True
    timezone: tzinfo | None = None
    remarks: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.timestamps)

    def wall_clock(self) -> Times:
        """The timestamps as a clock at the exchange shows them, without a zone."""
        return wall_clock(self.timestamps, self.timezone)

    def last(self, count: int) -> Series:
        """The newest `count` bars."""
        return self.between(max(0, len(self) - count), len(self))

    def between(self, start: int, stop: int) -> Series:
        """Bars by position; copies, so that nothing of the others can be reached from them."""
        return replace(
            self,
            timestamps=self.timestamps[start:stop].copy(),
            values=self.values[start:stop].copy(),
        )


def build_series(
    name: str,
    timestamps: Times,
    columns: Mapping[str, NDArray[np.float64]],
    *,
    timezone: tzinfo | None = None,
    remarks: Sequence[str] = (),
) -> Series:
    """Bars in any order as a series; `columns` has the prices, and volume and amount or not.

    Sorts by time. A missing volume makes volume and amount 0; a missing amount is the volume
    times the mean of the four prices: both as the published predictor has it.

    Raises: RequestError where there is no bar, a price is missing, or a time comes twice.
    """
    count = len(timestamps)
    if not count:
        raise RequestError("there is no bar, expected 1 or more", param="bars", where=_place(name))
    missing = [column for column in PRICES if column not in columns]
    if missing:
        raise RequestError(
            f"no column for {', '.join(f'`{each}`' for each in missing)}",
            param="bars",
            where=_place(name),
            hint=f"name the columns {', '.join(COLUMNS)}; volume and amount may be left out",
        )
    told = list(remarks)
    has_volume = "volume" in columns
    has_amount = has_volume and "amount" in columns
    values = np.zeros((count, len(COLUMNS)), dtype=np.float64)
    for position, column in enumerate(COLUMNS):
        if column in columns and (has_volume or column in PRICES):
            values[:, position] = columns[column]
    if not has_volume:
        extra = "; the amount is left out" if "amount" in columns else ""
        told.append(f"no volume: volume and amount are taken as 0{extra}")
    elif not has_amount:
        values[:, 5] = values[:, VOLUME] * values[:, :4].mean(axis=1)
        told.append("no amount: taken as volume times the mean of the four prices")
    times = timestamps.astype(NANOSECONDS)
    if np.any(times[1:] < times[:-1]):
        order = np.argsort(times, kind="stable")
        times, values = times[order], values[order]
        told.append("the bars were not in the order of time and were sorted")
    refuse_doubled(times, name)
    return Series(
        name=name,
        timestamps=times,
        values=values,
        has_volume=has_volume,
        has_amount=has_amount,
        timezone=timezone,
        remarks=tuple(told),
    )


def refuse_doubled(times: Times, name: str) -> None:
    """Raises: RequestError where a time of the sorted `times` comes twice."""
    doubled = np.flatnonzero(times[1:] == times[:-1])
    if len(doubled):
        raise RequestError(
            f"the time {shown_time(times[doubled[0]])} comes more than once"
            + (f", as do {len(doubled) - 1} others" if len(doubled) > 1 else ""),
            param="timestamps",
            where=_place(name),
            hint="keep one bar for each time; "
            "several series in one table need a column that names them (`id_column`)",
        )


def check_bars(series: Series) -> tuple[str, ...]:
    """What is odd about the bars of `series`, in words; their numbers are left as they are.

    Raises: RequestError where a number is NaN or infinite.
    """
    values = series.values
    finite = np.isfinite(values)
    if not finite.all():
        row, column = (int(each) for each in np.argwhere(~finite)[0])
        rows = int((~finite.all(axis=1)).sum())
        more = "" if rows == 1 else f"; {rows} of these {len(series)} bars have such numbers"
        raise RequestError(
            f"`{COLUMNS[column]}` is {values[row, column]} at "
            f"{shown_time(series.wall_clock()[row])}{more}",
            param="bars",
            where=_place(series.name),
            hint="leave out or fill the bars that have no number",
        )
    told = []
    prices = values[:, :4]
    if np.all(prices == prices[0, :1]):
        told.append(
            f"the prices do not move over {_bars(len(series))}: "
            "with zero deviation the forecast can only repeat them"
        )
    odd = int(np.sum(_is_odd(values)))
    if odd:
        told.append(
            f"{_bars(odd)} of the history with the high below or the low above another price"
        )
    negative = int(np.sum(np.any(values[:, VOLUME:] < 0, axis=1)))
    if negative:
        told.append(f"{_bars(negative)} of the history with a negative volume or amount")
    return tuple(told)


def count_odd(values: NDArray[np.floating]) -> int:
    """How many bars of `values` [..., 6] no market could have had."""
    return int(np.sum(_is_odd(values) | np.any(values[..., VOLUME:] < 0, axis=-1)))


def repaired(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """A copy of `values` [..., 6] whose high and low bound the prices and no volume is negative."""
    mended = values.copy()
    mended[..., 1] = values[..., :4].max(axis=-1)
    mended[..., 2] = values[..., :4].min(axis=-1)
    mended[..., VOLUME:] = np.maximum(values[..., VOLUME:], 0)
    return mended


def _is_odd(values: NDArray[np.floating]) -> NDArray[np.bool_]:
    highest, lowest = values[..., :4].max(axis=-1), values[..., :4].min(axis=-1)
    return np.asarray((values[..., 1] < highest) | (values[..., 2] > lowest))


def wall_clock(times: Times, zone: tzinfo | None) -> Times:
    """UTC `times` as a clock in `zone` shows them; as they are where there is no zone."""
    if zone is None or not len(times):
        return times
    moments = times.astype(MICROSECONDS).tolist()
    local = [moment.replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None) for moment in moments]
    return np.array(local, dtype=NANOSECONDS)


def from_wall_clock(times: Times, zone: tzinfo | None) -> Times:
    """The reverse of `wall_clock`; an hour that comes twice is the first one."""
    if zone is None or not len(times):
        return times
    moments = times.astype(MICROSECONDS).tolist()
    instants = [
        datetime.replace(moment, tzinfo=zone).astimezone(UTC).replace(tzinfo=None)
        for moment in moments
    ]
    return np.array(instants, dtype=NANOSECONDS)


def shown_time(time: np.datetime64) -> str:
    """A time for people: without what is zero at its end."""
    text = str(time.astype("datetime64[us]")).replace("T", " ")
    text = text.removesuffix(".000000")
    return text.removesuffix(" 00:00:00")


def _place(name: str) -> str | None:
    return f"series `{name}`" if name else None


def _bars(count: int) -> str:
    return "1 bar" if count == 1 else f"{count:,} bars"
