"""When the next bars will be: the step between bars, and the sessions that the past shows.

Pure numpy. Lunch breaks, nights and weekends are read off the history; holidays are not, because
nothing in bars tells of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trueup.errors import RequestError
from trueup.forecasting.bars import (
    NANOSECONDS,
    Series,
    Times,
    from_wall_clock,
    shown_time,
)
from trueup.forecasting.frequency import (
    DAY,
    MINUTE,
    NEWEST_BARS,
    Step,
    add_months,
    infer_step,
    parse_freq,
)

WEEKDAYS = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Sessions:
    """The times of the day that have bars, in nanoseconds, for each weekday from Monday on."""

    times: tuple[tuple[int, ...], ...]

    @property
    def is_all_week(self) -> bool:
        """Whether every day is like every other one."""
        return all(each == self.times[0] for each in self.times)


@dataclass(frozen=True, slots=True, kw_only=True)
class Future:
    """The times of bars to come, and what had to be assumed."""

    timestamps: Times
    step: Step
    remarks: tuple[str, ...] = ()


def future_timestamps(series: Series, horizon: int, freq: str | None = None) -> Future:
    """The times of the `horizon` bars after `series`, in the zone that it has.

    The step is `freq` or that of the history; sessions and weekdays are those of the history.

    Raises: RequestError where neither tells the step.
    """
    step = infer_step(series) if freq is None else parse_freq(freq)
    wall = series.wall_clock()[-NEWEST_BARS:]
    remarks: list[str] = []
    if step.months:
        return Future(
            timestamps=from_wall_clock(add_months(wall, step.months, horizon), series.timezone),
            step=step,
        )
    if step.nanoseconds > DAY:
        # By the clock at the exchange, which a change to summer time does not move.
        times = wall[-1] + np.arange(1, horizon + 1) * np.timedelta64(step.nanoseconds, "ns")
        return Future(timestamps=from_wall_clock(times, series.timezone), step=step)
    if step.nanoseconds == DAY:
        days = _weekdays(wall, step, remarks)
        times = _daily(wall[-1], days, horizon)
        return Future(
            timestamps=from_wall_clock(times, series.timezone), step=step, remarks=tuple(remarks)
        )
    sessions = find_sessions(wall, step, remarks)
    if sessions is None:
        return Future(
            timestamps=_straight(series, step, horizon), step=step, remarks=tuple(remarks)
        )
    times = from_wall_clock(_walk(wall[-1], sessions, horizon), series.timezone)
    # Where a clock is put forward, an hour that is no hour would come twice.
    times = np.unique(times)
    while len(times) < horizon:
        times = np.append(times, times[-1] + np.timedelta64(step.nanoseconds, "ns"))
    return Future(timestamps=times[:horizon], step=step, remarks=tuple(remarks))


def season_length(series: Series, freq: str | None = None) -> int:
    """How many bars make one season: a day of an intraday series, a week of days, a year else."""
    step = infer_step(series) if freq is None else parse_freq(freq)
    if step.months:
        return max(1, 12 // step.months)
    if step.nanoseconds >= 7 * DAY:
        return 52
    days, counts = np.unique(
        series.wall_clock()[-NEWEST_BARS:].astype("datetime64[D]"), return_counts=True
    )
    if step.nanoseconds >= DAY:
        weekend = np.isin(_weekday_of(days), (5, 6)).any()
        return WEEKDAYS if weekend else WEEKDAYS - 2
    whole = counts[1:-1] if len(counts) > 2 else counts
    return int(np.median(whole))


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
    weekdays = _weekdays(wall, step, remarks)
    times: list[tuple[int, ...]] = [()] * WEEKDAYS
    # A weekday's own times need one whole day of each; the first and the last may be parts.
    by_weekday = kinds[-1] - kinds[0] >= np.timedelta64(2 * WEEKDAYS, "D")
    for weekday in weekdays:
        own: NDArray[np.int64] = common
        if by_weekday:
            chosen = _weekday_of(days) == weekday
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


def _weekdays(wall: Times, step: Step, remarks: list[str]) -> tuple[int, ...]:
    """The weekdays that have bars."""
    if step.on_weekdays:
        return (0, 1, 2, 3, 4)
    days = np.unique(wall.astype("datetime64[D]"))
    seen = np.unique(_weekday_of(days))
    if days[-1] - days[0] >= np.timedelta64(WEEKDAYS - 1, "D"):
        # Of a weekday that came at least four times, one day in four is not an exception.
        span = int((days[-1] - days[0]).astype(int)) // WEEKDAYS
        kept = [int(day) for day in seen if np.sum(_weekday_of(days) == day) * 4 >= max(1, span)]
        return tuple(kept) or tuple(range(WEEKDAYS))
    if np.isin(seen, (5, 6)).any():
        remarks.append("the history is shorter than a week and has a weekend: every day has bars")
        return tuple(range(WEEKDAYS))
    remarks.append("the history is shorter than a week: Saturdays and Sundays are left out")
    return (0, 1, 2, 3, 4)


def _weekday_of(days: Times) -> NDArray[np.int64]:
    """0 for Monday; 1970-01-01 was a Thursday."""
    return np.asarray((days.astype("datetime64[D]").astype(np.int64) + 3) % WEEKDAYS)


def _walk(last: np.datetime64, sessions: Sessions, horizon: int) -> Times:
    found: list[Times] = []
    count = 0
    day = last.astype("datetime64[D]")
    after = int((last - day).astype(np.int64))
    while count < horizon:
        clock = np.array(sessions.times[int(_weekday_of(day[None])[0])], dtype=np.int64)
        clock = clock[clock > after]
        found.append(day.astype(NANOSECONDS) + clock.astype("timedelta64[ns]"))
        count += len(clock)
        day, after = day + np.timedelta64(1, "D"), -1
    return np.concatenate(found)[:horizon]


def _daily(last: np.datetime64, weekdays: tuple[int, ...], horizon: int) -> Times:
    days = last + np.arange(1, horizon * WEEKDAYS + WEEKDAYS + 1) * np.timedelta64(DAY, "ns")
    return np.asarray(days[np.isin(_weekday_of(days), weekdays)][:horizon])


def _straight(series: Series, step: Step, horizon: int) -> Times:
    distances = np.arange(1, horizon + 1) * np.timedelta64(step.nanoseconds, "ns")
    return np.asarray(series.timestamps[-1] + distances)


def check_future(series: Series, times: Times, horizon: int) -> Future:
    """Times that the caller gave, as the forecast's.

    Raises: RequestError where they are fewer than the horizon, not in order, or not later.
    """
    if len(times) < horizon:
        raise RequestError(
            f"{len(times)} times are given for a horizon of {horizon}",
            param="future",
            where=_place(series),
            hint=f"give {horizon} times or a horizon of {len(times)}",
        )
    used = times[:horizon].astype(NANOSECONDS)
    if np.any(used[1:] <= used[:-1]):
        raise RequestError(
            "the times of the forecast are not each later than the one before",
            param="future",
            where=_place(series),
        )
    if used[0] <= series.timestamps[-1]:
        raise RequestError(
            f"the forecast would begin at {shown_time(used[0])}, "
            f"the history ends at {shown_time(series.timestamps[-1])}",
            param="future",
            where=_place(series),
        )
    told: tuple[str, ...] = ()
    if len(times) > horizon:
        told = (f"{len(times)} times are given: the first {horizon} are used",)
    step = Step(nanoseconds=int((used[0] - series.timestamps[-1]).astype(np.int64)))
    return Future(timestamps=used, step=step, remarks=told)


def time_features(wall: Times) -> NDArray[np.int64]:
    """Minute, hour, weekday (Monday is 0), day and month of each time: [n, 5]."""
    days = wall.astype("datetime64[D]")
    months = wall.astype("datetime64[M]")
    minutes = (wall - days).astype(np.int64) // MINUTE
    return np.stack(
        [
            minutes % 60,
            minutes // 60,
            _weekday_of(days),
            (days - months.astype("datetime64[D]")).astype(np.int64) + 1,
            months.astype(np.int64) % 12 + 1,
        ],
        axis=1,
    )


def _place(series: Series) -> str | None:
    return f"series `{series.name}`" if series.name else None
