"""The worker's command line, the way that people use it: a plan on stdin, a socket, no server."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.pool.processes import LIMIT_SECONDS, ROOT, ask, get_health
from tests.worker.fake_engine import fake_plan


@contextmanager
def a_worker(
    path: Path, monkeypatch: pytest.MonkeyPatch, implementation: str = "ok"
) -> Iterator[subprocess.Popen[bytes]]:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *sys.path]))
    with subprocess.Popen(
        [sys.executable, "-m", "tests.worker.fake_worker", "--socket", path],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as worker:
        assert worker.stdin is not None
        worker.stdin.write(json.dumps({"plan": fake_plan("a", implementation).as_dict()}).encode())
        worker.stdin.close()
        worker.stdin = None
        try:
            yield worker
        finally:
            worker.terminate()


def wait_for_socket(worker: subprocess.Popen[bytes], path: Path) -> None:
    while not path.exists():
        assert worker.poll() is None


def test_a_worker_without_a_server_serves_and_ends_at_sigterm(
    short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with a_worker(short_path, monkeypatch) as worker:
        wait_for_socket(worker, short_path)
        while get_health(short_path)["state"] == "starting":
            pass
        assert ask(short_path, "say hi")[0] == 200
        worker.terminate()
        assert worker.wait() == -15


def test_health_answers_while_the_model_loads(
    short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with a_worker(short_path, monkeypatch, "hang") as worker:
        wait_for_socket(worker, short_path)
        while (health := get_health(short_path))["progress"] != 0.5:
            pass
        assert health["state"] == "starting"
        assert health["finding"] is None


def test_a_socket_that_cannot_be_made_ends_the_worker_with_the_reason(
    short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short_path.write_text("taken")
    with a_worker(short_path, monkeypatch) as worker:
        _, stderr = worker.communicate()
        assert worker.returncode == 4
        assert stderr.decode() == f"{short_path}: Address already in use\n"


@pytest.mark.parametrize("implementation", ["ok", "hang"])
def test_a_worker_ends_with_its_control_socket_while_its_parent_lives(
    implementation: str, short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *sys.path]))
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    plan = json.dumps({"plan": fake_plan("a", implementation).as_dict()}).encode()
    command = [sys.executable, "-m", "tests.worker.fake_worker", "--socket", str(short_path)]
    with (
        ours,
        theirs,
        subprocess.Popen(
            [*command, "--control", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.PIPE,
        ) as worker,
    ):
        theirs.close()
        assert worker.stdin is not None
        worker.stdin.write(plan)
        worker.stdin.close()
        assert json.loads(ours.recv(4096)) == {"state": "starting", "progress": 0.5}
        ours.close()
        assert worker.wait(LIMIT_SECONDS) == 0
