from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.checkpoints.build import build_checkpoint
from trueup.cli.main import main


def test_the_text_tells_route_mapping_memory_and_caveats(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = build_checkpoint("chatglm2", tmp_path / "model")
    assert main(["plan", str(directory), "--dtype", "bfloat16", "--device", "cpu"]) == 0
    text = capsys.readouterr().out
    for word in (
        "Route: native as transformers.GlmForCausalLM, bfloat16 on cpu",
        "mapped:",
        "`query_key_value`",
        "memory:",
        "context: 512 tokens",
        "ROPE-BF16",
    ):
        assert word in text
    assert all(len(line) <= 110 for line in text.splitlines() if str(tmp_path) not in line)


def test_json_is_one_report_with_the_plan_in_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = build_checkpoint("glm4", tmp_path / "glm4")
    assert main(["plan", str(directory), "--format", "json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["kind"], report["schema_version"]) == ("plan", 1)
    assert report["plan"]["family"] == "glm4"
    assert report["plan"]["model"]["id"] == "glm4"
    assert report["model"]["digest"] == report["plan"]["model"]["digest"]


def test_a_refused_plan_exits_with_one_and_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = build_checkpoint("chatglm2", tmp_path / "model", quantization_bit=4)
    assert main(["plan", str(directory)]) == 1
    text = capsys.readouterr().out
    assert "No route runs this model here." in text
    assert "`quantization_bit`" in text
    assert "mapped:" not in text


def test_strict_exits_with_one_for_an_error_that_is_avoided(tmp_path: Path) -> None:
    directory = build_checkpoint("chatglm2", tmp_path / "model")
    assert main(["plan", str(directory), "--transformers", "4.56.0"]) == 0
    assert main(["plan", str(directory), "--transformers", "4.56.0", "--strict"]) == 1


@pytest.mark.parametrize(
    ("words", "cause", "status"),
    [
        (["--route", "quick"], "invalid choice: 'quick'", 2),
        (["--dtype", "int4"], "invalid choice: 'int4'", 2),
        (["--device", "gpu"], "`gpu` is no device", 2),
        (["--transformers", "5.0.0", "--export-native", "x"], "running interpreter", 2),
        (["--transformers", "new"], "`new`", 2),
        (["--transformers", ""], "is not a version", 2),
    ],
)
def test_a_word_that_is_not_understood_is_an_error_with_choices(
    words: list[str],
    cause: str,
    status: int,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    directory = build_checkpoint("chatglm2", tmp_path / "model")
    assert main(["plan", str(directory), *words]) == status
    assert cause in capsys.readouterr().err


@pytest.mark.parametrize("content", [None, "not json", "[]"])
def test_a_directory_that_is_no_model_is_an_error_or_a_refusal(
    content: str | None, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "config.json").write_text(content, encoding="utf-8")
    assert main(["plan", str(tmp_path)]) == 1


def test_an_export_is_written_where_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = build_checkpoint("chatglm3", tmp_path / "model", dtype="float16")
    target = tmp_path / "native"
    assert main(["plan", str(directory), "--export-native", str(target), "--format", "json"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["export"] == {"directory": str(target), "dtype": "float16"}
    assert "weights in float16" in shown.err
    config = json.loads((target / "config.json").read_text(encoding="utf-8"))
    assert (config["model_type"], config["torch_dtype"]) == ("glm", "float16")
    assert main(["plan", str(directory), "--export-native", str(target)]) == 1
    assert "new or empty" in capsys.readouterr().err


def test_a_refused_plan_is_not_exported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = build_checkpoint("chatglm2", tmp_path / "model", pre_seq_len=8)
    assert main(["plan", str(directory), "--export-native", str(tmp_path / "native")]) == 1
    said = capsys.readouterr().err
    assert "nothing was exported" in said
    assert "hint:  --export-fixed DIR" in said
    assert not (tmp_path / "native").exists()


def test_the_verb_imports_no_torch() -> None:
    program = (
        "import sys; from trueup.cli.main import main; main(['plan', 'demo']);"
        "sys.exit(any(name in sys.modules for name in ('torch', 'transformers', 'numpy')))"
    )
    subprocess.run(
        [sys.executable, "-c", program], check=True, timeout=60, stdout=subprocess.DEVNULL
    )
