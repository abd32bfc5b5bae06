"""What the runs start ends with them, whatever it started itself."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import psutil
import pytest

from tests.clients.processes import NotStarted, free_port, listening_elsewhere, running

# Deaf to SIGTERM, with a child in a session of its own: both have to be killed.
STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
sleeper = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
child = subprocess.Popen([sys.executable, "-c", sleeper], start_new_session=True)
print(child.pid, flush=True)
time.sleep(600)
"""


async def pid_told(log: Path) -> int:
    async with asyncio.timeout(30):
        while not (told := log.read_text().strip()):  # noqa: ASYNC110, ASYNC240
            await asyncio.sleep(0.01)
    return int(told)


async def test_deaf_processes_and_their_children_are_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.clients.processes.TERM_SECONDS", 0.1)
    log = tmp_path / "log"
    async with running([sys.executable, "-c", STUBBORN], log) as started:
        child = psutil.Process(await pid_told(log))
        assert child.is_running()
    assert started.process.returncode is not None
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


async def test_a_server_that_ends_is_not_waited_for(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit('no such model')"]
    async with running(command, tmp_path / "log") as started:
        with pytest.raises(NotStarted, match="no such model"):
            await started.answers(f"http://127.0.0.1:{free_port()}/", limit_seconds=60)


async def test_a_server_on_every_address_is_found(tmp_path: Path) -> None:
    listen = (
        "import socket, time\n"
        "s = socket.create_server(('0.0.0.0', 0)); l = socket.create_server(('127.0.0.1', 0))\n"
        "print(s.getsockname()[1], flush=True); time.sleep(600)"
    )
    log = tmp_path / "log"
    async with running([sys.executable, "-c", listen], log) as started:
        port = await pid_told(log)
        assert listening_elsewhere(started.pid) == [f"0.0.0.0:{port}"]
