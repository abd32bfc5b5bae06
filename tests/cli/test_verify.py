from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import pytest

from tests.adapt.library_checkpoints import build_library_checkpoint
from tests.checkpoints.build import build_checkpoint
from trueup.cli.main import main
from trueup.cli.verify_text import proof_lines
from trueup.errors import ConfigError
from trueup.proof import proving
from trueup.proof.proving import Proved
from trueup.proof.verify import Outcome

CASE = {
    "case": "greedy",
    "maximum": 3e-3,
    "mean": 1e-3,
    "argmax_agreement": 0.5,
    "positions": 4,
    "first_different": {"row": 0, "step": 2, "reference": 3, "planned": 7},
}
SHAPE: dict[str, Any] = {
    "verdict": "failed",
    "reasons": ["greedy: logits differ by 3.0e-03 in fp32, the bar is 1e-04"],
    "model": {"source": "demo"},
    "route": "native",
    "dtype": "float32",
    "reference": {"kind": "own code", "words": "the model's own code in transformers 4.38.2"},
    "figures": {"float32": [CASE]},
    "layers": [0.0, 2e-3],
    "tried": {
        "layer_by_layer": True,
        "extent": "loaded",
        "longest_tokens": 64,
        "context_tokens": 512,
    },
    "inspection": {"float32": {"tensors": 58, "buffers": 2}},
    "tokenizer": {"texts": 14, "chats": 2},
    "peak_bytes": {"reference": 2 * 10**9, "planned": 10**9},
}


def test_the_text_tells_verdict_reasons_and_figures() -> None:
    text = [line.text for line in proof_lines(SHAPE, Path("/home/proofs/1.json"))]

    assert text[0] == (
        "demo: native route in float32 against the model's own code in transformers 4.38.2"
    )
    assert text[1] == "FAILED"
    assert "logits differ by 3.0e-03" in text[2]
    words = ["greedy", "3.0e-03", "1.0e-03", "50.0%", "differ", "from", "number", "3"]
    assert any(line.split() == words for line in text)
    assert "2 layers: outputs differ by 2.0e-03 of their scale" in text
    assert "tried layer by layer, up to 64 of 512 tokens of context" in text
    assert "in memory, float32: 58 tensors and 2 buffers compared" in text
    assert "tokenizer: the ids of 14 texts and 2 conversations compared" in text
    assert text[-1] == "record: /home/proofs/1.json"


def test_a_proof_says_what_it_did_not_compare() -> None:
    found = {"tensors": 58, "buffers": 2, "not_compared": ["a.weight", "b.weight"]}
    shape = {**SHAPE, "verdict": "proven", "inspection": {"float32": found}}

    text = [line.text for line in proof_lines(shape, None)]

    assert text[1] == "PROVEN by its answers; in memory not compared: `a.weight` and 1 more"


def test_a_proof_of_parts_says_that_the_load_was_not_asked() -> None:
    shape = {**SHAPE, "verdict": "proven", "tried": {**SHAPE["tried"], "extent": "layer by layer"}}

    text = [line.text for line in proof_lines(shape, None)]

    assert text[1].startswith("PROVEN layer by layer; the load itself was not asked")


def test_a_proof_says_which_conversation_it_did_not_compare() -> None:
    told = {"texts": 14, "chats": 1, "not_compared": ["conversation 2 (its `chat` raises)"]}

    text = [
        line.text for line in proof_lines({**SHAPE, "verdict": "proven", "tokenizer": told}, None)
    ]

    assert text[1] == "PROVEN; not compared: conversation 2 (its `chat` raises)"


def test_own_code_runs_only_with_consent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = build_checkpoint("chatglm2", tmp_path / "model")

    assert main(["verify", str(model), "--dtype", "float32"]) == 1

    said = capsys.readouterr()
    assert said.out == ""
    assert "runs only with your consent" in said.err
    assert f"hint:  trueup trust {model}" in said.err


@pytest.fixture
def unversioned(tmp_path: Path) -> Path:
    """A model whose config does not say which release saved it."""
    directory = build_library_checkpoint("llama", tmp_path / "model")
    config = json.loads((directory / "config.json").read_text())
    del config["transformers_version"]
    (directory / "config.json").write_text(json.dumps(config))
    return directory


def test_without_a_reference_a_model_is_unproven_and_why_is_said(
    unversioned: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(unversioned), "--dtype", "float32"]) == 1

    said = capsys.readouterr().out
    assert "UNPROVEN" in said
    assert "names no `transformers_version`" in said
    assert f"hint: trueup verify {unversioned} --reference-python PATH" in said


def test_json_is_one_report(unversioned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(unversioned), "--dtype", "float32", "--format", "json"]) == 1

    report = json.loads(capsys.readouterr().out)
    assert (report["schema_version"], report["kind"]) == (1, "proof")
    assert (report["verdict"], report["record"]) == ("unproven", None)
    assert report["subject"]["weights"].startswith("sha256:")


def test_a_recording_without_a_reference_is_an_error(
    unversioned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    golden = tmp_path / "golden.npz"

    assert main(["verify", str(unversioned), "--record", str(golden)]) == 1

    assert "names no `transformers_version`" in capsys.readouterr().err
    assert not golden.exists()


def test_a_golden_file_that_is_none_is_an_error(
    unversioned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    golden = tmp_path / "golden.npz"
    golden.write_text("{}")

    assert main(["verify", str(unversioned), "--reference", str(golden)]) == 1

    said = capsys.readouterr().err
    assert "or it is damaged" in said
    assert f"where: {golden}" in said


@pytest.mark.parametrize(
    "words",
    [
        ("--memory-gb", "0"),
        ("--memory-gb", "nan"),
        ("--record", "a", "--reference", "b"),
        ("--dtype", "int4"),
        ("--dtype", "int8"),
        ("--reference", "nowhere.npz"),
        ("--record", "nowhere/golden.npz"),
        ("--reference-python", "nowhere"),
    ],
)
def test_a_command_line_that_cannot_be_meant_is_usage(words: tuple[str, ...]) -> None:
    assert main(["verify", "demo", *words]) == 2


def test_an_interpreter_that_lacks_torch_is_refused_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    venv.create(tmp_path / "bare", with_pip=False, symlinks=True)

    assert main(["verify", "demo", "--reference-python", str(tmp_path / "bare")]) == 2

    said = capsys.readouterr().err
    assert "lacks `torch` and `transformers`" in said
    assert "where: --reference-python" in said


def test_a_home_that_cannot_be_written_is_told_before_the_work(
    unversioned: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TRUEUP_HOME", str(tmp_path / "file"))

    assert main(["verify", str(unversioned), "--dtype", "float32"]) == 1

    said = capsys.readouterr()
    assert said.out == ""
    assert "the folder of records cannot be written" in said.err


def test_a_verdict_is_printed_where_its_record_cannot_be_kept(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = Outcome(verdict="proven", reasons=())
    shape = {**SHAPE, "verdict": "proven"}
    fault = ConfigError("the record cannot be written: No space left on device")
    proved = Proved(outcome=outcome, shape=shape, record=None, fault=fault)
    monkeypatch.setattr(proving, "prove", lambda *_: proved)

    assert main(["verify", "demo"]) == 1

    said = capsys.readouterr()
    assert "PROVEN" in said.out
    assert "error: the record cannot be written: No space left on device" in said.err


def test_this_process_imports_no_torch(tmp_path: Path) -> None:
    program = (
        "import sys, trueup.cli.main as m; m.main(['verify', 'demo']); "
        "print([n for n in ('torch', 'transformers') if n in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stderr.strip().endswith("[]"), done.stderr
