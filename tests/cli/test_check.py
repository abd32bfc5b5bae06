import io
import json
import shutil
import subprocess
import sys
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import pytest

from tests.checkpoint.directories import CONFIG, safetensors, write
from trueup.cli.main import main
from trueup.environment.symbols.symbols import versions

FIVE_ERRORS = ["TOK104", "CFG101", "GEN101", "CACHE101", "CACHE102"]


def check(
    capsys: pytest.CaptureFixture[str], *words: str, status: int = 0
) -> tuple[dict[str, Any], str]:
    assert main(["check", *words, "--format", "json"]) == status
    shown = capsys.readouterr()
    return json.loads(shown.out), shown.err


def codes(report: dict[str, Any]) -> list[str]:
    return [finding["code"] for finding in report["findings"]]


def test_the_demo_on_4_56_shows_the_five_errors_in_their_order(
    capsys: pytest.CaptureFixture[str],
) -> None:
    report, _ = check(capsys, "demo", "--transformers", "4.56.0")
    assert codes(report)[:5] == FIVE_ERRORS
    assert codes(report)[5:] == ["GEN102"]
    places = [finding["where"]["path"] for finding in report["findings"]]
    assert places[:2] == ["tokenization_chatglm.py", "configuration_chatglm.py"]
    assert all(finding["where"]["line"] for finding in report["findings"])


def test_the_demo_on_5_23_shows_what_happens_there(capsys: pytest.CaptureFixture[str]) -> None:
    report, _ = check(capsys, "demo", "--transformers", "5.23.0")
    assert codes(report) == [
        "TOK104", "CFG102", "LOAD102", "CFG102", "CFG101", "GEN101", "GEN103", "CACHE103",
        "TOK105", "GEN102",
    ]  # fmt: skip


@pytest.mark.parametrize("version", ["4.42.4", "4.43.4", "4.44.2"])
def test_the_demo_names_what_4_42_changed_wherever_it_is_met(
    capsys: pytest.CaptureFixture[str], version: str
) -> None:
    report, _ = check(capsys, "demo", "--transformers", version)
    assert codes(report)[0] == "GEN101"


@pytest.mark.parametrize("version", ["4.30.2", "4.41.2"])
def test_the_demo_has_no_findings_where_it_was_at_home(
    capsys: pytest.CaptureFixture[str], version: str
) -> None:
    main(["check", "demo", "--transformers", version, "--format", "json"])
    assert json.loads(capsys.readouterr().out)["findings"] == []


def test_the_report_has_its_documented_shape(capsys: pytest.CaptureFixture[str]) -> None:
    report, err = check(capsys, "demo")
    assert err == ""
    assert list(report) == [
        "schema_version", "kind", "model", "environment", "findings", "options", "plan",
    ]  # fmt: skip
    assert (report["schema_version"], report["kind"]) == (1, "check")
    assert {
        "id",
        "source",
        "revision",
        "digest",
        "directory",
        "model_type",
        "architectures",
    } <= set(report["model"])
    assert {"python", "transformers"} <= set(report["environment"])
    assert report["plan"]["route"] == "native"
    assert report["plan"]["model"]["id"] == report["model"]["id"] == "demo"
    assert all(finding["avoided"] for finding in report["findings"])
    keys = {
        "code", "severity", "stage", "cause", "where", "since", "until", "evidence", "hint",
        "exception", "function", "blocks", "avoided_by", "avoided",
    }  # fmt: skip
    assert all(set(finding) == keys for finding in report["findings"])


def test_the_text_ends_with_the_route_and_the_next_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["check", "demo", "--transformers", "4.56.0"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("demo: chatglm")
    assert any(line.startswith("Route: native") for line in lines)
    assert lines[-1].split() == ["next:", "trueup", "chat", "demo"]
    assert not any("\x1b" in line for line in lines)
    assert max(map(len, lines)) <= 110


def test_strict_fails_for_errors_that_the_route_avoids(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["check", "demo", "--transformers", "4.56.0", "--strict"]) == 1
    assert capsys.readouterr().out.splitlines()[-1].startswith("--strict: 4 error findings")


def test_a_model_that_no_route_runs_is_exit_1_with_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, {"config.json": CONFIG, "model.safetensors": safetensors("a", missing_bytes=3)})
    report, _ = check(capsys, str(tmp_path), status=1)
    assert "DIR107" in codes(report)
    assert report["plan"]["route"] == "refused"
    assert main(["check", str(tmp_path)]) == 1
    assert "No route runs this model here." in capsys.readouterr().out


