"""`trueup check MODEL --write-config`: what is written, what is kept, what is said."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.checkpoint.directories import safetensors, tensors_of, write
from tests.doctor.test_hub_model_rules import TOKENIZER, model_tensors, tokenizer_tensors
from trueup.checkpoint.rebuild import MARK
from trueup.cli.main import main

GUESSES = ["ffn_dropout_p", "attn_dropout_p", "resid_dropout_p", "beta", "gamma0", "gamma", "zeta"]


def kronos(directory: Path, config: Any = None) -> Path:
    files = {"model.safetensors": tensors_of(tokenizer_tensors())}
    return write(directory, files if config is None else {**files, "config.json": config})


def run(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> str:
    assert main(["check", *words, "--write-config"]) == status
    shown = capsys.readouterr()
    return shown.err if status else shown.out


def written(directory: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((directory / "config.json").read_text())
    return found


def test_a_config_that_is_absent_is_written_with_its_guesses_marked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = run(capsys, str(kronos(tmp_path)))
    config = written(tmp_path)
    assert config.pop(MARK) == GUESSES
    assert config == TOKENIZER
    assert "NOT determined by the weights" in shown
    assert shown.endswith(f"wrote {tmp_path}/config.json\n")
    assert sorted(os.listdir(tmp_path)) == ["config.json", "model.safetensors"]


def test_afterwards_the_check_warns_of_the_guesses_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, str(kronos(tmp_path)))
    main(["check", str(tmp_path), "--format", "json"])
    report = json.loads(capsys.readouterr().out)
    assert {each["code"] for each in report["findings"]} == {"DIR121", "MIX100"}


@pytest.mark.parametrize("old", ["{ broken", "<!DOCTYPE html>", '{"d_in": 7, "groupSize": 5}'])
def test_the_old_file_is_kept_byte_for_byte_under_a_free_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str
) -> None:
    kronos(tmp_path, old)
    (tmp_path / "config.json.bak").write_text("of the owner")
    shown = run(capsys, str(tmp_path))
    assert (tmp_path / "config.json.bak").read_text() == "of the owner"
    assert (tmp_path / "config.json.bak1").read_text() == old
    assert f"the former one is {tmp_path}/config.json.bak1" in shown
    assert written(tmp_path)["d_in"] == 6


def test_what_was_replaced_and_left_out_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kronos(tmp_path, {**TOKENIZER, "d_model": 99, "beta": 0.07, "learn_te": True})
    shown = run(capsys, str(tmp_path))
    assert "`d_model` was `99`, which the weights contradict" in shown
    assert "Left out, because `KronosTokenizer` does not take them: `learn_te`" in shown
    assert (written(tmp_path)["d_model"], written(tmp_path)["beta"]) == (8, 0.07)
    assert "learn_te" not in written(tmp_path)
    assert MARK not in written(tmp_path)


def test_a_config_that_says_it_all_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kronos(tmp_path, TOKENIZER)
    before = (tmp_path / "config.json").stat().st_mtime_ns
    assert "nothing was written" in run(capsys, str(tmp_path))
    assert (tmp_path / "config.json").stat().st_mtime_ns == before
    assert not (tmp_path / "config.json.bak").exists()


def test_the_values_behind_a_byte_order_mark_are_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = b"\xef\xbb\xbf" + json.dumps({**TOKENIZER, "beta": 0.07}).encode()
    kronos(tmp_path)
    (tmp_path / "config.json").write_bytes(old)
    shown = run(capsys, str(tmp_path))
    assert shown.endswith("config.json.bak\n")
    assert written(tmp_path) == {**TOKENIZER, "beta": 0.07}


@pytest.mark.parametrize("output", ["text", "json"])
def test_what_the_check_still_says_of_the_config_is_told_and_the_status_is_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], output: str
) -> None:
    wide = {"model.embed_tokens.weight": (96, 64), "model.norm.weight": (64,)}
    layer = {"input_layernorm": (64,), "post_attention_layernorm": (64,)}
    layer |= {f"self_attn.{name}_proj": (64, 64) for name in "qkvo"}
    layer |= {"mlp.gate_proj": (80, 64), "mlp.up_proj": (80, 64), "mlp.down_proj": (64, 80)}
    wide |= {f"model.layers.0.{name}.weight": shape for name, shape in layer.items()}
    write(tmp_path, {"model.safetensors": tensors_of(wide), "config.json": {"model_type": "lama"}})
    assert main(["check", str(tmp_path), "--write-config", "--format", output]) == 1
    shown = capsys.readouterr().out
    assert "CFG103" in shown
    assert "`lama`" in shown


def test_json_tells_the_origin_of_every_value(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, {"model.safetensors": tensors_of(model_tensors())})
    report = json.loads(run(capsys, str(tmp_path), "--format", "json"))
    assert (report["schema_version"], report["kind"]) == (1, "write_config")
    assert (report["layout"], report["written"], report["backup"]) == ("kronos", True, None)
    origins = {each["key"]: each["origin"] for each in report["values"]}
    assert origins["n_layers"] == "weights"
    assert origins["token_dropout_p"] == "guess"
    assert all(each["reason"] for each in report["values"])


def test_weights_of_an_unknown_layout_are_an_error_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, {"model.safetensors": safetensors("some.weight")})
    shown = run(capsys, str(tmp_path), status=1)
    assert "`some.weight`" in shown
    assert "a Kronos tokenizer" in shown
    assert os.listdir(tmp_path) == ["model.safetensors"]


def test_a_cache_and_the_demo_are_not_written_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    snapshot = kronos(tmp_path / "models--org--name" / "snapshots" / "c0ffee")
    assert "is in a cache" in run(capsys, str(snapshot), status=1)
    assert "is in a cache" in run(capsys, "demo", status=1)
    assert os.listdir(snapshot) == ["model.safetensors"]


def test_a_failure_to_write_leaves_the_old_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kronos(tmp_path, {"d_in": 6})

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    assert "No space left on device" in run(capsys, str(tmp_path), status=1)
    assert written(tmp_path) == {"d_in": 6}
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".config")]


def test_an_error_text_and_a_config_to_write_do_not_go_together(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["check", "--error", "x", "--write-config"]) == 2
    assert "`--write-config`" in capsys.readouterr().err


@pytest.mark.parametrize(
    "more", [("--revision", "main"), ("--transformers", "4.56.0"), ("--strict",)], ids=str
)
def test_options_of_the_check_are_refused_beside_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...]
) -> None:
    shown = run(capsys, str(kronos(tmp_path)), *more, status=2)
    assert more[0] in shown
    assert os.listdir(tmp_path) == ["model.safetensors"]
