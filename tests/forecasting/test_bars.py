from __future__ import annotations

from datetime import timedelta, timezone
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from tests.forecasting.stand_in import columns, minutes, series_of
from trueup.errors import RequestError
from trueup.forecasting.bars import (
    build_series,
    check_bars,
    count_odd,
    from_wall_clock,
    repaired,
    wall_clock,
)


def test_a_missing_volume_makes_volume_and_amount_zero_and_is_told() -> None:
    given = columns(4)
    del given["volume"]
    series = build_series("", minutes(4), given)
    assert not series.values[:, 4:].any()
    assert not series.has_volume
    assert not series.has_amount
    assert series.remarks == (
        "no volume: volume and amount are taken as 0; the amount is left out",
    )


def test_a_missing_amount_is_the_volume_times_the_mean_price_and_is_told() -> None:
    given = columns(4)
    del given["amount"]
    series = build_series("", minutes(4), given)
    expected = series.values[:, 4] * series.values[:, :4].mean(axis=1)
    assert np.array_equal(series.values[:, 5], expected)
    assert "no amount" in series.remarks[0]


def test_bars_out_of_order_are_sorted_with_their_numbers_and_it_is_told() -> None:
    order = [2, 0, 3, 1]
    given = columns(4)
    shuffled = {name: values[order] for name, values in given.items()}
    series = build_series("", minutes(4)[order], shuffled)
    assert np.array_equal(series.timestamps, minutes(4))
    assert np.array_equal(series.values[:, 3], given["close"])
    assert "sorted" in series.remarks[0]


def test_a_time_that_comes_twice_is_refused_by_its_name() -> None:
    times = minutes(4)
    times[2] = times[1]
    with pytest.raises(RequestError, match="2024-06-03 00:05:00 comes more than once") as met:
        series_of(times, "ABC")
    assert met.value.where == "series `ABC`"


def test_no_bar_and_no_price_are_refused() -> None:
    with pytest.raises(RequestError, match="there is no bar"):
        series_of(minutes(0))
    given = columns(2)
    del given["high"], given["open"]
    with pytest.raises(RequestError, match="no column for `open`, `high`"):
        build_series("", minutes(2), given)


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_refused_with_its_column_and_time(odd: float) -> None:
    given = columns(5)
    given["close"][3] = odd
    given["volume"][4] = odd
    with pytest.raises(RequestError, match=f"`close` is {odd} at 2024-06-03 00:15:00; 2 of these"):
        check_bars(build_series("", minutes(5), given))


def test_what_is_odd_is_told_and_left() -> None:
    given = columns(5)
    given["high"][1] = given["low"][1] - 1
    given["volume"][2] = -5
    series = build_series("", minutes(5), given)
    told = check_bars(series)
    assert [remark.partition(" of")[0] for remark in told] == ["1 bar", "1 bar"]
    assert series.values[2, 4] == -5


def test_prices_that_do_not_move_are_told() -> None:
    given = {name: np.full(6, 7.5) for name in columns(6)}
    told = check_bars(build_series("", minutes(6), given))
    assert "do not move over 6 bars" in told[0]


def test_repairing_bounds_the_prices_and_lifts_volumes_to_zero() -> None:
    bars = np.array([[[5.0, 4.0, 6.0, 7.0, -1.0, 3.0]]], dtype=np.float32)
    assert count_odd(bars) == 1
    assert repaired(bars).tolist() == [[[5.0, 7.0, 4.0, 7.0, 0.0, 3.0]]]
    assert count_odd(repaired(bars)) == 0
    assert bars[0, 0, 1] == 4.0


def test_the_wall_clock_follows_the_zone_over_the_change_of_summer_time() -> None:
    zone = ZoneInfo("America/New_York")
    utc = np.array(["2024-03-08T14:30", "2024-03-11T13:30"], dtype="datetime64[ns]")
    assert [str(each)[11:16] for each in wall_clock(utc, zone)] == ["09:30", "09:30"]
    assert np.array_equal(from_wall_clock(wall_clock(utc, zone), zone), utc)
    fixed = timezone(timedelta(hours=8))
    assert str(wall_clock(utc, fixed)[0])[11:16] == "22:30"


def test_a_part_of_a_series_shares_no_memory_with_it() -> None:
    series = series_of(minutes(6))
    part = series.between(1, 4)
    assert not np.shares_memory(part.values, series.values)
    assert not np.shares_memory(part.timestamps, series.timestamps)
    assert len(series.last(100)) == 6
