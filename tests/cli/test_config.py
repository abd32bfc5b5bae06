from __future__ import annotations

import io
import json
import os
import sys
from importlib.resources import files
from pathlib import Path

import pytest

from trueup.cli.main import main
from trueup.config.load import load_config

EXAMPLE = files("trueup.config").joinpath("example.yaml").read_text(encoding="utf-8")
WRONG = """\
config_version: 1
server: {prot: 1}
models: {glm: {source: demo}}
roles: {talk: {chain: [glmm]}}
"""
AGENTS = '{"models": {"talk": {"model_name": "o/glm", "temperature": 1}}}'


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_init_writes_the_example_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "init"]) == 0
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "trueup serve --config trueup.yaml" in shown.err
    path = folder / "trueup.yaml"
    assert path.read_text(encoding="utf-8") == EXAMPLE
    path.write_text("mine")
    assert main(["config", "init"]) == 1
    assert "exists already" in capsys.readouterr().err
    assert path.read_text() == "mine"
    assert main(["config", "init", "--force"]) == 0
    assert path.read_text(encoding="utf-8") == EXAMPLE
    assert [each.name for each in folder.iterdir()] == ["trueup.yaml"]


def test_init_prints_to_stdout(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "init", "-"]) == 0
    assert capsys.readouterr().out == EXAMPLE
    assert not list(folder.iterdir())


@pytest.mark.parametrize("path", ["none/trueup.yaml", "a\0b"])
def test_a_file_that_cannot_be_written_is_told(
    path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["config", "init", path]) == 1
    assert "cannot be written" in capsys.readouterr().err


def test_validate_tells_every_error_with_its_place(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "c.yaml").write_text(WRONG)
    assert main(["config", "validate", "c.yaml"]) == 1
    shown = capsys.readouterr().out
    assert "c.yaml:2: server.prot\n  error: `prot` is not a key here" in shown
    assert "hint:  did you mean `port`" in shown
    assert "c.yaml:4: roles.talk.chain[0]\n" in shown
    assert shown.endswith("c.yaml: 2 errors\n")
    assert main(["config", "validate", "c.yaml", "--format", "json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert (report["schema_version"], report["file"]) == (1, "c.yaml")
    assert report["errors"][1] == {
        "cause": "`glmm` is not known: it is no name under `models`",
        "where": {"path": "c.yaml", "line": 4, "key": "roles.talk.chain[0]"},
        "hint": "did you mean `glm`",
    }


def test_validate_of_a_valid_file_tells_what_is_odd_and_is_0(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "c.yaml").write_text(WRONG.replace("prot: 1", "api_keys: [x]").replace("glmm", "glm"))
    monkeypatch.setenv("TRUEUP_CONFIG", "c.yaml")
    assert main(["config", "validate"]) == 0
    shown = capsys.readouterr().out
    assert "warning: this key can be read by everybody" in shown
    assert shown.endswith("c.yaml is valid: 1 model, 0 backends, 1 role, 0 aliases, 1 warning\n")
    assert main(["config", "validate", "--format", "json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["warnings"]) == 1


@pytest.mark.parametrize("text", [b"\xff", b"a: [", b"", b"- 1"])
def test_a_file_that_is_no_configuration_at_all_is_told(
    text: bytes, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "c.yaml").write_bytes(text)
    for action in ("validate", "show"):
        assert main(["config", action, "c.yaml"]) == 1
        shown = capsys.readouterr()
        assert shown.out == ""
        assert "error: the file" in shown.err


@pytest.mark.parametrize("words", [[], ["validate"], ["show"], ["import"], ["invent"]])
def test_what_is_not_complete_is_a_usage_error(words: list[str]) -> None:
    assert main(["config", *words]) == 2


def test_show_fills_in_defaults_and_variables_and_hides_keys(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "c.yaml").write_text(
        "config_version: 1\n"
        "server: {api_keys: ['${env.TEAM_KEY}']}\n"
        "models: {glm: {source: '${env.ROOT}/glm'}}\n"
        "roles: {talk: {chain: [glm], acceptance: {answer_seconds: 5}}}\n"
    )
    for name, value in (("TEAM_KEY", "hush"), ("ROOT", "/models"), ("TRUEUP_API_KEY", "hush2")):
        monkeypatch.setenv(name, value)
    assert main(["config", "show", "c.yaml"]) == 0
    text = capsys.readouterr().out
    assert main(["config", "show", "c.yaml", "--format", "json"]) == 0
    printed = capsys.readouterr().out
    assert "hush" not in text + printed
    tree = json.loads(printed)["configuration"]
    assert tree["server"] == {
        "host": "127.0.0.1",
        "port": 8484,
        "api_keys": [
            {"name": "key-1", "key": "***", "profile": None},
            {"name": "TRUEUP_API_KEY", "key": "***", "profile": None},
        ],
        "drain_seconds": 30.0,
        "require_proof": False,
        "cors_origins": [],
        "max_body_bytes": 2**24,
        "max_header_bytes": 2**16,
        "max_requests": 1024,
        "access_log": "text",
        "log_prompts": False,
        "strict": False,
    }
    assert tree["models"]["glm"]["source"] == "/models/glm"
    assert tree["models"]["glm"]["pooling"] == "auto"
    assert tree["roles"] == {"talk": {"chain": ["glm"], "acceptance": {"answer_seconds": 5.0}}}
    assert "source: /models/glm\n" in text
    assert "normalize: null\n" in text


def test_schema_prints_the_published_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "schema"]) == 0
    published = files("trueup.config").joinpath("schema.json").read_text(encoding="utf-8")
    assert capsys.readouterr().out == published


def test_import_writes_a_file_that_validates(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "agents.json").write_text(AGENTS)
    assert main(["config", "import", "agents.json", "--output", "c.yaml"]) == 0
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "agents.json:1: models.talk.temperature: kept as a comment" in shown.err
    assert "c.yaml is written: 1 models, 1 roles" in shown.err
    assert load_config(folder / "c.yaml", {}).roles[0].chain == ("glm",)
    assert main(["config", "validate", "c.yaml"]) == 0
    assert main(["config", "import", "agents.json", "--output", "c.yaml"]) == 1
    assert "exists already" in capsys.readouterr().err


def test_import_reads_a_pipe_and_prints(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(AGENTS.encode())))
    assert main(["config", "import", "-"]) == 0
    shown = capsys.readouterr()
    assert "chain: [glm]" in shown.out
    assert "stdin:1: models.talk.temperature" in shown.err


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "cannot be read"), (b"{", "not JSON"), (b" " * (2**20 + 1), "longer than 1048576")],
)
def test_import_of_what_is_no_json_writes_nothing(
    content: bytes | None, said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (folder / "agents.json").write_bytes(content)
    assert main(["config", "import", "agents.json", "--output", "c.yaml"]) == 1
    assert said in capsys.readouterr().err
    assert not os.path.exists("c.yaml")
