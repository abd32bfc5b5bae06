"""`trueup chat` with models of the stand-in: by words, by a configuration, by one JSON object."""

from __future__ import annotations

import io
import json
import sys
from typing import Any

import pytest

from tests.llamafactory.test_served import server
from tests.llamafactory.worker import Bench, is_gone
from trueup.cli import chat_backend
from trueup.cli.main import main


def asked(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    capsys.readouterr()
    status = main(["chat", *words])
    said = capsys.readouterr()
    return status, said.out, said.err


def test_one_object_in_is_one_object_out(
    bench: Bench, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shape: dict[str, Any] = {
        "base_model_path": str(bench.base),
        "adapter_path": "",
        "template": "qwen",
        "message": "say 你好\nUser: 🙂",
        "python": sys.executable,
    }
    status, out, _ = asked(capsys, "--json", json.dumps(shape))
    assert (status, json.loads(out)) == (0, {"role": "assistant", "content": "你好\nUser: 🙂"})
    (pid,) = bench.loads()
    assert is_gone(pid)
    # What runs already is asked, whatever it is called there.
    with server(bench, template="qwen2"):
        monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps({**shape, "system": "S"})))
        for words in (["--json", "-"], ["--json", json.dumps(shape)]):
            status, out, err = asked(capsys, *words)
            assert (status, json.loads(out)["content"]) == (0, "你好\nUser: 🙂")
            assert "(asking `far` at" in err
        words = ["--llamafactory", f"base={bench.base}", "template=qwen", "--message", "say yes"]
        assert asked(capsys, *words)[:2] == (0, "yes\n")
        assert len(bench.loads()) == 2


def test_each_failure_is_an_object(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    shape = {"base_model_path": str(bench.base), "python": sys.executable, "message": "hi"}
    for wrong, told in (
        ("{", "this is no JSON"),
        ("[]", "no JSON object"),
        (json.dumps({**shape, "message": " "}), "`message` is no text"),
        (json.dumps({**shape, "adapter": "x", "temprate": 1}), "`temprate` is no key"),
        (json.dumps({"message": "hi"}), "base_model_path"),
        (json.dumps({**shape, "template": "qwenn"}), "template `qwenn` does not exist"),
    ):
        status, out, err = asked(capsys, "--json", wrong)
        assert status == 1
        error = json.loads(out)["error"]
        assert told in f"{error['message']} {error['hint']}", error
        assert err.startswith("error: ") or "error: " in err


def test_a_backend_of_the_configuration_and_words_are_talked_to(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    config = bench.folder / "trueup.yaml"
    entry = {"preset": "llamafactory", "base_model_path": str(bench.base), "python": sys.executable}
    config.write_text(
        json.dumps({"config_version": 1, "backends": {"mine": {**entry, "default_system": "S"}}})
    )
    words = ["--backend", "mine", "--config", str(config), "--message"]
    assert asked(capsys, *words, "say 1")[:2] == (0, "1\n")
    status, _, err = asked(capsys, "--backend", "other", "--config", str(config), "--message=hi")
    assert status == 1
    assert "`other` is no backend of this configuration" in err
    told = ["--llamafactory", f"base={bench.base}", f"python={sys.executable}", "--message=say 2"]
    assert asked(capsys, *told)[:2] == (0, "2\n")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["m", "--backend", "b"], "`MODEL` and `--backend` both say"),
        (["--llamafactory", "base"], "`base` is no `KEY=VALUE`"),
        (["--llamafactory", "bsae=/x"], "did you mean `base`?"),
        (["--json", "{}", "--url", "http://127.0.0.1:1"], "`--url` does too"),
    ],
)
def test_words_that_cannot_be_meant_are_told(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, err = asked(capsys, *words, "--message=hi")
    assert status == 2
    assert told in err


def test_words_become_what_they_are_in_a_configuration() -> None:
    told = {"base_model_path": "m", "host": "me@far:2222", "agent": "true", "idle_seconds": "60"}
    assert chat_backend.llamafactory_entry(told, "here") == {
        "preset": "llamafactory",
        "base_model_path": "m",
        "user": "me",
        "host": "far",
        "port": 2222,
        "agent": True,
        "idle_seconds": 60,
    }


def test_a_backend_that_names_no_preset_is_found_by_its_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = {"backends": [{"name": "xin"}]}
    monkeypatch.setattr(chat_backend, "ask_server", lambda *_, **__: rows)
    entry = {"url": "http://127.0.0.1:9"}
    assert chat_backend._name_there("http://127.0.0.1:8", "xin", entry) == "xin"
    assert chat_backend._name_there("http://127.0.0.1:8", "other", entry) is None
