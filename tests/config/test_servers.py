from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from trueup.config.servers import RunningServer, registered, running_servers


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRUEUP_HOME", str(tmp_path))
    return tmp_path


def server(pid: int) -> RunningServer:
    return RunningServer(url="http://127.0.0.1:1", pid=pid, models=("demo",))


def test_a_server_is_found_while_it_runs_and_not_after() -> None:
    assert running_servers() == ()
    with registered(server(os.getpid())):
        assert running_servers() == (server(os.getpid()),)
    assert running_servers() == ()


def test_a_private_one_says_so() -> None:
    with registered(replace(server(os.getpid()), is_private=True)):
        (found,) = running_servers()
        assert found.is_private


def test_files_of_ended_servers_and_broken_files_are_passed_over(home: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with registered(server(ended.pid)):
        (home / "servers" / "1.json").write_text("{")
        (home / "servers" / "2.json").write_text('{"url": 1}')
        assert running_servers() == ()
        assert not (home / "servers" / f"{ended.pid}.json").exists()


def test_a_home_that_cannot_be_written_is_no_reason_not_to_serve(home: Path) -> None:
    (home / "servers").write_text("a file is in the way")
    with registered(server(os.getpid())):
        assert running_servers() == ()
