from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from trueup.errors import RequestError
from trueup.forecasting.times import TimeReader

MOMENT = "2024-06-18T11:15:00"


@pytest.mark.parametrize(
    "written",
    [
        "2024-06-18 11:15:00",
        "2024-06-18T11:15",
        " 2024-06-18 11:15:00 ",
        "2024-06-18 11:15:00.000000",
        "20240618T111500",
        "2024/06/18 11:15",
        "2024.06.18 11:15:00",
        "18.06.2024 11:15",
        "06/18/2024 11:15:00 AM",
        "18/06/2024 11:15",
        "2024年06月18日 11:15",
        "20240618111500",
        "202406181115",
        "1718709300",
        "1718709300.0",
        "1718709300000",
        "1718709300000000",
        "1718709300000000000",
        1718709300,
        1718709300.0,
        1718709300000,
        np.datetime64(MOMENT),
        datetime(2024, 6, 18, 11, 15),
    ],
)
def test_a_time_is_read_in_every_form(written: object) -> None:
    values = np.array([written]) if isinstance(written, np.datetime64) else [written]
    reader = TimeReader()
    assert str(reader.read(values)[0]).startswith(MOMENT)
    assert reader.timezone is None


@pytest.mark.parametrize("written", ["2024-06-18", "20240618", 20240618, date(2024, 6, 18)])
def test_a_date_is_midnight(written: object) -> None:
    assert str(TimeReader().read([written])[0]).startswith("2024-06-18T00:00:00")


def test_an_offset_is_kept_and_the_time_is_in_utc() -> None:
    reader = TimeReader()
    assert str(reader.read(["2024-06-18T11:15:00+08:00"])[0]).startswith("2024-06-18T03:15")
    assert reader.timezone is not None
    assert reader.timezone.utcoffset(None) == timedelta(hours=8)
    utc = TimeReader()
    utc.read(["2024-06-18 11:15:00Z"])
    assert utc.timezone is UTC


def test_several_offsets_are_told_once() -> None:
    reader = TimeReader()
    reader.read(["2024-03-08T09:30:00-05:00", "2024-03-11T09:30:00-04:00"])
    reader.read(["2024-03-12T09:30:00-04:00"])
    assert [remark for remark in reader.remarks if "several offsets" in remark] == reader.remarks
    assert len(reader.remarks) == 1


@pytest.mark.parametrize(
    "texts",
    [
        ["now"],
        ["2024"],
        ["NaT"],
        [""],
        [None],
        [float("nan")],
        ["2024-06-18 11:15", "next"],
        ["2024-06-18 11:15", "1718709300"],
        ["1718709300", "2024-06-18 11:15"],
        ["2024-06-31"],
        ["9999-12-31"],
        ["1500-01-01"],
        ["3"],
        [0],
        ["2024-06-18 11:15:00+08:00", "2024-06-18 11:20:00"],
        ["abc"],
    ],
)
def test_what_is_no_time_or_of_another_form_is_refused(texts: list[object]) -> None:
    with pytest.raises(RequestError):
        TimeReader("f.csv").read(texts)


def test_day_and_month_that_cannot_be_told_apart_are_refused() -> None:
    with pytest.raises(RequestError, match="cannot be told apart"):
        TimeReader().read(["05/06/2024", "06/06/2024"])
    days = TimeReader().read(["05/06/2024", "13/06/2024"])
    assert str(days[0]).startswith("2024-06-05")


def test_the_form_of_the_first_part_holds_for_the_next() -> None:
    reader = TimeReader()
    reader.read(["13/06/2024"])
    assert str(reader.read(["05/07/2024"])[0]).startswith("2024-07-05")
    with pytest.raises(RequestError, match="not of the form"):
        reader.read(["07/13/2024"])
    assert len(reader.remarks) == 1
