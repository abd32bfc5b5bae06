"""`trueup chat` with models of the stand-in: by words, by a configuration, by one JSON object."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.llamafactory.test_served import server
from tests.llamafactory.worker import Bench, is_gone
from trueup.cli import chat_backend
from trueup.cli.main import main
from trueup.config.servers import RunningServer, registered
from trueup.errors import BackendError


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


def test_the_system_prompt_of_the_object_is_said_to_a_server_that_has_another(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    shape = {"base_model_path": str(bench.base), "message": "hello", "default_system": "mine"}
    with server(bench, default_system="theirs"):
        _, out, err = asked(capsys, "--json", json.dumps(shape))
        assert "(asking `far` at" in err
        said = json.loads(out)["content"]
        assert "mine" in said
        assert "theirs" not in said


def test_a_hint_of_a_server_that_runs_is_told_once(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    loop = "again and " * 30
    words = ["--llamafactory", f"base={bench.base}", f"--max-tokens={len(loop)}"]
    with server(bench):
        status, out, err = asked(capsys, *words, "--message", f"say {loop}")
        assert (status, out.strip()) == (0, loop.strip())
        assert err.count("hint: ") == 1
        assert "`template` and `default_system`" in err
        assert "hint: " not in asked(capsys, *words, "--message", f"say {loop}")[2]


def test_a_server_of_another_command_is_not_asked(
    bench: Bench, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    urls: list[str] = []
    monkeypatch.setattr(chat_backend, "_name_there", lambda url, *_, **__: urls.append(url))
    for is_private, port in ((True, 1), (False, 2)):
        running = RunningServer(
            url=f"http://127.0.0.1:{port}", pid=os.getpid(), models=(), is_private=is_private
        )
        with registered(running):
            words = [f"base={bench.base}", f"python={sys.executable}", "--message=say yes"]
            assert asked(capsys, "--llamafactory", *words)[:2] == (0, "yes\n")
    assert urls == ["http://127.0.0.1:2"]


def test_each_failure_is_an_object(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    shape = {"base_model_path": str(bench.base), "python": sys.executable, "message": "hi"}
    for wrong, told in (
        ("{", "this is no JSON"),
        ("[]", "no JSON object"),
        (json.dumps({**shape, "message": " "}), "`message` is empty"),
        (json.dumps({**shape, "message": 3}), "`message` is no text"),
        (json.dumps({**shape, "system": 3}), "`system` is no text"),
        (json.dumps({**shape, "temprature": 1}), "did you mean `temperature`"),
        (json.dumps({**shape, "base_model_path": 3}), "`base_model_path` is `3`, expected a text"),
        (json.dumps({**shape, "host": "far:ssh"}), "`far:ssh` names no port"),
        (json.dumps({**shape, "host": "me@"}), "`me@` names no host"),
        (json.dumps({**shape, "adapter": "x", "temprate": 1}), "`temprate` is no key"),
        (json.dumps({"message": "hi"}), "base_model_path"),
        (json.dumps({**shape, "template": "qwenn"}), "template `qwenn` does not exist"),
    ):
        status, out, err = asked(capsys, "--json", wrong)
        assert status == 1
        error = json.loads(out)["error"]
        assert told in f"{error['message']} {error['hint']}", error
        assert "--llamafactory" not in str(error["hint"])
        assert err.startswith("error: ") or "error: " in err
    assert error["code"] == "llamafactory_cannot_load"


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
        (["--llamafactory", "bsae=/x"], "did you mean `base`"),
        (["--llamafactory", "base=/x", "base_model_path=/y"], "`base_model_path` is said twice"),
        (["--llamafactory", "base=/x", "--dtype=float32"], "`--llamafactory` names another"),
        (["--json", "{}", "--url", "http://127.0.0.1:1"], "`--url` does too"),
        (["--json", "{}"], "say it in the object: `message`"),
        (["--config", "trueup.yaml"], "no NAME was given"),
        (["--backend", "far"], "trueup chat --backend far --config trueup.yaml"),
    ],
)
def test_words_that_cannot_be_meant_are_told(
    words: list[str],
    told: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("TRUEUP_CONFIG", raising=False)
    status, out, err = asked(capsys, *words, "--message=hi")
    assert status == 2
    assert told in err
    if "--json" in words:
        error = json.loads(out)["error"]
        assert told in f"{error['message']} {error['hint']}"


def test_words_become_what_they_are_in_a_configuration() -> None:
    told = {
        "base_model_path": "m",
        "host": "me@far:2222",
        "agent": "true",
        "idle_seconds": "60",
        "limits": '{"total_seconds": 9}',
    }
    assert chat_backend.llamafactory_entry(told, "here") == {
        "preset": "llamafactory",
        "base_model_path": "m",
        "user": "me",
        "host": "far",
        "port": 2222,
        "agent": True,
        "idle_seconds": 60,
        "limits": {"total_seconds": 9},
    }


@pytest.mark.parametrize("piped", [None, "\xff", ""])
def test_what_comes_through_a_pipe_is_read_or_refused(
    piped: str | None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = None if piped is None else io.BytesIO(piped.encode("latin-1"))
    stdin = None if raw is None else io.TextIOWrapper(raw, encoding="latin-1")
    monkeypatch.setattr("sys.stdin", stdin)
    status, out, _ = asked(capsys, "--json", "-")
    assert status == 1
    told = "not UTF-8" if piped else "this is no JSON"
    assert told in json.loads(out)["error"]["message"]


def found(entry: dict[str, Any], *rows: dict[str, Any], is_named: bool = False) -> str | None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chat_backend, "ask_server", lambda *_, **__: {"backends": rows})
        return chat_backend._name_there("http://127.0.0.1:8", "xin", entry, is_named=is_named)


def test_a_backend_that_names_no_preset_is_found_by_its_name() -> None:
    entry = {"url": "http://127.0.0.1:9"}
    assert found(entry, {"name": "xin"}, is_named=True) == "xin"
    assert found(entry, {"name": "other"}, is_named=True) is None


def test_what_words_mean_is_not_found_by_a_name_that_nobody_said() -> None:
    entry = {"preset": "llamafactory", "script_path": "chat.py"}
    assert found(entry, {"name": "xin", "runs": None}) is None
    runs = {"base_model_path": "/m", "adapter_path": None, "template": None, "host": None}
    entry |= {"base_model_path": "/m"}
    assert found(entry, {"name": "mine", "runs": runs}) is None


def test_a_model_is_the_same_by_its_place_and_not_by_what_it_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("here", "there"):
        (tmp_path / folder / "base").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    entry = {"preset": "llamafactory", "base_model_path": "base", "template": "qwen2"}
    runs = {
        "base_model_path": "base",
        "adapter_path": None,
        "template": "qwen",
        "work_dir": str(tmp_path / "here"),
        "host": "far",
        "port": 2222,
    }
    row = {"name": "mine", "runs": runs}
    assert found(entry, row) == "mine"
    assert found(entry, {**row, "runs": {**runs, "work_dir": str(tmp_path / "there")}}) is None
    assert found({**entry, "host": "far", "port": 2222}, row) == "mine"
    assert found({**entry, "host": "far"}, row) is None
    assert found({**entry, "host": "near", "port": 2222}, row) is None


def test_a_server_that_wants_a_key_is_told_and_not_asked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(*_: object, **__: object) -> None:
        raise BackendError("no key", retryable=False, status=401)

    monkeypatch.setattr(chat_backend, "ask_server", locked)
    assert chat_backend._name_there("http://127.0.0.1:8", "xin", {}, is_named=True) is None
    assert "set TRUEUP_API_KEY" in capsys.readouterr().err
