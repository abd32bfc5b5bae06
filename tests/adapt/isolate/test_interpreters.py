from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

import pytest

from trueup.adapt.isolate.interpreters import ask, interpreter_at, minor_of, on_path, running
from trueup.errors import ConfigError

MINOR = minor_of(platform.python_version())


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_a_name_on_path_that_does_not_run_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "shims" / f"python{MINOR}", "echo 'not installed' >&2; exit 127")
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / f"python{MINOR}").symlink_to(os.path.realpath(sys.executable))
    monkeypatch.setenv("PATH", f"{tmp_path / 'shims'}:{tmp_path / 'real'}")
    found = on_path(MINOR)
    assert found is not None
    assert (found.version, found.minor) == (platform.python_version(), MINOR)
    monkeypatch.setenv("PATH", str(tmp_path / "shims"))
    assert on_path(MINOR) is None


def test_a_name_that_is_another_version_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "python3.99").symlink_to(os.path.realpath(sys.executable))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert on_path("3.99") is None


@pytest.mark.parametrize("text", ["exit 0", "echo hello", "echo 3.11.7; echo PyPy; echo /usr/bin"])
def test_what_does_not_answer_as_cpython_is_none(text: str, tmp_path: Path) -> None:
    assert ask(program(tmp_path / "python", text)) is None


def test_an_interpreter_that_a_worker_cannot_run_in_is_refused(tmp_path: Path) -> None:
    old = program(tmp_path / "python", "echo 3.9.18; echo CPython; echo /usr/bin/python3.9")
    with pytest.raises(ConfigError, match=r"is Python 3\.9\.18: expected one of 3\.11"):
        interpreter_at(old)
    with pytest.raises(ConfigError, match="does not run"):
        interpreter_at(tmp_path / "nothing")


def test_the_running_one_is_known_without_asking() -> None:
    assert running() == interpreter_at(Path(sys.executable))
