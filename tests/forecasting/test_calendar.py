from __future__ import annotations

from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from tests.forecasting.stand_in import minutes, series_of, sessions
from trueup.errors import RequestError
from trueup.forecasting.bars import from_wall_clock
from trueup.forecasting.calendar import (
    check_future,
    future_timestamps,
    season_length,
    time_features,
)
from trueup.forecasting.frequency import DAY, HOUR, MINUTE, infer_step, parse_freq

DAYS = np.arange("2024-01-01", "2024-06-01", dtype="datetime64[D]")


def weekdays() -> NDArray[np.datetime64]:
    return np.asarray(DAYS[np.is_busday(DAYS)])


def fx_hours() -> NDArray[np.datetime64]:
    """A market from Sunday 22:00 to Friday 22:00."""
    hours = np.arange(np.datetime64("2024-01-01T00", "h"), np.datetime64("2024-03-01T00", "h"))
    weekday = (hours.astype("datetime64[D]").astype(int) + 3) % 7
    hour = (hours - hours.astype("datetime64[D]")).astype("timedelta64[h]").astype(int)
    closed = (weekday == 5) | ((weekday == 4) & (hour >= 22)) | ((weekday == 6) & (hour < 22))
    return np.asarray(hours[~closed])


def night_session() -> NDArray[np.datetime64]:
    """Hours from 9 to 15 and from 21 over midnight to 2, the night belonging to the day before."""
    found = []
    for day in weekdays():
        clock = [*range(9, 15), *range(21, 26)]
        found += [day.astype("datetime64[h]") + np.timedelta64(hour, "h") for hour in clock]
    return np.array(found)


@pytest.mark.parametrize(
    ("times", "cut"),
    [
        (sessions(20), 700),
        (sessions(20), 719),
        (sessions(20), 720),
        (sessions(20), 480),
        (fx_hours(), 900),
        (fx_hours(), 960),
        (night_session(), 600),
        (night_session(), 604),
        (minutes(2000), 1500),
        (weekdays(), 60),
        (DAYS, 90),
        (DAYS[::7], 10),
        (np.arange("2020-01", "2024-01", dtype="datetime64[M]"), 30),
        (np.arange("2020-02", "2024-01", dtype="datetime64[M]").astype("datetime64[D]") - 1, 30),
        (np.arange("2015-01", "2024-01", 3, dtype="datetime64[M]"), 20),
    ],
)
def test_the_times_to_come_are_those_that_came(times: NDArray[np.datetime64], cut: int) -> None:
    count = min(200, len(times) - cut)
    future = future_timestamps(series_of(times[:cut]), count)
    assert np.array_equal(future.timestamps, times[cut : cut + count].astype("datetime64[ns]"))


def test_a_bar_that_lacked_once_is_expected_again() -> None:
    times = np.delete(sessions(20), [17 * 48 + 5, 3 * 48])
    future = future_timestamps(series_of(times[:-96]), 96)
    assert np.array_equal(future.timestamps, times[-96:])


def test_sessions_stay_at_their_hour_when_the_clocks_change() -> None:
    zone = ZoneInfo("America/New_York")
    wall = sessions(15, "2024-02-26")
    series = series_of(from_wall_clock(wall[:480], zone), timezone=zone)  # ends on March 8
    future = future_timestamps(series, 48)
    assert np.array_equal(future.timestamps, from_wall_clock(wall[480:528], zone))
    assert str(future.timestamps[0]).startswith("2024-03-11T13:35")


def test_bars_by_day_and_night_do_not_follow_the_clocks() -> None:
    zone = ZoneInfo("America/New_York")
    times = minutes(400, 60, "2024-02-22T00:00")
    future = future_timestamps(series_of(times, timezone=zone), 60)
    assert set(np.diff(future.timestamps).astype(np.int64)) == {HOUR}


def test_a_short_history_tells_what_is_assumed_of_the_weekend() -> None:
    future = future_timestamps(series_of(sessions(3)), 240)  # Monday to Wednesday
    assert "Saturdays and Sundays are left out" in future.remarks[0]
    assert np.is_busday(future.timestamps.astype("datetime64[D]")).all()
    around = future_timestamps(series_of(minutes(288)), 3)
    assert "day and night" in around.remarks[0]


def test_a_given_frequency_sets_the_step() -> None:
    one = series_of(minutes(1))
    assert np.array_equal(
        future_timestamps(one, 3, "1h").timestamps, minutes(4, 60)[1:].astype("datetime64[ns]")
    )
    daily = future_timestamps(series_of(DAYS[4:5]), 3, "B")  # a Friday
    assert [str(each)[:10] for each in daily.timestamps] == [
        "2024-01-08",
        "2024-01-09",
        "2024-01-10",
    ]


@pytest.mark.parametrize(
    ("text", "nanoseconds", "months"),
    [
        ("5min", 5 * MINUTE, 0),
        ("5m", 5 * MINUTE, 0),
        ("15T", 15 * MINUTE, 0),
        ("h", HOUR, 0),
        ("4H", 4 * HOUR, 0),
        ("30 seconds", 30 * 10**9, 0),
        ("D", DAY, 0),
        ("W-SUN", 7 * DAY, 0),
        ("M", 0, 1),
        ("3ME", 0, 3),
        ("Q", 0, 3),
    ],
)
def test_frequencies_are_read_as_pandas_and_exchanges_write_them(
    text: str, nanoseconds: int, months: int
) -> None:
    step = parse_freq(text)
    assert (step.nanoseconds, step.months) == (nanoseconds, months)


