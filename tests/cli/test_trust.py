import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.checkpoint.directories import safetensors
from tests.trust.models import FILES, cache, cached, model
from trueup.cli.main import main
from trueup.config.servers import RunningServer
from trueup.errors import BackendError
from trueup.trust.code import read_code
from trueup.trust.consents import Consents
from trueup.trust.copy import trusted_code

__all__ = ["cache"]
ODD = "import os\nclass Rope:\n    def f(self): os.system('x')\n"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRUEUP_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))  # no terminal
    return tmp_path / "home"


def terminal(monkeypatch: pytest.MonkeyPatch, typed: str) -> None:
    answers = io.StringIO(typed)
    monkeypatch.setattr(answers, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", answers)


def report(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    main(["trust", *words, "--format", "json"])
    shape = json.loads(capsys.readouterr().out)
    assert shape["schema_version"] == 1
    return dict(shape)


def test_the_audit_is_shown_before_anybody_is_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = model(tmp_path / "m", rope=ODD)
    terminal(monkeypatch, "y\n")
    assert main(["trust", str(tmp_path / "m")]) == 0
    shown = capsys.readouterr()
    assert "3 files of code, sha256:" in shown.out
    assert "warning  `rope.py` starts other programs: `os.system` (line 3)" in shown.out
    assert "  modeling_x.py  (2 lines)" in shown.out
    assert "[y/N]" in shown.err
    assert trusted_code(checkpoint).directory().is_dir()


@pytest.mark.parametrize("typed", ["", "\n", "n\n", "no\n", "yeah\n"])
def test_anything_but_yes_is_no(
    tmp_path: Path,
    typed: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model(tmp_path / "m")
    terminal(monkeypatch, typed)
    assert main(["trust", str(tmp_path / "m")]) == 1
    assert "it may not run" in capsys.readouterr().err
    assert Consents().all() == []


def test_without_a_terminal_it_is_no_and_the_next_command_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model(tmp_path / "m")
    assert main(["trust", str(tmp_path / "m")]) == 1
    assert f"trueup trust {tmp_path / 'm'} --yes" in capsys.readouterr().err
    assert Consents().all() == []


def test_scripts_say_yes_and_are_not_asked_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model(tmp_path / "m")
    assert main(["trust", str(tmp_path / "m"), "--yes"]) == 0
    assert "takes that back" in capsys.readouterr().err
    terminal(monkeypatch, "n\n")
    assert main(["trust", str(tmp_path / "m")]) == 0
    told = capsys.readouterr()
    assert told.err == ""
    shown = told.out
    assert "The audit found nothing" in shown
    assert "you agreed to exactly this code before" in shown


def test_a_changed_file_asks_again_and_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model(tmp_path / "m")
    assert main(["trust", str(tmp_path / "m"), "--yes"]) == 0
    model(tmp_path / "m", rope="x = 1\n")
    capsys.readouterr()
    assert main(["trust", str(tmp_path / "m")]) == 1
    assert "changed since you agreed to it: changed: `rope.py`" in capsys.readouterr().out


def test_the_report_has_files_audit_and_consent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = model(tmp_path / "m", rope=ODD)
    words = [str(tmp_path / "m")]
    shape = report(capsys, *words)
    assert (shape["kind"], shape["consent"]) == ("trust", "needed")
    assert shape["digest"] == read_code(checkpoint).digest
    assert [file["path"] for file in shape["files"]] == [
        "configuration_x.py", "modeling_x.py", "rope.py",
    ]  # fmt: skip
    assert shape["audit"] == [
        {"kind": "process", "what": "`os.system`", "path": "rope.py", "line": 3, "function": "f"}
    ]
    assert report(capsys, *words, "--yes")["consent"] == "given"
    model(tmp_path / "m")
    assert report(capsys, *words)["changed"] == {
        "changed": ["rope.py"], "added": [], "removed": [],
    }  # fmt: skip


def test_a_model_without_code_needs_no_consent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    assert main(["trust", str(tmp_path), "--yes"]) == 0
    assert "nothing to agree to" in capsys.readouterr().out
    assert Consents().all() == []
    assert report(capsys, str(tmp_path))["consent"] == "not needed"


def test_what_may_run_is_listed_and_revoked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = model(tmp_path / "m")
    digest = read_code(checkpoint).digest
    main(["trust", str(tmp_path / "m"), "--yes"])
    trusted_code(checkpoint)
    capsys.readouterr()
    assert main(["trust", "--list"]) == 0
    line = capsys.readouterr().out
    assert line.startswith(digest[:19])
    assert str(tmp_path / "m") in line
    (consent,) = report(capsys, "--list")["consents"]
    assert consent["digest"] == digest
    assert main(["trust", "--revoke", digest[:19]]) == 0
    assert "may no longer run" in capsys.readouterr().out
    assert report(capsys, "--list")["consents"] == []
    assert not list((tmp_path / "home" / "trust" / "code").iterdir())


def test_a_model_is_revoked_by_its_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model(tmp_path / "m")
    monkeypatch.chdir(tmp_path)
    assert main(["trust", "./m", "--yes"]) == 0
    capsys.readouterr()
    assert len(report(capsys, "--revoke", "./m")["revoked"]) == 1


def test_code_is_revoked_by_any_directory_that_it_lies_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = str(tmp_path / "m")
    model(tmp_path / "m")
    model(tmp_path / "copy")
    (tmp_path / "link").symlink_to(tmp_path / "copy")
    for word in ("copy", "link"):
        assert main(["trust", first, "--yes"]) == 0
        capsys.readouterr()
        assert main(["trust", "--revoke", str(tmp_path / word)]) == 0
        assert f"may no longer run: {first}" in capsys.readouterr().out
        assert Consents().all() == []
    assert main(["trust", "--revoke", str(tmp_path / "copy")]) == 1
    assert "there is nothing to take back" in capsys.readouterr().err


def test_a_path_that_is_gone_is_told_what_is_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    digest = read_code(model(tmp_path / "m")).digest
    assert main(["trust", str(tmp_path / "m"), "--yes"]) == 0
    (tmp_path / "m").rename(tmp_path / "moved")
    capsys.readouterr()
    assert main(["trust", "--revoke", str(tmp_path / "gone")]) == 1
    told = capsys.readouterr().err
    assert "is not here" in told
    assert f"{digest[:19]} ({tmp_path / 'm'})" in told
    assert len(report(capsys, "--revoke", str(tmp_path / "moved"))["revoked"]) == 1


def test_a_hub_id_is_known_by_its_name_and_asks_again_for_new_code(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    foreign = {"auto_map": {"AutoModel": "org/base--base.B", "AutoConfig": "configuration_x.C"}}
    cached(cache, "org/x", {**FILES, "config.json": foreign, "model.safetensors": safetensors("a")})
    repository = cached(cache, "org/base", {"base.py": "class B: pass\n"})
    assert main(["trust", "org/x", "--yes"]) == 0
    assert "org/base: base.py" in capsys.readouterr().out
    assert main(["trust", "org/x"]) == 0
    (repository / "snapshots" / ("a" * 40) / "base.py").write_text("class B: x = 1\n")
    capsys.readouterr()
    assert main(["trust", "org/x"]) == 1
    assert "changed: `org/base: base.py`" in capsys.readouterr().out
    assert main(["trust", "--revoke", "org/x"]) == 0


def test_a_name_that_is_no_directory_is_kept_beside_one_of_that_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "demo").mkdir()
    monkeypatch.chdir(tmp_path)
    assert main(["trust", "demo", "--yes"]) == 0
    capsys.readouterr()
    assert report(capsys, "--revoke", "demo")["revoked"][0]["models"][0] == "demo"


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        ([], 2, "no model was named"),
        (["x", "--list"], 2, "is not about `x`"),
        (["x", "--revoke", "y"], 2, "is not about `x`"),
        (["--list", "--revoke", "y"], 2, "not allowed with"),
        (["--revoke", "org/nothing"], 1, "neither a model whose code may run nor a hash"),
        (["/nowhere"], 1, "does not exist"),
    ],
)
def test_bad_words_are_expected_errors(
    words: list[str], status: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["trust", *words]) == status
    shown = capsys.readouterr()
    assert told in shown.err
    assert shown.out == ""


def test_code_that_does_not_parse_is_said_to_be_unread(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model(tmp_path / "m", rope="print 'python 2'\n")
    assert main(["trust", str(tmp_path / "m")]) == 1
    shown = capsys.readouterr().out
    assert "error    `rope.py` does not parse: nobody looked into it" in shown
    assert "found nothing" not in shown


def test_a_running_server_that_has_the_code_loaded_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    digest = read_code(model(tmp_path / "m")).digest
    other = f"sha256:{'0' * 64}"

    def row(name: str, state: str, code: str) -> dict[str, object]:
        return {"id": name, "trueup": {"state": state, "plan": {"code": code}}}

    rows = [row("m", "ready", digest), row("idle", "stopped", digest), row("x", "ready", other)]

    def answer(url: str, path: str, **_: object) -> dict[str, object]:
        if url != "http://127.0.0.1:1":
            raise BackendError("it wants a key", retryable=False)
        return {"data": [*rows, {"id": "a role"}]}

    urls = ("http://127.0.0.1:1", "http://127.0.0.1:2")
    servers = [RunningServer(url=url, pid=at, models=()) for at, url in enumerate(urls, 41)]
    monkeypatch.setattr("trueup.cli.trust.running_servers", lambda: servers)
    monkeypatch.setattr("trueup.cli.trust.ask_server", answer)
    for form in ("text", "json"):
        assert main(["trust", str(tmp_path / "m"), "--yes"]) == 0
        capsys.readouterr()
        assert main(["trust", "--revoke", str(tmp_path / "m"), "--format", form]) == 0
        told = capsys.readouterr()
        assert "127.0.0.1:2 runs it is not known: it wants a key" in told.err
        if form == "json":
            found = {"url": urls[0], "pid": 41, "model": "m"}
            assert json.loads(told.out)["running"] == [found]
        else:
            assert "127.0.0.1:1 has loaded it as `m` and goes on with it" in told.err
            assert "kill 41" in told.err
            assert "idle" not in told.err
