"""The sessions that a history shows: the times of the day and the weekdays that have bars."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trueup.forecasting.bars import Times
from trueup.forecasting.frequency import DAY, Step

WEEKDAYS = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Sessions:
    """The times of the day that have bars, in nanoseconds, for each weekday from Monday on."""

    times: tuple[tuple[int, ...], ...]

    @property
    def is_all_week(self) -> bool:
        """Whether every day is like every other one."""
        return all(each == self.times[0] for each in self.times)

    def on_grid(self, anchor: np.datetime64, step: Step) -> Sessions:
        """Those of the times that are whole steps from the time of the day of `anchor`."""
        clock = int((anchor - anchor.astype("datetime64[D]")).astype(np.int64))
        return Sessions(
            times=tuple(
                tuple(time for time in day if (time - clock) % step.nanoseconds == 0)
                for day in self.times
            )
        )


def sessions_for(wall: Times, own: Step, step: Step, remarks: list[str]) -> Sessions | None:
    """The sessions of bars that are `step` apart, from a history whose bars are `own` apart."""
    if own.nanoseconds == step.nanoseconds:
        return find_sessions(wall, step, remarks)
    if not own.months and step.nanoseconds % own.nanoseconds == 0:
        sessions = find_sessions(wall, own, remarks)
        if sessions is None:
            return None
        thinned = sessions.on_grid(wall[-1], step)
        if any(thinned.times):
            return thinned
    remarks.append(
        f"the history has no bars {step.words()} apart: bars are taken to go on without a gap"
    )
    return None


def find_sessions(wall: Times, step: Step, remarks: list[str]) -> Sessions | None:
    """The sessions that `wall` shows; None where bars go on day and night.

    A time of the day counts where at least half of the days that could have it do.
    """
    days = wall.astype("datetime64[D]")
    clock = (wall - days).astype(np.int64)
    kinds = np.unique(days)
    per_day = DAY // step.nanoseconds
    gaps = np.diff(wall.astype(np.int64)) > step.nanoseconds
    if step.on_weekdays is False and not gaps.any():
        if kinds[-1] - kinds[0] < np.timedelta64(WEEKDAYS, "D"):
            remarks.append(
                "the history is shorter than a week and has no gap: "
                "bars are taken to go on day and night"
            )
        return None
    common = _usual(days, clock, kinds)
    if len(common) * 2 < min(per_day, len(np.unique(clock))) and len(common) < 2:
        remarks.append("the history shows no sessions: bars are taken to go on without a gap")
        return None
    if step.nanoseconds not in np.diff(common):
        remarks.append(
            f"the sessions of the history have no bars {step.words()} apart: "
            "bars are taken to go on without a gap"
        )
        return None
    weekdays = weekdays_of(wall, step, remarks)
    times: list[tuple[int, ...]] = [()] * WEEKDAYS
    # A weekday's own times need one whole day of each; the first and the last may be parts.
    by_weekday = kinds[-1] - kinds[0] >= np.timedelta64(2 * WEEKDAYS, "D")
    for weekday in weekdays:
        own: NDArray[np.int64] = common
        if by_weekday:
            chosen = weekday_of(days) == weekday
            own = _usual(days[chosen], clock[chosen], np.unique(days[chosen]), whole=True)
            own = _without_holes(own, common, step.nanoseconds)
        times[weekday] = tuple(int(each) for each in own)
    if not any(times):
        return None
    return Sessions(times=tuple(times))


def _usual(
    days: Times, clock: NDArray[np.int64], kinds: Times, *, whole: bool = False
) -> NDArray[np.int64]:
    """The times of the day on at least half of the days that reach them."""
    values, counts = np.unique(clock, return_counts=True)
    possible = np.full(len(values), len(kinds))
    if not whole:
        first, last = clock[days == kinds[0]], clock[days == kinds[-1]]
        if len(kinds) > 1:
            possible -= values < first.min()
            possible -= values > last.max()
    return np.asarray(values[counts * 2 >= np.maximum(possible, 1)], dtype=np.int64)


def _without_holes(
    own: NDArray[np.int64], common: NDArray[np.int64], step: int
) -> NDArray[np.int64]:
    """With the single bars that a weekday lacks and the other days have: they were not traded."""
    missing = np.setdiff1d(common, own)
    lonely = missing[np.isin(missing - step, own) & np.isin(missing + step, own)]
    return np.union1d(own, lonely)


def weekdays_of(wall: Times, step: Step, remarks: list[str]) -> tuple[int, ...]:
    """The weekdays that have bars."""
    if step.on_weekdays:
        return (0, 1, 2, 3, 4)
    days = np.unique(wall.astype("datetime64[D]"))
    seen = np.unique(weekday_of(days))
    if days[-1] - days[0] >= np.timedelta64(WEEKDAYS - 1, "D"):
        # Of a weekday that came at least four times, one day in four is not an exception.
        span = int((days[-1] - days[0]).astype(int)) // WEEKDAYS
        kept = [int(day) for day in seen if np.sum(weekday_of(days) == day) * 4 >= max(1, span)]
        return tuple(kept) or tuple(range(WEEKDAYS))
    if np.isin(seen, (5, 6)).any():
        remarks.append("the history is shorter than a week and has a weekend: every day has bars")
        return tuple(range(WEEKDAYS))
    remarks.append("the history is shorter than a week: Saturdays and Sundays are left out")
    return (0, 1, 2, 3, 4)


def weekday_of(days: Times) -> NDArray[np.int64]:
    """0 for Monday; 1970-01-01 was a Thursday."""
    return np.asarray((days.astype("datetime64[D]").astype(np.int64) + 3) % WEEKDAYS)
