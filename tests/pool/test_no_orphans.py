"""No worker survives its server, however that went."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tests.pool.processes import ROOT, descendants, wait_for_end


@pytest.mark.parametrize(
    "stage",
    [
        "hang",  # in a load that waits
        "spin",  # in a load that holds the GIL
        "prefill",  # before the first token
        "decode",  # between tokens
        "busy",  # in a step that holds the GIL
    ],
)
@pytest.mark.parametrize("how", ["spawn", "fork"])
def test_nothing_survives_a_server_that_was_killed(how: str, stage: str) -> None:
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.pool.doomed_server", how, stage],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
    )
    with server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == b"reached\n"
            workers = descendants(server.pid)
            assert len(workers) == (2 if how == "fork" else 1)
        finally:
            server.send_signal(signal.SIGKILL)
    assert wait_for_end(workers) == []


def test_nothing_survives_a_fork_server_that_was_killed_with_the_server_alive() -> None:
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.pool.doomed_server", "fork", "busy"],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
    )
    with server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == b"reached\n"
            fork_server, worker = descendants(server.pid)
            os.kill(fork_server, signal.SIGKILL)
            assert wait_for_end([worker]) == []
        finally:
            server.send_signal(signal.SIGKILL)
