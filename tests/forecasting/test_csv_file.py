from __future__ import annotations

import io
import tracemalloc
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from tests.forecasting.stand_in import minutes
from trueup.errors import RequestError
from trueup.forecasting import csv_file
from trueup.forecasting.csv_file import read_csv, read_text
from trueup.forecasting.future_file import read_futures

HEAD = "timestamps,open,high,low,close,volume,amount"


def rows(count: int, name: str | None = None) -> list[str]:
    lead = "" if name is None else f"{name},"
    return [
        f"{lead}{str(time)[:19].replace('T', ' ')},{at}.0,{at}.5,{at}.25,{at}.125,{at},{at * 10}"
        for at, time in enumerate(minutes(count))
    ]


def written(tmp_path: Path, lines: Iterable[str], head: str = HEAD) -> Path:
    path = tmp_path / "candles.csv"
    path.write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_file, "PART_ROWS", 16)
    monkeypatch.setattr(csv_file, "WAITING_ROWS", 50)
    monkeypatch.setattr(csv_file, "NEWEST_BARS", 20)


@pytest.mark.usefixtures("small_parts")
def test_the_newest_bars_of_a_long_file_are_kept(tmp_path: Path) -> None:
    counts: list[int] = []
    (series,) = read_csv(written(tmp_path, rows(500)), 30, on_rows=counts.append)
    assert series.values[:, 0].tolist() == list(range(470, 500))
    assert np.array_equal(series.timestamps, minutes(500)[470:])
    assert counts[-1] == 500
    assert series.remarks == ()


@pytest.mark.usefixtures("small_parts")
def test_the_newest_bars_are_kept_whatever_the_order_of_the_rows(tmp_path: Path) -> None:
    shuffled = np.random.RandomState(0).permutation(np.array(rows(500))).tolist()
    (series,) = read_csv(written(tmp_path, shuffled), 30)
    assert series.values[:, 0].tolist() == list(range(470, 500))
    assert [remark for remark in series.remarks if "sorted" in remark] == list(series.remarks)


@pytest.mark.usefixtures("small_parts")
def test_many_series_are_told_apart_and_each_keeps_its_newest(tmp_path: Path) -> None:
    lines = [line for pair in zip(rows(90, "B"), rows(90, "A"), strict=True) for line in pair]
    read = read_csv(written(tmp_path, [*lines, *rows(2, "C")], f"symbol,{HEAD}"), 25)
    assert [(each.name, len(each)) for each in read] == [("A", 25), ("B", 25), ("C", 2)]
    assert read[0].values[-1, 0] == 89


def test_memory_does_not_grow_with_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four times the rows take the memory of one part of them, and of the newest bars."""
    monkeypatch.setattr(csv_file, "PART_ROWS", 2_000)
    monkeypatch.setattr(csv_file, "WAITING_ROWS", 6_000)
    monkeypatch.setattr(csv_file, "NEWEST_BARS", 2_000)
    peaks = []
    for count in (20_000, 80_000):
        path = tmp_path / f"{count}.csv"
        with path.open("w", encoding="utf-8") as file:
            file.write(f"{HEAD}\n")
            for at, time in enumerate(minutes(count)):
                file.write(f"{str(time)[:19]},1.0,1.5,0.5,{at}.0,3,4\n")
        tracemalloc.start()
        try:
            (series,) = read_csv(path, 100)
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
        assert series.values[-1, 3] == count - 1
    assert peaks[1] < 1.2 * peaks[0]


@pytest.mark.parametrize(
    ("text", "told", "where"),
    [
        ("", "the file is empty", "f"),
        (f"{HEAD}\n", "no bar", "f"),
        ("2024-06-18 11:15,1,2,3,4,5,6\n", "first line has numbers", "f:1"),
        (f"{HEAD}\n2024-06-18,1,2\n", "3 fields, the first one has 7", "f:2"),
        (f"{HEAD}\n2024-06-18,1,2,x,4,5,6\n", "`low` is `x` at 2024-06-18", "f"),
        (f"{HEAD}\nyesterday,1,2,3,4,5,6\n", "`yesterday` is no time", "f"),
        ("a,open,high,low,close\n1,1,1,1,1\n", "no column has the times", "f"),
        ("time,close\n2024-06-18,1\n", "no column for `open`", "f"),
        ("time\0,open\n", "binary", "f"),
        ("time,open," + "x" * csv_file.HEADER_CHARACTERS, "first line does not end", "f"),
        (f"{HEAD}\n" + "2024-06-18,1,2,3,4,5,6\n" * 2, "more than once", "series"),
    ],
)
def test_what_is_no_file_of_candles_is_refused(text: str, told: str, where: str) -> None:
    with pytest.raises(RequestError, match=told) as met:
        read_text(text, 10, place="f")
    assert str(met.value.where).startswith(where)


def test_a_file_that_is_not_there_or_not_utf8_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="No such file"):
        read_csv(tmp_path / "none.csv", 10)
    path = tmp_path / "gbk.csv"
    path.write_bytes("日期,开盘,最高,最低,收盘\n2024-06-18,1,1,1,1\n".encode("gb18030"))
    with pytest.raises(RequestError, match="not UTF-8") as met:
        read_csv(path, 10)
    assert "iconv" in str(met.value.hint)


def test_other_delimiters_blank_lines_marks_and_empty_numbers_are_read() -> None:
    text = "﻿Date;Open;High;Low;Close;Vol\n2024-06-18;1;2;0.5;1.5;\n\n2024-06-19;1;2;0.5;1.5;7\n"
    (series,) = read_text(text, 10, place="f")
    assert len(series) == 2
    assert np.isnan(series.values[0, 4])


def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join([HEAD, *rows(3)])))
    (series,) = read_csv("-", 10)
    assert len(series) == 3


def test_times_to_come_are_read_for_one_or_each_series(tmp_path: Path) -> None:
    lines = [*rows(3, "A"), *rows(3, "B")]
    series = read_csv(written(tmp_path, lines, f"symbol,{HEAD}"), 10)
    path = tmp_path / "future.csv"
    path.write_text("when\n2024-06-04\n2024-06-05\n", encoding="utf-8")
    assert [len(each) for each in read_futures(path, series)] == [2, 2]
    path.write_text("symbol,date\nA,2024-06-04\nA,2024-06-05\nB,2024-06-06\n", encoding="utf-8")
    assert [len(each) for each in read_futures(path, series)] == [2, 1]
    path.write_text("date\n2024-06-04T00:00+08:00\n", encoding="utf-8")
    with pytest.raises(RequestError, match="offset from UTC"):
        read_futures(path, series)
