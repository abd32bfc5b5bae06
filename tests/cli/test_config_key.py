from __future__ import annotations

import hashlib
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from trueup.cli.main import main
from trueup.config.load import load_config
from trueup.config.secret import Secret
from trueup.config.settings import ApiKey


def pipe(monkeypatch: pytest.MonkeyPatch, raw: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))


def test_a_new_key_is_shown_once_and_its_entry_lets_it_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["config", "key", "--name", "chatchat", "--profile", "langchain-chatchat"]
    assert main(words) == 0
    shown = capsys.readouterr()
    key = shown.err.splitlines()[-1]
    assert key.startswith("sk-trueup-")
    assert key not in shown.out
    path = tmp_path / "c.yaml"
    path.write_text(f"config_version: 1\nserver:\n  api_keys:\n    {shown.out}")
    (known,) = load_config(path, {}).server.api_keys
    assert known == ApiKey.of(Secret(key), name="chatchat", profile="langchain-chatchat")
    assert main(words) == 0
    assert key not in capsys.readouterr().err


def test_a_key_that_exists_is_hashed_and_not_repeated(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "a-long-key-of-the-team-1"
    pipe(monkeypatch, f"{key}\n".encode())
    assert main(["config", "key", "--stdin"]) == 0
    shown = capsys.readouterr()
    assert YAML(typ="safe").load(shown.out) == [
        {"sha256": hashlib.sha256(key.encode()).hexdigest()}
    ]
    assert key not in shown.out + shown.err
    assert "warning" not in shown.err


def test_a_key_that_can_be_guessed_is_a_warning(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe(monkeypatch, b"hunter2")
    assert main(["config", "key", "--stdin"]) == 0
    assert "7 characters can be guessed" in capsys.readouterr().err


def test_json_has_the_key_and_the_entry(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "key", "--profile", "mine", "--format", "json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["schema_version"] == 1
    assert report["entry"] == {
        "sha256": hashlib.sha256(report["key"].encode()).hexdigest(),
        "profile": "mine",
    }


def test_a_profile_of_ones_own_has_to_be_described(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "key", "--profile", "mine"]) == 0
    assert "`mine` is not built in" in capsys.readouterr().err
    assert main(["config", "key", "--profile", "strict"]) == 0
    assert "not built in" not in capsys.readouterr().err


@pytest.mark.parametrize("raw", [b"", b" \n", b"\xff\xfe", "schlüssel".encode(), b"a" * 8193])
def test_what_is_no_key_is_told_and_not_repeated(
    raw: bytes, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe(monkeypatch, raw)
    assert main(["config", "key", "--stdin"]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "--stdin" in shown.err
    assert "schl" not in shown.err


def end() -> str:
    raise EOFError


@pytest.mark.parametrize(
    ("typed", "status"),
    [(lambda: "a-long-key-of-the-team-1", 0), (lambda: "schl\udcfcssel", 2), (end, 2)],
)
def test_a_key_may_be_typed_unseen(
    typed: Callable[[], str],
    status: int,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pipe(monkeypatch, b"")
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr("getpass.getpass", lambda prompt: typed())
    assert main(["config", "key", "--stdin"]) == status
    shown = capsys.readouterr()
    assert "a-long-key" not in shown.out + shown.err
    assert bool(shown.out) == (status == 0)


@pytest.mark.parametrize("flag", ["--name", "--profile"])
@pytest.mark.parametrize("word", ["", "two words", "a\x7f", "x" * 201])
def test_what_is_no_name_is_told(flag: str, word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "key", flag, word]) == 2
    assert "is no name" in capsys.readouterr().err
