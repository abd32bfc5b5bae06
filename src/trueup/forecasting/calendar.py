"""When the next bars will be, by the step between bars and the sessions that the past shows.

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
from trueup.forecasting.sessions import (
    WEEKDAYS,
    Sessions,
    sessions_for,
    weekday_of,
    weekdays_of,
)


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
    own = step if freq is None else _own_step(series, step)
    remarks: list[str] = []
    if (own.months, own.nanoseconds) != (step.months, step.nanoseconds):
        remarks.append(
            f"the step asked for, {step.words()}, is not that of the history, {own.words()}"
        )
    if step.months:
        return Future(
            timestamps=from_wall_clock(add_months(wall, step.months, horizon), series.timezone),
            step=step,
            remarks=tuple(remarks),
        )
    # Weeks and months tell nothing of the days in them.
    is_coarse = bool(own.months) or own.nanoseconds > DAY
    if step.nanoseconds > DAY or (is_coarse and not step.on_weekdays):
        times = _straight(series, step, horizon)
        if step.nanoseconds >= DAY:
            # By the clock at the exchange, which a change to summer time does not move.
            times = wall[-1] + np.arange(1, horizon + 1) * np.timedelta64(step.nanoseconds, "ns")
            times = from_wall_clock(times, series.timezone)
        return Future(timestamps=times, step=step, remarks=tuple(remarks))
    if step.nanoseconds == DAY:
        days = weekdays_of(wall, step, remarks)
        times = _daily(wall[-1], days, horizon)
        return Future(
            timestamps=from_wall_clock(times, series.timezone), step=step, remarks=tuple(remarks)
        )
    sessions = sessions_for(wall, own, step, remarks)
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


def _own_step(series: Series, step: Step) -> Step:
    """The step of the history; `step` where it has none, which may be why one is asked for."""
    try:
        return infer_step(series)
    except RequestError:
        return step


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
        weekend = np.isin(weekday_of(days), (5, 6)).any()
        return WEEKDAYS if weekend else WEEKDAYS - 2
    whole = counts[1:-1] if len(counts) > 2 else counts
    return int(np.median(whole))


def _walk(last: np.datetime64, sessions: Sessions, horizon: int) -> Times:
    found: list[Times] = []
    count = 0
    day = last.astype("datetime64[D]")
    after = int((last - day).astype(np.int64))
    while count < horizon:
        clock = np.array(sessions.times[int(weekday_of(day[None])[0])], dtype=np.int64)
        clock = clock[clock > after]
        found.append(day.astype(NANOSECONDS) + clock.astype("timedelta64[ns]"))
        count += len(clock)
        day, after = day + np.timedelta64(1, "D"), -1
    return np.concatenate(found)[:horizon]


def _daily(last: np.datetime64, weekdays: tuple[int, ...], horizon: int) -> Times:
    days = last + np.arange(1, horizon * WEEKDAYS + WEEKDAYS + 1) * np.timedelta64(DAY, "ns")
    return np.asarray(days[np.isin(weekday_of(days), weekdays)][:horizon])


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
    if len(late := np.flatnonzero(used[1:] <= used[:-1])):
        before, after = used[late[0]], used[late[0] + 1]
        raise RequestError(
            "the times of the forecast are not each later than the one before: "
            f"{shown_time(after)} follows {shown_time(before)}",
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
            weekday_of(days),
            (days - months.astype("datetime64[D]")).astype(np.int64) + 1,
            months.astype(np.int64) % 12 + 1,
        ],
        axis=1,
    )


def _place(series: Series) -> str | None:
    return f"series `{series.name}`" if series.name else None
