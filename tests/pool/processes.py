"""Real worker processes with the fake engine, and questions to the system about them."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trueup.pool.launcher import ProcessLauncher

ROOT = Path(__file__).parent.parent.parent
WORKER = (sys.executable, "-m", "tests.worker.fake_worker")
FORK_SERVER = (sys.executable, "-m", "tests.worker.fake_forkserver")
# How long a test waits for what must come: a limit for a broken build, not a measure.
LIMIT_SECONDS = 60.0


def fake_launcher(*, forks: bool, fork_command: tuple[str, ...] = FORK_SERVER) -> ProcessLauncher:
    return ProcessLauncher(forks=forks, worker_command=WORKER, fork_command=fork_command)


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be reaped does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def descendants(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text(encoding="ascii").split():
            found += [int(child), *descendants(int(child))]
    return found


def wait_for_end(pids: list[int]) -> list[int]:
    """Those that still run when the time is over."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while any(map(is_alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return [pid for pid in pids if is_alive(pid)]


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def ask(path: Path, order: str, *, stream: bool = False) -> tuple[int, bytes]:
    """A chat request on a Unix socket of its own; returns the status and the body."""
    with send(path, order, stream=stream) as connection:
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


def send(path: Path, order: str, *, stream: bool = False) -> socket.socket:
    """The connection of a chat request that was sent."""
    body = json.dumps(
        {"model": "m", "messages": [{"role": "user", "content": order}], "stream": stream}
    ).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: worker\r\nConnection: close\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(LIMIT_SECONDS)
    connection.connect(str(path))
    connection.sendall(head.encode() + body)
    return connection


def get_health(path: Path) -> dict[str, Any]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(LIMIT_SECONDS)
        connection.connect(str(path))
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: w\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    shape: dict[str, Any] = json.loads(answer.partition(b"\r\n\r\n")[2])
    return shape


def events_of(body: bytes) -> Iterator[Any]:
    """The events of a stream, chunked as HTTP/1.1 sends it or whole."""
    for line in body.split(b"\n"):
        if line.startswith(b"data: {"):
            yield json.loads(line[len(b"data: ") :])
        elif line.startswith(b"data: "):
            yield line[len(b"data: ") :].decode().strip()