def test_another_environment_is_judged_by_its_own_packages(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    packages = tmp_path / "env" / "lib" / "python3.11" / "site-packages"
    (packages / "transformers-4.56.0.dist-info").mkdir(parents=True)
    (packages / "sentencepiece-0.2.0.dist-info").mkdir()
    (tmp_path / "env" / "pyvenv.cfg").write_text("version = 3.11.4\n")
    (tmp_path / "env" / "bin").mkdir()
    (tmp_path / "env" / "bin" / "python").touch()
    main(["check", "demo", "--python", str(tmp_path / "env/bin/python"), "--format", "json"])
    report = json.loads(capsys.readouterr().out)
    assert report["environment"]["transformers"] == "4.56.0"
    assert report["environment"]["python_version"] == "3.11.4"
    assert codes(report)[:5] == FIVE_ERRORS


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        ([], 2, "no model was named"),
        (["demo", "--error", "x"], 2, "give one of them"),
        (["--error", ""], 2, "the text is empty"),
        (["/nowhere/at/all"], 1, "does not exist"),
        (["org/name"], 1, "neither a directory nor a hub id"),
        (["demo", "--transformers", "newest"], 2, "is not a version"),
        (["demo", "--transformers", ""], 2, "is not a version"),
        (["demo", "--revision", "main"], 1, "has no revisions"),
        ([".", "--revision", "main"], 1, "has no revisions"),
        (["demo", "--python", "/nowhere/python"], 1, "is not an interpreter"),
    ],
)
def test_bad_words_are_expected_errors_with_a_cause(
    words: list[str], status: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", *words]) == status
    shown = capsys.readouterr()
    assert told in shown.err
    assert shown.out == ""


@pytest.mark.parametrize("words", [["demo", "--frobnicate"], ["demo", "--format", "xml"],
                                   ["demo", "--python", "a", "--transformers", "5"]])  # fmt: skip
def test_unknown_words_are_usage_errors(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", *words]) == 2


@pytest.mark.parametrize(
    "config",
    [b"", b"{", b"[]", b"null", b'{"a":' * 5000, b"\xff", b'{"model_type": 3}',
     b'{"model_type": "chatglm", "auto_map": {"AutoModel": 3}, "architectures": "x"}',
     b'{"model_type": "chatglm", "num_layers": "many", "hidden_size": null}',
     b'{"model_type": "llama", "torch_dtype": {"a": 1}, "num_hidden_layers": -1}'],
)  # fmt: skip
def test_no_config_ends_in_a_traceback(
    tmp_path: Path, config: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, {"config.json": config, "model.safetensors": safetensors("a\nb")})
    assert main(["check", str(tmp_path)]) == 1
    shown = capsys.readouterr()
    assert "Traceback" not in shown.out + shown.err
    assert "bug" not in shown.err


def test_a_pasted_error_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    text = "TypeError: ChatGLMTokenizer._pad() got an unexpected keyword argument 'padding_side'"
    assert main(["check", "--error", text]) == 0
    shown = capsys.readouterr().out
    assert "TOK104 (since transformers 4.45.0)" in shown
    assert "next:  trueup chat MODEL" in shown


def test_a_traceback_is_read_from_stdin(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "日志\nAttributeError: 'ChatGLMConfig' object has no attribute 'max_length'\n\xff"
    stdin = io.TextIOWrapper(io.BytesIO(text.encode() + b"\xff\xfe"))
    monkeypatch.setattr(sys, "stdin", stdin)
    answer, _ = check(capsys, "--error", "-")
    assert answer["kind"] == "error"
    assert answer["matches"][0]["code"] == "CFG102"


def test_an_unknown_error_is_exit_1_and_says_what_to_do(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["check", "--error", "ValueError: never seen"]) == 1
    shown = capsys.readouterr().out
    assert "not in the catalogue" in shown
    assert "next:" in shown


@pytest.mark.parametrize("words", [["demo"], ["--error", "KeyError: 'type'"]])
def test_check_needs_no_heavy_module_and_rich_only_on_a_terminal(words: list[str]) -> None:
    code = (
        "import sys; from trueup.cli.main import main; main(sys.argv[1:]); heavy = "
        "('torch', 'transformers', 'numpy', 'pydantic', 'rich', 'huggingface_hub', 'aiohttp'); "
        "print([name for name in heavy if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "check", *words], capture_output=True, text=True, check=True
    )
    assert done.stderr.strip() == "[]"


def test_a_chatglm_directory_without_its_code_is_told_what_to_copy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with as_file(files("trueup") / "demo_checkpoint") as demo:
        for name in ("config.json", "model.safetensors", "tokenizer.model"):
            shutil.copy(demo / name, tmp_path)
    assert main(["check", str(tmp_path)]) == 1
    next_step = " ".join(capsys.readouterr().out.partition("next:")[2].split())
    assert next_step.startswith("copy tokenizer_config.json and the Python files")


def test_a_program_that_is_no_python_is_told_in_plain_words(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["check", "demo", "--python", "/bin/ls"]) == 1
    told = capsys.readouterr().err
    assert "it ends with status" in told
    assert "'-c'" not in told


def test_a_transformers_newer_than_any_known_is_said_to_be(
    capsys: pytest.CaptureFixture[str],
) -> None:
    report, _ = check(capsys, "demo", "--transformers", "99.0")
    (finding,) = [each for each in report["findings"] if each["code"] == "ENV105"]
    assert finding["severity"] == "info"
    assert f"newer than {versions()[-1]}" in finding["cause"]


def test_works_tells_the_releases_from_which_to_which(
    capsys: pytest.CaptureFixture[str],
) -> None:
    report, _ = check(capsys, "demo", "--works")
    assert report["works"]["newest"] == "4.41.2"
    assert main(["check", "demo", "--works"]) == 0
    told = capsys.readouterr().out
    assert f"work on transformers {report['works']['oldest']} to 4.41.2;" in told


def test_a_matrix_has_a_cell_for_each_model_and_release(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with as_file(files("trueup") / "demo_checkpoint") as demo:
        shutil.copytree(demo, tmp_path / "copy")
    words = ["demo", str(tmp_path / "copy"), "--matrix", "--versions", "4.56.0,4.41.2"]
    report, _ = check(capsys, *words)
    assert (report["kind"], report["versions"]) == ("matrix", ["4.41.2", "4.56.0"])
    for row in report["models"]:
        assert row["works"] == {"oldest": "4.41.2", "newest": "4.41.2"}
        assert row["cells"]["4.41.2"] == []
        assert row["cells"]["4.56.0"][0] == "TOK104"


def test_a_matrix_as_text_is_a_table_and_a_line_for_each_model(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["check", "demo", "--matrix", "--versions", "4.41.2,4.56.0,5.23.0"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["4.41.2", "4.56.0", "5.23.0"] or lines[1].split()[0] == "4.41.2"
    assert lines[-1] == "demo: should work, of these, on 4.41.2"


def test_a_model_that_cannot_be_read_is_a_row_that_says_so(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    nowhere = str(tmp_path / "nowhere")
    words = ["demo", nowhere, "--matrix", "--versions", "4.41.2"]
    report, _ = check(capsys, *words, status=1)
    good, bad = report["models"]
    assert (good["cells"], good["error"]) == ({"4.41.2": []}, None)
    assert bad["model"] == nowhere
    assert (bad["cells"], bad["works"]) == ({}, {"oldest": None, "newest": None})
    assert "does not exist" in bad["error"]["cause"]
    assert main(["check", *words]) == 1
    shown = capsys.readouterr()
    assert "unread" in shown.out
    assert "demo: should work, of these, on 4.41.2" in shown.out
    assert f"{nowhere}: cannot be read: " in shown.out


def test_models_and_options_may_be_named_in_any_order(capsys: pytest.CaptureFixture[str]) -> None:
    report, _ = check(capsys, "demo", "--matrix", "--versions", "4.41.2", "demo")
    assert [row["model"] for row in report["models"]] == ["demo", "demo"]


def test_help_names_the_models_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--help"]) == 0
    told = capsys.readouterr().out
    assert told.partition("options:")[0].count("MODEL") == 2  # how it is called, and what it is


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["demo", "other"], "for `--matrix`"),
        (["demo", "--versions", "5.0.0"], "for `--matrix`"),
        (["demo", "--matrix", "--versions", "newest"], "is not a version"),
        (["demo", "--matrix", "--versions", ""], "is not a version"),
        (["demo", "--matrix", "--versions", "3.0.2"], "the oldest release that is known"),
        (["demo", "--matrix", "--strict"], "`--strict` does nothing with `--matrix`"),
        (["demo", "--matrix", "--works"], "`--works` does nothing with `--matrix`"),
        (["demo", "--matrix", "--revision", "a"], "`--revision` does nothing with `--matrix`"),
        (
            ["demo", "--matrix", "--versions", "5.0.0", "--transformers", "4.41.2"],
            "`--transformers` does nothing with `--versions`",
        ),
        (["demo", "demo", "--write-config"], "one model"),
        (["demo", "--write-config", "--matrix"], "`--matrix` does nothing with `--write-config`"),
        (["demo", "--write-config", "--works"], "`--works` does nothing with `--write-config`"),
        (["--error", "x", "--matrix"], "`--matrix` does nothing with `--error`"),
        (["--error", "x", "--transformers", "5.0.0"], "`--transformers` does nothing"),
    ],
)
def test_what_no_matrix_can_be_made_of_is_a_usage_error(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", *words]) == 2
    assert told in capsys.readouterr().err
