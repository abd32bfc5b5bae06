from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
import termios
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.forecasting.pictures.charts import chart
from trueup.forecasting.pictures import Chart, draw

DRAW = (
    "from tests.forecasting.pictures.charts import chart;"
    "from trueup.forecasting.pictures import draw;"
    "draw(chart(), 'terminal')"
)
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def a_terminal_of_a_known_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("LINES", "30")


def drawn(made: Chart, history_bars: int | None = None) -> tuple[str, list[str]]:
    stream = io.StringIO()
    remarks = draw(made, "terminal", history_bars=history_bars, stream=stream)
    return stream.getvalue(), remarks


def frame(text: str) -> list[str]:
    """The lines of the price chart between its borders."""
    return re.findall(r"^ *[\d.-]*[┤│](.*)│$", text.partition("└")[0], re.MULTILINE)


@pytest.mark.parametrize("columns", [30, 61, 100, 237])
@pytest.mark.parametrize("horizon", [1, 24, 400])
def test_it_is_as_wide_as_the_terminal(
    columns: int, horizon: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    text, _ = drawn(chart(bars=500, horizon=horizon))
    widths = {len(line) for line in text.splitlines() if "│" in line and "┌" not in line}
    assert max(map(len, (line for line in text.splitlines() if "└" in line))) == columns
    assert max(widths) == columns
    assert all(0 < row.index("┊") < len(row) - 1 for row in frame(text) if "┊" in row)


def test_the_forecast_is_right_of_the_line_and_the_fan_is_nowhere_else() -> None:
    text, remarks = drawn(chart())
    rows = frame(text)
    (place,) = {row.index("┊") for row in rows}
    assert not any("░" in row[:place] for row in rows)
    assert any("░" in row[place:] for row in rows)
    for side in (slice(0, place), slice(place + 1, None)):
        assert any(set(row[side]) & {"█", "▒"} for row in rows)
    assert remarks == ["the last 67 of 300 bars of history are drawn"]
    assert "10% to 90%, 25% to 75%" in text
    assert "P(close up)" in text


def test_every_bar_is_a_column_where_there_is_room() -> None:
    rows = frame(drawn(chart(bars=30, horizon=5))[0])
    place = rows[0].index("┊")
    columns = ["".join(row[at] for row in rows).strip() for at in range(place + 6)]
    assert place == 30
    assert all(columns)
    assert not any(row[place + 6 :].strip() for row in rows)


def test_the_history_that_was_asked_for_is_shown_in_merged_candles() -> None:
    text, remarks = drawn(chart(), history_bars=300)
    assert "┊" in text
    assert remarks == ["each candle is 4 bars, so that all fit 91 columns"]


def test_there_are_no_escapes_without_a_terminal() -> None:
    assert "\x1b" not in drawn(chart())[0]


def test_volume_is_left_out_where_there_is_none() -> None:
    with_volume, without = drawn(chart())[0], drawn(chart(has_volume=False))[0]
    assert (with_volume.count("┌"), without.count("┌")) == (2, 1)


def test_remarks_and_a_wide_title_are_shown() -> None:
    text, _ = drawn(chart(title="贵州茅台" * 40, remarks=("made by a demonstration",)))
    title, *rest = text.splitlines()
    assert title == "贵州茅台" * 12 + "贵 …"
    assert rest[-1] == "made by a demonstration"


def test_an_output_without_such_characters_gets_others() -> None:
    written = io.BytesIO()
    stream = io.TextIOWrapper(written, encoding="ascii")
    draw(chart(title="茅台"), "terminal", stream=stream)
    text = written.getvalue().decode("ascii")
    assert text.startswith("??\n")
    assert {"#", "=", ":", "."} <= set(text)


@pytest.mark.parametrize("horizon", [1, 24])
def test_flat_prices_and_one_bar_are_drawn(horizon: int) -> None:
    flat = chart(bars=1, horizon=horizon)
    flat = replace(
        flat,
        history=np.full((1, 6), 7.0),
        mean=np.full((horizon, 6), 7.0),
        quantiles={0.1: np.full(horizon, 7.0), 0.9: np.full(horizon, 7.0)},
    )
    text, remarks = drawn(flat)
    assert "┊" in text
    assert remarks == []


def test_the_callers_own_figure_of_plotext_is_left_alone() -> None:
    import plotext

    plotext.figure.title("mine")
    before = plotext.figure.size()
    drawn(chart())
    assert plotext.figure.size() == before
    assert "mine" in plotext.figure.build().string(colorless=True)
    plotext.figure.clear()


@pytest.mark.parametrize(
    ("settings", "has_colour"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False), ({"NO_COLOR": ""}, True)],
)
def test_a_terminal_gets_colours_unless_it_wants_none(
    settings: dict[str, str], has_colour: bool
) -> None:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (40, 90))
    environment = {**os.environ, "TERM": "xterm-256color", "PYTHONPATH": str(ROOT / "src")}
    environment.pop("NO_COLOR", None)
    environment.pop("COLUMNS")
    environment.pop("LINES")
    with subprocess.Popen(
        [sys.executable, "-c", DRAW], cwd=ROOT, stdout=theirs, env={**environment, **settings}
    ) as process:
        os.close(theirs)
        written = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            written += part
    os.close(ours)
    assert process.returncode == 0
    text = written.decode()
    assert ("\x1b[" in text) is has_colour
    plain = re.sub(r"\x1b\[[\d;]*m", "", text).splitlines()
    assert max(len(line) for line in plain if "└" in line) == 90
