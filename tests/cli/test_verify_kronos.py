"""`trueup verify MODEL --kronos-golden DIR`: confirmed, or where it is not."""

from __future__ import annotations

import csv
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.kronos import oracle
from tests.kronos.directories import MODEL, TOKENIZER, model_files, tokenizer_files, write
from tests.kronos.directories import model as make_model
from tests.kronos.directories import tokenizer as make_tokenizer
from trueup.cli.main import main
from trueup.protocol.candles import COLUMNS

INPUT, HORIZON, CONTEXT = "kronos_regression_input.csv", 4, 512
START = datetime(2024, 6, 18, 11, 15)
NAMES = {lookback: f"kronos_regression_output_{lookback}.csv" for lookback in (256, 512)}


def save_rows(path: Path, first: int, bars: Any) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["timestamps", *COLUMNS])
        for number, bar in enumerate(bars):
            stamp = (START + timedelta(minutes=5 * (first + number))).isoformat(sep=" ")
            rows.writerow([stamp, *(repr(float(each)) for each in bar)])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, its tokenizer, and what the oracle forecasts with them."""
    folder = tmp_path_factory.mktemp("golden")
    write(folder / "model", model_files())
    write(folder / "model" / "tokenizer", tokenizer_files())
    bars = np.random.default_rng(4).normal(10, 1, (CONTEXT + HORIZON, 6)).astype(np.float32)
    stamps = [START + timedelta(minutes=5 * number) for number in range(len(bars))]
    parts = torch.tensor(
        [(each.minute, each.hour, each.weekday(), each.day, each.month) for each in stamps]
    )
    published = oracle.Published(
        model=make_model().state_dict(),
        tokenizer=make_tokenizer().state_dict(),
        model_heads=int(MODEL["n_heads"]),
        tokenizer_heads=int(TOKENIZER["n_heads"]),
    )
    files = folder / "files"
    files.mkdir()
    save_rows(files / INPUT, 0, bars)
    for lookback, name in NAMES.items():
        seen = bars[:lookback]
        mean, unit = seen.mean(0), seen.std(0) + np.float32(1e-5)
        found = oracle.forecast(
            published,
            torch.from_numpy(np.clip((seen - mean) / unit, -5, 5)),
            parts[: lookback + HORIZON],
            horizon=HORIZON,
            samples=1,
            context=CONTEXT,
            temperature=1.0,
            top_k=1,
            top_p=1.0,
            seed=123,
        )
        save_rows(files / name, lookback, found.bars[0].numpy() * unit + mean)
    return folder


def run(made: Path, *words: str, files: Path | None = None) -> int:
    golden = made / "files" if files is None else files
    return main(["verify", str(made / "model"), "--kronos-golden", str(golden), *words])


def copied(made: Path, to: Path) -> Path:
    to.mkdir()
    for each in (made / "files").iterdir():
        (to / each.name).write_bytes(each.read_bytes())
    return to


def test_the_outputs_of_these_weights_are_confirmed(
    made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(made) == 0
    shown = capsys.readouterr().out
    assert "\nCONFIRMED\n" in shown
    assert "256 -> 4 bars: equal" in shown
    assert "512 -> 4 bars: equal" in shown
    assert "tolerance: 1e-05 of each number" in shown


def test_other_weights_are_a_mismatch_and_the_status_is_one(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write(tmp_path / "other", model_files(seed=7))
    tokenizer = str(made / "model" / "tokenizer")
    words = ["verify", str(other), "--tokenizer", tokenizer, "--kronos-golden"]
    assert main([*words, str(made / "files")]) == 1
    shown = capsys.readouterr().out
    assert "\nMISMATCH\n" in shown
    assert "different, from bar" in shown
    assert "other weights than the published ones" in shown


def test_the_json_report_has_a_version_the_call_and_every_case(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = copied(made, tmp_path / "files")
    rows = (files / NAMES[512]).read_text().splitlines()
    stamp, first, *rest = rows[3].split(",")
    rows[3] = ",".join([stamp, repr(float(first) * 1.001), *rest])
    (files / NAMES[512]).write_text("\n".join(rows))
    assert run(made, "--format", "json", files=files) == 1
    shape = json.loads(capsys.readouterr().out)
    assert (shape["schema_version"], shape["verdict"]) == (1, "mismatch")
    assert shape["call"] == {
        "temperature": 1.0, "top_k": 1, "top_p": 1.0, "samples": 1, "seed": 123,
    }  # fmt: skip
    assert (shape["dtype"], shape["device"], shape["context"]) == ("float32", "cpu", 512)
    right, wrong = shape["cases"]
    assert (right["verdict"], right["first"], right["lookback"]) == ("equal", None, 256)
    assert (wrong["verdict"], wrong["first"], wrong["step"], wrong["column"]) == (
        "different", 3, 3, "open",
    )  # fmt: skip
    assert wrong["worst"] == pytest.approx(1e-3, rel=1e-2)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (INPUT, None, "there is no `kronos_regression_input.csv`"),
        (NAMES[256], "timestamps,open\n", "no column `high`"),
        (NAMES[256], "timestamps,open,high,low,close,volume,amount\n", "are not those of"),
        (NAMES[256], "timestamps,open,high,low,close,volume,amount\nnow,1,1,1,1,1,1\n",
         "a row that is not a timestamp and six numbers"),
        (NAMES[256], "timestamps,open,high,low,close,volume,amount\n2024-01-01,1,1,1,1,1,1\n",
         "are not those of `kronos_regression_input.csv` after its first 256 bars"),
    ],
)  # fmt: skip
def test_files_that_are_not_those_are_told(
    made: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    content: str | None,
    said: str,
) -> None:
    files = copied(made, tmp_path / "files")
    (files / name).unlink()
    if content is not None:
        (files / name).write_text(content)
    assert run(made, files=files) == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--seed", "3"], "`--seed` has no meaning beside `--kronos-golden`"),
        (["--kind", "chat"], "`--kind` has no meaning"),
        (["--dtype", "float16"], "not in `float16`"),
        (["--record", "x"], "not allowed with argument"),
    ],
)
def test_options_without_a_meaning_are_refused(
    made: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert run(made, *words) == 2
    assert said in capsys.readouterr().err


def test_a_tokenizer_is_for_these_files_alone(
    made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(made / "model"), "--tokenizer", "x"]) == 2
    assert "only `--kronos-golden` takes a tokenizer" in capsys.readouterr().err


def test_without_these_files_it_is_said_what_can_be_compared(
    made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(made / "model")]) == 1
    out = " ".join(capsys.readouterr().out.split())
    assert "UNPROVEN" in out
    assert "Kronos is no class of transformers" in out
    assert f"trueup verify {made / 'model'} --kronos-golden DIR" in out


@pytest.mark.parametrize(("folder", "name"), [("", "Kronos"), ("tokenizer", "KronosTokenizer")])
def test_the_check_names_what_the_directory_holds(
    made: Path, folder: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = made / "model" / folder
    assert main(["check", str(directory)]) == (0 if folder == "" else 1)
    assert capsys.readouterr().out.startswith(f"{directory.name}: {name}\n")
    assert main(["check", str(directory), "--format", "json"]) == (0 if folder == "" else 1)
    assert json.loads(capsys.readouterr().out)["model"]["hub_class"] == name


def test_the_plan_counts_in_bars_and_says_what_a_proof_takes(
    made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", str(made / "model")]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "model: Kronos" in out
    assert "context: 512 bars" in out
    assert "for every 1000 bars" in out
    assert "compares with published outputs alone" in out
