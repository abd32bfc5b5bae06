"""The step between bars: written as a frequency, or read off a history."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trueup.errors import RequestError
from trueup.forecasting.bars import NANOSECONDS, Series, Times

SECOND = 10**9
MINUTE, HOUR, DAY = 60 * SECOND, 3600 * SECOND, 86_400 * SECOND
# Older bars than these say nothing more about the sessions of today.
NEWEST_BARS = 12_000
LEAST_SHARE = 0.4  # two bars a day: half of the distances, less the weekends'
SHORTEST_MONTH_DAYS = 28
# pandas' names and those of exchanges: `m` is a minute, `M` a month.
UNITS: dict[str, tuple[str, int]] = {
    **dict.fromkeys(("s", "sec", "second", "S"), ("time", SECOND)),
    **dict.fromkeys(("m", "min", "minute", "T"), ("time", MINUTE)),
    **dict.fromkeys(("h", "hour", "H"), ("time", HOUR)),
    **dict.fromkeys(("d", "day", "D"), ("time", DAY)),
    **dict.fromkeys(("w", "week", "W"), ("time", 7 * DAY)),
    "B": ("weekday", DAY),
    **dict.fromkeys(("month", "M", "ME", "MS"), ("months", 1)),
    **dict.fromkeys(("quarter", "Q", "QE", "QS"), ("months", 3)),
    **dict.fromkeys(("year", "Y", "YE", "YS"), ("months", 12)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """From one bar to the next: `nanoseconds`, or whole `months` where that is not zero.

    `on_weekdays` where Saturdays and Sundays have no bars, whatever the history shows.
    """

    nanoseconds: int = 0
    months: int = 0
    on_weekdays: bool = False

    def words(self) -> str:
        """As people say it."""
        if self.months:
            return "1 month" if self.months == 1 else f"{self.months} months"
        for name, size in (("day", DAY), ("hour", HOUR), ("minute", MINUTE), ("second", SECOND)):
            if self.nanoseconds % size == 0:
                count = self.nanoseconds // size
                return f"{count} {name}" if count == 1 else f"{count} {name}s"
        return f"{self.nanoseconds / SECOND:g} seconds"


def parse_freq(text: str) -> Step:
    """`5min`, `1h`, `D`, `B`, `W`, `M`, … as a step.

    Raises: RequestError.
    """
    # pandas' offsets have their name beside them.
    text = str(getattr(text, "freqstr", text))
    found = re.fullmatch(r"\s*(\d*)\s*([A-Za-z]+?)(-[A-Z]{3})?\s*", text)
    unit = None if found is None else UNITS.get(found[2]) or UNITS.get(found[2].lower())
    if unit is None and found is not None and found[2].lower().endswith("s"):
        unit = UNITS.get(found[2].lower()[:-1])
    count = int(found[1] or 1) if found is not None else 0
    if unit is None or not 1 <= count <= 10**6:
        raise RequestError(
            f"`{text}` is no frequency",
            param="freq",
            hint="such as 30s, 5min, 1h, D, B (weekdays), W or M",
        )
    kind, size = unit
    if kind == "months":
        return Step(months=size * count)
    if kind == "weekday" and count != 1:
        raise RequestError(f"`{text}`: weekdays are counted one by one", param="freq", hint="B")
    return Step(nanoseconds=size * count, on_weekdays=kind == "weekday")


def infer_step(series: Series) -> Step:
    """The most frequent distance between bars that are neighbours.

    Raises: RequestError where there is one bar only or no distance is the usual one.
    """
    if len(series) < 2:
        raise RequestError(
            "one bar does not tell when the next one is",
            param="freq",
            where=_place(series),
            hint="give the frequency (5min, 1h, D) or the times of the forecast",
        )
    wall = series.wall_clock()[-NEWEST_BARS:]
    months = _months(wall)
    if months:
        return Step(months=months)
    sizes, counts = np.unique(np.diff(wall.astype(np.int64)), return_counts=True)
    share = counts.max() / counts.sum()
    step = Step(nanoseconds=int(sizes[counts.argmax()]))
    if share < LEAST_SHARE:
        raise RequestError(
            f"the times have no regular step: the most frequent one, {step.words()}, "
            f"is between {share:.0%} of the bars",
            param="freq",
            where=_place(series),
            hint="give the frequency (5min, 1h, D) or the times of the forecast",
        )
    return step


def _months(wall: Times) -> int:
    """The whole months from bar to bar, or 0; days may be the last ones of their months."""
    days = wall.astype("datetime64[D]")
    if np.any(np.diff(days) < np.timedelta64(SHORTEST_MONTH_DAYS, "D")):
        return 0
    months = wall.astype("datetime64[M]")
    steps = np.unique(np.diff(months).astype(np.int64))
    in_month = (days - months.astype("datetime64[D]")).astype(np.int64)
    ends = _month_days(months) - 1
    is_regular = np.all(np.minimum(in_month.max(), ends) == in_month) or np.all(ends == in_month)
    # Weekly-like steps of 28 days have other days in each month; last trading days are near ends.
    is_near_end = np.all(ends - in_month <= 3) or np.all(in_month <= 3)
    if len(steps) == 1 and steps[0] >= 1 and (is_regular or is_near_end):
        return int(steps[0])
    return 0


def add_months(wall: Times, months: int, horizon: int) -> Times:
    """The times that follow `wall` in whole months, at the day of the month that it has."""
    last = wall[-1]
    clock = last - last.astype("datetime64[D]")
    month = last.astype("datetime64[M]")
    days = wall.astype("datetime64[D]")
    in_month = (days - wall.astype("datetime64[M]").astype("datetime64[D]")).astype(np.int64)
    ends = _month_days(wall.astype("datetime64[M]")) - 1
    to_come = month + np.arange(1, horizon + 1) * np.timedelta64(months, "M")
    is_end = bool(np.all(ends - in_month <= 3)) and bool(np.any(ends == in_month))
    wanted = 31 if is_end else int(in_month.max())
    day = np.minimum(wanted, _month_days(to_come) - 1)
    return np.asarray(
        to_come.astype("datetime64[D]").astype(NANOSECONDS)
        + day * np.timedelta64(DAY, "ns")
        + clock
    )


def _month_days(months: Times) -> NDArray[np.int64]:
    begin = months.astype("datetime64[M]")
    return np.asarray(
        ((begin + 1).astype("datetime64[D]") - begin.astype("datetime64[D]")).astype(np.int64)
    )


def _place(series: Series) -> str | None:
    return f"series `{series.name}`" if series.name else None
