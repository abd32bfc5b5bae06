from __future__ import annotations

import argparse
import contextlib
import json
import math
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.similarity.labelled import TokenEmbedder, family, row, write_lines
from trueup.cli import similar_evaluate
from trueup.errors import BackendError, ConfigError, TrueUpError, UsageError

ROOT = Path(__file__).resolve().parents[2]
REPORT = [
    "schema_version", "kind", "model", "data", "embedder", "split", "measures", "confusion",
    "baselines", "gain_over_shared_tokens", "threshold", "by_kind", "by_languages", "worst",
    "retrieval", "goal",
]  # fmt: skip


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Has every run use an embedder without a model; the models that were asked for."""
    models: list[str] = []

    @contextlib.asynccontextmanager
    async def opener(arguments: argparse.Namespace) -> AsyncIterator[TokenEmbedder]:
        models.append(arguments.model)
        yield TokenEmbedder()

    monkeypatch.setattr(similar_evaluate, "open_embedder", opener)
    return models


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    for option in ("--evaluate", "--model", "--url"):
        parser.add_argument(option)
    parser.add_argument("--format", default="text")
    similar_evaluate.add_arguments(parser)
    return similar_evaluate.run(parser.parse_args(["--model", "codebert", "--evaluate", *words]))


def report(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> dict[str, Any]:
    assert run(*words, "--format", "json") == status
    shown = capsys.readouterr()
    assert shown.err == ""
    found: dict[str, Any] = json.loads(shown.out)
    return found


@pytest.mark.usefixtures("opened")
def test_the_json_report_has_its_documented_shape(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = report(capsys, str(write_lines(tmp_path / "p.jsonl", family(12))), "--seed", "4")
    assert list(found) == REPORT
    assert (found["schema_version"], found["kind"], found["model"]) == (1, "evaluation", "codebert")
    assert (found["split"]["seed"], found["split"]["folds"], found["goal"]) == (4, 5, None)
    assert set(found["measures"]) == {"accuracy", "precision", "recall", "f1", "roc_auc"}
    assert set(found["by_kind"][0]) == {
        "name", "pairs", "alike", "accuracy", "f1", "roc_auc", "mean_score",
    }  # fmt: skip


@pytest.mark.usefixtures("opened")
def test_the_text_says_the_same_in_eighty_columns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = family(12)
    for i, each in enumerate(rows):
        each["kind"] = "k" * 60 if i % 2 else "renamed"
        each["left"]["language"] = "a-language-with-a-long-name\x1b[31m"
    rows[0]["right"], rows[1]["right"] = rows[1]["right"], rows[0]["right"]  # two errors
    path = str(write_lines(tmp_path / "p.jsonl", rows))
    found = report(capsys, path)
    assert run(path) == 0
    text = capsys.readouterr().out
    assert all(len(line) <= 80 for line in text.splitlines() if str(tmp_path) not in line)
    assert "\x1b" not in text
    for figure in found["measures"].values():
        assert f"{figure['value']:.3f}" in text
    assert f"Threshold to use: {found['threshold']['value']:.4f}" in text
    assert "24 pairs (12 alike) of 48 snippets, 12 groups" in text
    for word in ("shared tokens", "always one answer", "by kind", "by languages", "worst errors"):
        assert word in text
    assert [each["id"] for each in found["worst"]] == ["0+", "0-"] or len(found["worst"]) >= 2
    assert "different, yet the score is" in text


@pytest.mark.usefixtures("opened")
def test_a_text_without_errors_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [row(f"a{i} b{i} c{i}", f"a{i} b{i} d{i}", 1, group=f"g{i}") for i in range(6)]
    rows += [row(f"e{i} f{i}", f"h{i} k{i}", 0, group=f"g{i}") for i in range(6)]
    assert run(str(write_lines(tmp_path / "p.jsonl", rows))) == 0
    text = capsys.readouterr().out
    assert "No pair is judged wrong." in text
    assert "by kind" not in text


@pytest.mark.usefixtures("opened")
def test_an_accuracy_below_the_wanted_one_is_exit_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(write_lines(tmp_path / "p.jsonl", family(12)))
    accuracy = report(capsys, path)["measures"]["accuracy"]["value"]
    found = report(capsys, path, "--min-accuracy", repr(accuracy))
    assert found["goal"] == {"min_accuracy": accuracy, "is_met": True}
    rows = family(12)
    rows[0]["label"], rows[1]["label"] = 0, 1
    path = str(write_lines(tmp_path / "q.jsonl", rows))
    found = report(capsys, path, "--min-accuracy", "1", status=1)
    assert found["goal"] == {"min_accuracy": 1.0, "is_met": False}
    assert run(path, "--min-accuracy", "1") == 1
    assert "is below --min-accuracy 1." in capsys.readouterr().out
    assert run(path, "--min-accuracy", "0.5") == 0
    assert "reaches --min-accuracy 0.5." in capsys.readouterr().out


@pytest.mark.usefixtures("opened")
def test_a_sample_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(write_lines(tmp_path / "p.jsonl", family(40)))
    found = report(capsys, path, "--limit", "60", "--seed", "2")
    assert found["data"]["pairs"] == 60
    assert found["data"]["drawn"] == "60 of 80 pairs, each label with its share, seed 2"
    assert run(path, "--limit", "60") == 0
    assert "a sample: 60 of 80 pairs" in capsys.readouterr().out


@pytest.mark.usefixtures("opened")
def test_poj104_has_its_retrieval_in_the_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        {"label": str(problem), "index": f"{problem}-{i}", "code": f"p{problem} q{problem} r{i}"}
        for problem in range(10)
        for i in range(5)
    ]
    assert run(str(write_lines(tmp_path / "test.jsonl", rows))) == 0
    text = capsys.readouterr().out
    assert "MAP@R" in text
    assert "50 programs of 10 problems, R is 4" in text


def test_a_terminal_shows_how_far_embedding_is_and_keeps_nothing_of_it(
    tmp_path: Path,
    opened: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    path = str(write_lines(tmp_path / "p.jsonl", family(40)))
    assert run(path) == 0
    shown = capsys.readouterr().err
    assert "(embedding: 64 of 160 snippets)" in shown
    assert shown.endswith("\r\x1b[K")

    async def fail(self: TokenEmbedder, texts: object) -> object:
        raise BackendError("the server is gone", retryable=False)

    monkeypatch.setattr(TokenEmbedder, "embed", fail)
    with pytest.raises(BackendError):
        run(path)
    assert capsys.readouterr().err.endswith("\r\x1b[K")


@pytest.mark.parametrize(
    ("words", "where"),
    [
        (("--folds", "1"), "--folds"),
        (("--folds", "51"), "--folds"),
        (("--limit", "3"), "--limit"),
        (("--limit", "-1"), "--limit"),
        (("--min-accuracy", "85"), "--min-accuracy"),
        (("--min-accuracy", "-0.1"), "--min-accuracy"),
        (("--min-accuracy", str(math.nan)), "--min-accuracy"),
        (("--seed", "-1"), "--seed"),
    ],
)
def test_flags_that_cannot_be_meant_are_usage_errors(
    words: tuple[str, str], where: str, opened: list[str]
) -> None:
    with pytest.raises(UsageError) as caught:
        run("nothing.jsonl", *words)
    assert caught.value.where == where
    assert opened == []


def test_bad_pairs_are_told_before_a_model_is_loaded(tmp_path: Path, opened: list[str]) -> None:
    one_label = write_lines(tmp_path / "one.jsonl", [row("a", "b", 1), row("c", "d", 1)])
    broken = tmp_path / "broken.jsonl"
    broken.write_text("{")
    for path in (one_label, broken, tmp_path / "missing.jsonl", tmp_path):
        with pytest.raises(TrueUpError):
            run(str(path))
    assert opened == []


def test_too_few_groups_are_told_before_a_model_is_loaded(
    tmp_path: Path, opened: list[str]
) -> None:
    path = write_lines(tmp_path / "p.jsonl", family(3))
    with pytest.raises(ConfigError, match="5 folds and 3 groups"):
        run(str(path), "--folds", "5")
    assert opened == []


def test_a_missing_package_is_told_with_the_extra(
    tmp_path: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="`numpy` is not installed") as caught:
        run(str(write_lines(tmp_path / "p.jsonl", family(3))))
    assert caught.value.hint == "pip install 'trueup[similar]'"
    assert opened == []


def test_the_verbs_module_imports_nothing_heavy() -> None:
    code = (
        "import sys; import trueup.cli.similar_evaluate; "
        "print([name for name in ('numpy', 'sklearn', 'rich', 'torch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.usefixtures("opened")
def test_our_own_pairs_are_evaluated(capsys: pytest.CaptureFixture[str]) -> None:
    found = report(capsys, str(ROOT / "examples" / "code_pairs" / "pairs.jsonl"))
    assert found["data"]["pairs"] >= 300
    assert (found["split"]["by"], found["split"]["groups"]) == ("joined group", 36)
    assert {"near_miss", "renamed", "reordered", "translated"} <= {
        each["name"] for each in found["by_kind"]
    }
