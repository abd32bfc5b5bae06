from __future__ import annotations

import pytest

from trueup.errors import RequestError
from trueup.forecasting.columns import find_roles

PRICES = ["open", "high", "low", "close"]


@pytest.mark.parametrize(
    ("names", "bars"),
    [
        (["timestamps", *PRICES, "volume", "amount"], [1, 2, 3, 4, 5, 6]),
        (["Date", "Open", "High", "Low", "Close", "Adj Close", "Volume"], [1, 2, 3, 4, 6]),
        (["ts", "O", "H", "L", "C", "VOL", "AMT"], [1, 2, 3, 4, 5, 6]),
        (["日期", "开盘", "收盘", "最高", "最低", "成交量", "成交额"], [1, 3, 4, 2, 5, 6]),
        (["<DATE>", "<OPEN>", "<HIGH>", "<LOW>", "<CLOSE>", "<TICKVOL>"], [1, 2, 3, 4, 5]),
        (["open_time", *PRICES, "volume", "quote asset volume"], [1, 2, 3, 4, 5, 6]),
        (["date", *PRICES, "vol", "turnover"], [1, 2, 3, 4, 5, 6]),
    ],
)
def test_columns_are_found_by_their_usual_names(names: list[str], bars: list[int]) -> None:
    roles = find_roles(names)
    assert list(roles.bars.values()) == bars
    assert roles.time == (0,)


def test_short_forms_are_told_and_capitals_are_not() -> None:
    assert find_roles(["Time", "Open", "HIGH", "low", "Close", "Volume"]).remarks == ()
    told = find_roles(["time", *PRICES, "vol", "amt"]).remarks
    assert told == (
        "the column `vol` is taken as `volume`",
        "the column `amt` is taken as `amount`",
    )


def test_a_plain_name_goes_before_a_short_form() -> None:
    assert find_roles(["time", *PRICES, "vol", "volume"]).bars["volume"] == 6


def test_two_columns_of_one_name_are_refused() -> None:
    with pytest.raises(RequestError, match="`close` and `Close` are both `close`"):
        find_roles(["time", *PRICES, "Close"])


def test_a_missing_price_is_refused_with_what_is_there() -> None:
    with pytest.raises(RequestError, match="no column for `open`, `high`, `low`; there are"):
        find_roles(["time", "close", "volume"])


def test_series_and_times_are_found_or_named() -> None:
    roles = find_roles(["symbol", "date", "time", *PRICES])
    assert (roles.id, roles.time) == (0, (1, 2))
    assert "tells the series apart" in roles.remarks[0]
    named = find_roles(["x", "when", *PRICES], time_column="When", id_column="x")
    assert (named.id, named.time) == (0, (1,))
    assert find_roles(["", *PRICES]).time == (0,)
    assert find_roles(["x", *PRICES]).time == ()
    with pytest.raises(RequestError, match="no column `nope`"):
        find_roles(PRICES, id_column="nope")
