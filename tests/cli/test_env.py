from __future__ import annotations

import json
import os
import re
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

from tests.adapt.isolate.fake_uv import FakeUv, install_fake
from tests.adapt.isolate.planned_facts import MINOR, torch_at
from trueup.adapt.isolate import planned
from trueup.cli.main import main
from trueup.proof.process import other_interpreter


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRUEUP_HOME", str(tmp_path / "home"))
    torch = torch_at(tmp_path / "torch")
    monkeypatch.setattr(planned, "shared_torch", lambda _: torch)
    return tmp_path / "home"


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeUv:
    return install_fake(tmp_path / "uv", MINOR, monkeypatch)


def report(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> dict[str, Any]:
    assert main(["env", *words, "--format", "json"]) == status
    shape = json.loads(capsys.readouterr().out)
    assert shape["schema_version"] == 1
    return dict(shape)


def test_what_is_built_is_told_with_its_interpreter_and_is_there_the_second_time(
    fake: FakeUv, capsys: pytest.CaptureFixture[str]
) -> None:
    first = report(capsys, "build", "demo")
    second = report(capsys, "build", "demo")
    assert (first["was_there"], second["was_there"]) == (False, True)
    environment = first["environment"]
    assert environment["lock"] == second["environment"]["lock"]
    assert environment["packages"]["torch"] == "2.13.0+cpu"
    assert environment["shares_torch"]
    assert os.access(environment["interpreter"], os.X_OK)


def test_progress_is_on_stderr_and_the_result_on_stdout(
    fake: FakeUv, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["env", "build", "demo"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("lock:")
    assert "MB to download" in err
    assert "resolving packages for transformers" in err
    assert "Downloading numpy" in err
    assert main(["env", "build", "demo"]) == 0
    again = capsys.readouterr().out
    assert re.search(r"^built: +(just now|\d+ s ago), and used as it is$", again, re.MULTILINE)


def test_a_plan_says_what_will_be_built_and_then_what_was(
    fake: FakeUv, capsys: pytest.CaptureFixture[str]
) -> None:
    def planned_environment() -> dict[str, Any]:
        assert main(["plan", "demo", "--route", "isolated", "--format", "json"]) == 0
        return dict(json.loads(capsys.readouterr().out)["plan"]["environment"])

    before = planned_environment()
    assert (before["lock"], before["is_built"], before["interpreter"]) == (None, False, None)
    assert before["is_estimate"]
    assert f"transformers=={before['transformers']}" in before["packages"]
    assert before["command"] == "trueup env build demo"
    assert fake.calls == []
    built = report(capsys, "build", "demo")["environment"]
    after = planned_environment()
    assert (after["lock"], after["interpreter"]) == (built["lock"], built["interpreter"])
    assert after["disk_bytes"] == built["disk_bytes"]
    assert not after["is_estimate"]


def test_a_plan_in_words_has_the_size_and_the_commands_in_their_order(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["plan", "demo", "--route", "isolated"]) == 0
    out = capsys.readouterr().out
    steps = ["trueup trust demo", "trueup env build demo", "trueup chat demo --route isolated"]
    assert f"next:  {steps[0]}\n  then:  {steps[1]}\n  then:  {steps[2]}\n" in out
    assert "MB to download" in out


def test_show_tells_of_a_model_before_and_after_and_of_a_lock(
    fake: FakeUv, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(capsys, "show", "demo", status=1)["environment"] is None
    assert main(["env", "show", "demo"]) == 1
    assert "not yet; `trueup env build demo`" in capsys.readouterr().out
    lock = report(capsys, "build", "demo")["environment"]["lock"]
    assert report(capsys, "show", "demo")["plan"]["lock"] == lock
    assert report(capsys, "show", lock)["environment"]["lock"] == lock
    assert report(capsys, "show", lock[7:15])["plan"] is None
    assert main(["env", "show", lock]) == 0
    assert "sympy==1.14.0 (shared)" in capsys.readouterr().out
    assert main(["env", "show", lock, "--transformers", "4.41.2"]) == 2


def test_list_is_a_table_of_what_is_there(fake: FakeUv, capsys: pytest.CaptureFixture[str]) -> None:
    assert report(capsys, "list")["environments"] == []
    lock = report(capsys, "build", "demo")["environment"]["lock"]
    assert [each["lock"] for each in report(capsys, "list")["environments"]] == [lock]
    assert main(["env", "list"]) == 0
    title, row = capsys.readouterr().out.splitlines()
    assert title.split()[0] == "LOCK"
    assert row.startswith(lock[7:19])
    assert row.endswith("whole")


def test_prune_deletes_what_is_named_or_unused_and_says_so(
    fake: FakeUv, capsys: pytest.CaptureFixture[str]
) -> None:
    built = report(capsys, "build", "demo")["environment"]
    folder = Path(built["interpreter"]).parent.parent
    assert main(["env", "prune"]) == 0
    assert capsys.readouterr().out == "nothing to delete\n"
    assert report(capsys, "prune", "--unused", "1")["environments"] == []
    (folder / "used").touch()
    os.utime(folder / "used", (time.time() - 3 * 86_400,) * 2)
    other_interpreter(Path(built["interpreter"]), fake.folder)  # a reference of a proof runs there
    assert report(capsys, "prune", "--unused", "2")["environments"] == []
    os.utime(folder / "used", (time.time() - 3 * 86_400,) * 2)
    dry = report(capsys, "prune", "--unused", "2", "--dry-run")
    assert (dry["is_dry_run"], dry["environments"][0]["lock"]) == (True, built["lock"])
    assert folder.exists()
    assert main(["env", "prune", built["lock"]]) == 0
    out, err = capsys.readouterr()
    assert err.startswith(f"deleting {folder}, ")
    assert out.startswith(f"deleted {built['lock'][7:19]}")
    assert not folder.exists()


def test_what_a_build_left_is_named_with_its_size(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    left = home / "environments" / ".half-x"
    left.mkdir(parents=True)
    (left / "file").write_bytes(b"x" * 3_000_000)
    assert main(["env", "prune", "--dry-run"]) == 0
    assert capsys.readouterr().out == f"would delete {left}  3 MB, half-built\n"
    assert report(capsys, "prune")["half_built"][0]["folder"] == str(left)
    assert not left.exists()


def test_a_home_that_is_no_folder_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("TRUEUP_HOME", str(tmp_path / "file"))
    assert main(["env", "list"]) == 1
    assert "environments cannot be read: Not a directory" in capsys.readouterr().err


def test_a_model_that_the_installed_release_runs_needs_no_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    installed = version("transformers")

    def judge(release: Version) -> tuple[str, ...]:
        return () if str(release) == installed else ("CFG101",)

    monkeypatch.setattr(planned, "Judge", lambda *_: judge)
    config = {"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"]}
    (tmp_path / "config.json").write_text(
        json.dumps(config | {"transformers_version": installed}), encoding="utf-8"
    )
    assert main(["env", "build", str(tmp_path)]) == 1
    assert f"and transformers {installed} is installed" in capsys.readouterr().err
    shown = report(capsys, "show", str(tmp_path), "--transformers", installed, status=1)
    assert shown["plan"]["transformers"] == installed


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (("prune", "abcdef"), 1, "no lock begins with `abcdef`"),
        (("prune", "--all", "--unused", "3"), 2, "exclude each other"),
        (("prune", "--unused", "-1"), 2, "no number of days"),
        (("build", "demo", "--wheelhouse", "/nowhere"), 2, "`/nowhere` is no folder"),
        (("build", "demo", "--transformers", "new"), 2, "`new` is not a version"),
        (("build", "demo", "--transformers", "9.9.9"), 2, "no release 9.9.9"),
        (("show", "zzzz"), 1, "no lock begins with"),
        (("build", "demo", "--transformers", "5.23.0"), 1, "it should not work with transformers"),
        (("build", "demo", "--python", "/nowhere"), 2, "does not run as a Python interpreter"),
        ((), 2, "ACTION"),
    ],
)
def test_what_cannot_be_meant_is_told(
    words: tuple[str, ...],
    status: int,
    told: str,
    fake: FakeUv,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["env", *words]) == status
    assert told in capsys.readouterr().err
    assert fake.calls == []


@pytest.mark.parametrize("action", ["build", "list", "show", "prune"])
def test_each_action_has_an_example(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["env", action, "--help"]) == 0
    assert f"example:\n  trueup env {action}" in capsys.readouterr().out


def test_without_uv_the_error_has_the_command_that_brings_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from trueup.adapt.isolate import uv

    monkeypatch.setattr(uv.sys, "executable", "/nowhere/python")
    monkeypatch.setenv("PATH", "/nowhere")
    assert main(["env", "build", "demo"]) == 1
    assert "hint:  pip install 'trueup[isolated]'" in capsys.readouterr().err
