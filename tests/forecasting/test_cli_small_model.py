"""`trueup forecast` with a small model in a directory: what it writes, draws and refuses."""

from __future__ import annotations

import csv
import io
import json
import signal
import subprocess
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import trueup
from tests.forecasting.stand_in import columns, sessions
from tests.kronos.directories import model_files, tokenizer_files, write
from trueup.cli import forecast_running
from trueup.cli.main import main
from trueup.forecasting.frame import ForecastWarning
from trueup.forecasting.pictures import html
from trueup.protocol.candles import COLUMNS

PNG = b"\x89PNG\r\n\x1a\n"
TIMES = [str(time)[:19].replace("T", " ") for time in sessions(8)]  # 384 bars


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kronos") / "model"
    write(folder, model_files())
    write(folder / "tokenizer", tokenizer_files())
    return folder


def table(
    path: Path,
    times: Sequence[Any] = TIMES,
    *,
    head: Sequence[str] = ("timestamps", *COLUMNS),
    change: dict[tuple[int, int], str] | None = None,
    names: Sequence[str] = ("",),
) -> Path:
    """A CSV file of candles; `change` puts other cells at (row, column)."""
    lines = [[*head] if names == ("",) else ["symbol", *head]]
    for number, name in enumerate(names):
        values = columns(len(times), number)
        for row, time in enumerate(times):
            cells = [str(time), *(repr(float(values[each][row])) for each in COLUMNS)]
            lines.append((cells if names == ("",) else [name, *cells])[: len(lines[0])])
    for (row, column), text in (change or {}).items():
        lines[row + 1][column] = text
    path.write_text("\n".join(",".join(line) for line in lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def candles(tmp_path: Path) -> Path:
    return table(tmp_path / "candles.csv")


def run(candles: Path | str, model: Path, *words: str, horizon: int = 4) -> int:
    fixed = ["--samples", "3", "--seed", "1", "--lookback", "40"]
    given = ["forecast", str(candles), "--model", str(model), "--horizon", str(horizon)]
    return main([*given, *fixed, *words])


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_the_table_shows_every_bar_and_the_notes_are_beside_it(
    candles: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(candles, model) == 0
    out, err = capsys.readouterr()
    assert out.startswith("4 bars after 40, 3 samples, mode exact, seed 1\n\nlast close ")
    assert [line.split()[1] for line in out.splitlines()[4:]] == [
        "09:35:00", "09:40:00", "09:45:00", "09:50:00",
    ]  # fmt: skip
    assert "note: the tokenizer is the one in" in err
    assert "forecasting: 1 series, 4 bars, 3 samples" in err


def test_the_csv_file_has_means_odds_quantiles_and_paths(
    candles: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.csv"
    assert run(candles, model, "-o", str(out), "--paths") == 0
    shown, told = capsys.readouterr()
    assert (shown, f"wrote {out}" in told) == ("", True)
    rows = read(out.read_text(encoding="utf-8"))
    assert [row["timestamps"] for row in rows] == [
        f"2024-06-13 09:{minute}:00" for minute in (35, 40, 45, 50)
    ]
    paths = np.array([[float(row[f"close_sample_{at}"]) for at in (1, 2, 3)] for row in rows])
    assert np.allclose([float(row["close"]) for row in rows], paths.mean(1), rtol=1e-6)
    assert np.allclose([float(row["close_0.5"]) for row in rows], np.median(paths, 1), rtol=1e-6)
    last = float(candles.read_text(encoding="utf-8").splitlines()[-1].split(",")[4])
    assert np.allclose([float(row["p_close_up"]) for row in rows], (paths > last).mean(1))
    assert all(float(row["expected_range"]) > 0 for row in rows)


def test_stdout_has_the_file_and_the_same_seed_the_same_bytes(
    candles: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(candles, model, "-o", str(tmp_path / "out.csv")) == 0
    capsys.readouterr()
    assert run(candles, model, "-o", "-") == 0
    out = capsys.readouterr().out
    assert out == (tmp_path / "out.csv").read_text(encoding="utf-8")


def test_json_has_what_the_file_has(
    candles: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(candles, model, "-o", "-") == 0
    rows = read(capsys.readouterr().out)
    assert run(candles, model, "--format", "json") == 0
    shape = json.loads(capsys.readouterr().out)
    assert (shape["kind"], shape["model"], shape["seed"]) == ("forecast", str(model), 1)
    (only,) = shape["forecasts"]
    assert only["mean"]["close"] == [float(row["close"]) for row in rows]
    assert only["quantiles"]["0.9"]["high"] == [float(row["high_0.9"]) for row in rows]
    assert only["lookback"] == 40


@pytest.mark.parametrize(
    ("head", "told"),
    [
        (("DATE", *(name.upper() for name in COLUMNS)), ""),
        (("Time", "Open", "High", "Low", "Close", "Vol", "Amt"), "`Vol` is taken as `volume`"),
        (("timestamps", *COLUMNS[:5]), "no amount"),
        (("timestamps", *COLUMNS[:4]), "no volume"),
    ],
)
def test_other_names_and_missing_columns_are_read_and_told(
    head: tuple[str, ...],
    told: str,
    model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(table(tmp_path / "c.csv", head=head), model) == 0
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("times", "first"),
    [
        ([f"{time}+08:00" for time in TIMES], "2024-06-13 09:35:00+08:00"),
        (sessions(8).astype("datetime64[s]").astype(int).tolist(), "2024-06-13 09:35:00"),
        (sessions(8).astype("datetime64[ms]").astype(int).tolist(), "2024-06-13 09:35:00"),
    ],
)
def test_times_with_a_zone_and_of_the_epoch_go_on_as_they_are(
    times: list[Any],
    first: str,
    model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(table(tmp_path / "c.csv", times), model, "-o", "-") == 0
    assert read(capsys.readouterr().out)[0]["timestamps"] == first


@pytest.mark.parametrize("words", [(), ("--id-column", "symbol")])
def test_many_series_are_in_one_file_and_one_picture_each(
    words: tuple[str, ...], model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = table(tmp_path / "many.csv", names=("A", "B"))
    out, plot = tmp_path / "out.csv", tmp_path / "chart.png"
    assert run(path, model, *words, "-o", str(out), "--plot", str(plot)) == 0
    assert [row["series"] for row in read(out.read_text(encoding="utf-8"))] == [*"AAAABBBB"]
    assert [(tmp_path / f"chart.{name}.png").read_bytes()[:8] for name in "AB"] == [PNG, PNG]
    assert not plot.exists()


def test_a_picture_of_every_kind_is_drawn(
    candles: Path,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(html, "library", lambda: "/* the library */")
    assert run(candles, model, "--plot", str(tmp_path / "c.html")) == 0
    page = (tmp_path / "c.html").read_text(encoding="utf-8")
    assert "<title>candles.csv" in page
    assert "TradingView" in page
    assert run(candles, model, "--plot", str(tmp_path / "c.png")) == 0
    assert (tmp_path / "c.png").read_bytes().startswith(PNG)
    capsys.readouterr()
    assert run(candles, model, "--plot", "terminal") == 0
    out = capsys.readouterr().out
    assert "P(close up) at the end" in out
    assert "mean forecast" in out


def test_times_to_come_are_those_of_the_file(
    candles: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    future = tmp_path / "future.csv"
    wanted = [f"2024-07-0{day} 10:00:00" for day in (1, 2, 3, 4)]
    future.write_text("\n".join(["timestamps", *wanted]), encoding="utf-8")
    assert run(candles, model, "--future", str(future), "-o", "-") == 0
    assert [row["timestamps"] for row in read(capsys.readouterr().out)] == wanted
    assert run(candles, model, "--future", str(future), horizon=5) == 1
    err = capsys.readouterr().err
    assert "4 times are given for a horizon of 5" in err
    assert f"where: {future}" in err
    future.write_text("\n".join(["timestamps", *reversed(wanted)]), encoding="utf-8")
    assert run(candles, model, "--future", str(future)) == 1
    assert "2024-07-03 10:00:00 follows 2024-07-04 10:00:00" in capsys.readouterr().err


def test_a_step_of_an_hour_is_not_five_minutes(
    candles: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(candles, model, "--freq", "1h", "-o", "-") == 0
    out, err = capsys.readouterr()
    assert [row["timestamps"][5:16] for row in read(out)] == [
        "06-13 10:00", "06-13 11:00", "06-13 14:00", "06-13 15:00",
    ]  # fmt: skip
    assert "the step asked for, 1 hour, is not that of the history, 5 minutes" in err


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({(380, 4): "inf"}, "`close` is inf at 2024-06-12"),
        ({(380, 2): ""}, "`high` is nan at 2024-06-12"),
        ({(380, 2): "many"}, "`high` is `many`"),
        ({(380, 0): TIMES[381]}, "comes more than once"),
        ({(380, 0): "soon"}, "`soon` is no time"),
    ],
)
def test_a_bar_that_cannot_be_used_is_named_with_its_file(
    change: dict[tuple[int, int], str],
    told: str,
    model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(table(tmp_path / "bad.csv", change=change), model) == 1
    err = capsys.readouterr().err
    assert told in err
    assert "bad.csv" in err.partition("where:")[2]


@pytest.mark.parametrize(
    ("count", "words", "status", "told"),
    [
        (0, (), 1, "the file has no bar"),
        (1, (), 1, "one bar does not tell when the next one is"),
        (1, ("--freq", "5min"), 0, "1 bar of history, of the 40 asked for"),
        (1, ("--freq", "5min", "--backtest"), 1, "too few for a backtest"),
        (2, (), 0, "2 bars of history, of the 40 asked for"),
    ],
)
def test_few_bars_are_told(
    count: int,
    words: tuple[str, ...],
    status: int,
    told: str,
    model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(table(tmp_path / "few.csv", TIMES[:count]), model, *words) == status
    assert told in capsys.readouterr().err


def test_constant_prices_are_repeated_and_told(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change = {(row, column): "5" for row in range(len(TIMES)) for column in range(1, 7)}
    assert run(table(tmp_path / "flat.csv", change=change), model, "-o", "-") == 0
    out, err = capsys.readouterr()
    assert "with zero deviation the forecast can only repeat them" in err
    assert np.allclose([float(row["close"]) for row in read(out)], 5, atol=1e-4)


def test_rows_in_any_order_are_the_same_forecast(
    candles: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head, *rows = candles.read_text(encoding="utf-8").splitlines()
    (tmp_path / "back.csv").write_text("\n".join([head, *reversed(rows)]), encoding="utf-8")
    assert run(candles, model, "-o", "-") == 0
    straight = capsys.readouterr().out
    assert run(tmp_path / "back.csv", model, "-o", "-") == 0
    out, err = capsys.readouterr()
    assert out == straight
    assert "were not in the order of time and were sorted" in err


def test_a_horizon_beyond_the_context_is_for_the_rolling_mode(
    candles: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--context", "64", "--lookback", "40", "--samples", "1")
    assert run(candles, model, *words, horizon=70) == 1
    assert "beyond the model's context of 64" in capsys.readouterr().err
    assert run(candles, model, *words, "--mode", "rolling", horizon=70) == 0
    out, err = capsys.readouterr()
    assert "mode rolling" in out
    assert "rolling mode: an approximation" in err


def test_the_backtest_compares_with_the_baselines(
    candles: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(candles, model, "--backtest", "--origins", "2") == 0
    out, err = capsys.readouterr()
    assert "forecasting: 2 forecasts, 4 bars, 3 samples" in err
    assert out.startswith("2 forecasts of 4 bars from 2 origins 4 bars apart, each after 40 bars")
    assert [line.split("  ")[0] for line in out.splitlines()[3:6]] == [
        "model", "persistence", "seasonal naive",
    ]  # fmt: skip
    assert run(candles, model, "--backtest", "--origins", "2", "--format", "json") == 0
    shape = json.loads(capsys.readouterr().out)
    assert set(shape["scores"]) == {"model", "persistence", "seasonal_naive"}
    assert set(shape["scores"]["model"]) == {
        "mae", "mase", "coverage", "direction", "mae_by_step",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("-o", "{candles}"), "would be written over"),
        (("-o", "{folder}/none/out.csv"), "there is no directory"),
        (("-o", "{folder}"), "is a directory"),
        (("--plot", "{folder}/chart.pdf"), "ends in no kind of picture"),
        (("--plot", "{folder}/none/chart.png"), "there is no directory"),
    ],
)
def test_a_place_that_cannot_be_written_is_a_usage_error_before_anything_is_computed(
    words: tuple[str, ...],
    told: str,
    candles: Path,
    model: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = candles.read_bytes()
    given = [word.format(candles=candles, folder=candles.parent) for word in words]
    assert run(candles, model, *given) == 2
    err = capsys.readouterr().err
    assert told in err
    assert "forecasting" not in err
    assert candles.read_bytes() == before


def test_a_name_that_is_no_published_models_is_told_with_those_that_are(
    candles: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["forecast", str(candles), "--model", "kronos-smal", "--horizon", "4"]) == 1
    err = capsys.readouterr().err
    assert "no published Kronos model is called `kronos-smal`" in err
    assert "kronos-mini, kronos-small, kronos-base" in err


def test_another_dtype_is_told(
    candles: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(candles, model, "--dtype", "bfloat16") == 0
    assert "computed in bfloat16: another forecast" in capsys.readouterr().err
    frame = pd.read_csv(candles)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trueup.forecast(frame, 2, model=model, samples=1, seed=1, dtype="bfloat16")
    told = [str(each.message) for each in caught if each.category is ForecastWarning]
    assert any("computed in bfloat16: another forecast" in each for each in told)


@pytest.mark.parametrize(
    ("package", "words"),
    [
        ("matplotlib", ("--plot", "{folder}/c.png")),
        ("plotext", ("--plot", "terminal")),
        ("torch", ()),
        ("numpy", ()),
    ],
)
def test_a_package_that_is_not_installed_is_named(
    package: str, words: tuple[str, ...], candles: Path, model: Path, tmp_path: Path
) -> None:
    given = [word.format(folder=tmp_path) for word in words]
    script = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "from trueup.cli.main import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    command = [sys.executable, "-c", script, "forecast", str(candles), "--model", str(model)]
    done = subprocess.run(
        [*command, "--horizon", "2", "--samples", "1", *given],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "Traceback" in done.stderr) == (1, False), done.stderr
    assert f"`{package}`" in done.stderr
    assert "pip install" in done.stderr


def test_an_interruption_is_exit_130(candles: Path, model: Path) -> None:
    command = [sys.executable, "-m", "trueup", "forecast", str(candles), "--model", str(model)]
    with subprocess.Popen(
        [*command, "--horizon", "4000", "--samples", "30", "--context", "8000"],
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("forecasting"):
                process.send_signal(signal.SIGINT)
                break
        rest = process.stderr.read()
        assert process.wait(60) == 130
    assert "Traceback" not in rest


def test_each_of_several_series_has_a_picture_of_its_own() -> None:
    taken: set[str] = set()
    places = [forecast_running._place("out/chart.png", name, taken) for name in ("A/B", "A_B", "C")]
    assert places == ["out/chart.A_B.png", "out/chart.A_B-2.png", "out/chart.C.png"]