@pytest.mark.parametrize("text", ["", "5", "fortnight", "0min", "-5min", "2B", "5min5"])
def test_what_is_no_frequency_is_refused(text: str) -> None:
    with pytest.raises(RequestError):
        parse_freq(text)


def test_hours_after_days_go_on_without_a_gap() -> None:
    future = future_timestamps(series_of(DAYS), 30, "1h")
    assert set(np.diff(future.timestamps)) == {np.timedelta64(HOUR, "ns")}
    assert any("1 hour apart" in each for each in future.remarks)


def test_bars_of_no_usual_weekday_are_followed_by_every_day() -> None:
    future = future_timestamps(series_of(np.arange(DAYS[0], DAYS[0] + 2000, 45)), 9, "D")
    assert set(np.diff(future.timestamps)) == {np.timedelta64(DAY, "ns")}


def test_weeks_stay_at_their_hour_when_the_clocks_change() -> None:
    zone = ZoneInfo("America/New_York")
    weeks = np.arange("2024-08-01", "2024-11-01", 7, dtype="datetime64[D]").astype("datetime64[ns]")
    future = future_timestamps(series_of(from_wall_clock(weeks, zone), timezone=zone), 3)
    wall = weeks[-1] + np.arange(1, 4) * np.timedelta64(7 * DAY, "ns")
    assert np.array_equal(future.timestamps, from_wall_clock(wall, zone))


def test_one_bar_and_irregular_bars_ask_for_a_frequency() -> None:
    with pytest.raises(RequestError, match="one bar does not tell"):
        infer_step(series_of(minutes(1)))
    ticks = np.datetime64("2024-01-01", "ns") + np.cumsum(np.arange(1, 50)) * np.timedelta64(7, "s")
    with pytest.raises(RequestError, match="no regular step"):
        infer_step(series_of(ticks))


@pytest.mark.parametrize(
    ("times", "length"),
    [(sessions(10), 48), (weekdays(), 5), (DAYS, 7), (DAYS[::7], 52), (fx_hours(), 24)],
)
def test_a_season_is_a_day_a_week_or_a_year(times: NDArray[np.datetime64], length: int) -> None:
    assert season_length(series_of(times)) == length


def test_times_that_are_given_are_checked() -> None:
    series = series_of(minutes(10))
    future = minutes(16)[10:]
    assert np.array_equal(check_future(series, future, 6).timestamps, future)
    more = check_future(series, future, 4)
    assert len(more.timestamps) == 4
    assert more.remarks == ("6 times are given: the first 4 are used",)
    with pytest.raises(RequestError, match="6 times are given for a horizon of 7"):
        check_future(series, future, 7)
    with pytest.raises(RequestError, match="not each later"):
        check_future(series, future[::-1], 6)
    with pytest.raises(RequestError, match="the history ends at 2024-06-03 00:45:00"):
        check_future(series, minutes(16)[9:], 6)


def test_features_are_minute_hour_weekday_day_and_month() -> None:
    times = np.array(["2024-02-29T23:59:30", "2024-12-31T00:00"], dtype="datetime64[ns]")
    assert time_features(times).tolist() == [[59, 23, 3, 29, 2], [0, 0, 1, 31, 12]]


@pytest.mark.parametrize(
    ("history", "freq", "to_come", "told"),
    [
        (sessions(20), "1h", ["06-28T15:00", "07-01T10:00", "07-01T11:00"], "not that of the"),
        (sessions(20), "15min", ["06-28T14:15", "06-28T14:30", "06-28T14:45"], "not that of the"),
        (sessions(20), "7min", ["06-28T14:07", "06-28T14:14", "06-28T14:21"], "no bars 7 minutes"),
        (sessions(20), "1min", ["06-28T14:01", "06-28T14:02", "06-28T14:03"], "no bars 1 minute"),
        (minutes(2000), "1h", None, "not that of the"),
        (DAYS[::7], "D", None, "1 day, is not that of the history, 7 days"),
        (weekdays(), "1h", None, "no bars 1 hour apart"),
    ],
)
def test_a_step_that_is_not_the_historys_is_taken_and_told(
    history: NDArray[np.datetime64], freq: str, to_come: list[str] | None, told: str
) -> None:
    if to_come is not None:  # the last day until 14:00
        history = history[: np.flatnonzero(history <= np.datetime64("2024-06-28T14:00"))[-1] + 1]
    future = future_timestamps(series_of(history), 3, freq)
    if to_come is None:
        step = np.timedelta64(parse_freq(freq).nanoseconds, "ns")
        expected = history[-1].astype("datetime64[ns]") + np.arange(1, 4) * step
    else:
        expected = np.array([f"2024-{each}" for each in to_come], dtype="datetime64[ns]")
    assert np.array_equal(future.timestamps, expected)
    assert told in " ".join(future.remarks)


def test_the_step_of_the_history_may_be_said_too() -> None:
    series = series_of(sessions(20))
    said = future_timestamps(series, 100, "5min")
    assert np.array_equal(said.timestamps, future_timestamps(series, 100).timestamps)
    assert said.remarks == ()


def test_a_frequency_may_be_an_offset_of_pandas() -> None:
    offset = pd.offsets.Minute(15)
    assert parse_freq(offset) == parse_freq("15min")  # type: ignore[arg-type]
    with pytest.raises(RequestError, match="`5` is no frequency"):
        parse_freq(5)  # type: ignore[arg-type]
