"""`keep`: starts the keeper of a directory, detached; nothing is done where it lives already."""

from __future__ import annotations

import os
import sys
import time
from typing import IO, Any

from .directory import LOG, connected, locked
from .keeper import run_keeper

# How long another one's start or end is waited for, and how often it is looked at.
OTHER_SECONDS = 30.0
PAUSE_SECONDS = 0.05


def keep(directory: str, spec: dict[str, Any]) -> int:
    """Return when the worker of the directory can be reached.

    It has then left this session: neither a lost connection nor a signal to its starter's group
    ends it. What it and LlamaFactory print goes to a log file there.
    """
    directory = os.path.abspath(os.path.expanduser(directory))
    spec["directory"] = os.getcwd()  # the working directory: relative paths are its
    lock = _lock(directory)
    if lock is None:
        return 0
    reader, writer = os.pipe()
    if os.fork():
        os.close(writer)
        lock.close()  # the child has it
        with os.fdopen(reader, "rb") as ready:
            word = ready.read()
        os.wait()
        if word != b"ready":
            sys.stderr.write(f"the worker did not start: see {os.path.join(directory, LOG)}\n")
            return 1
        return 0
    os.close(reader)
    os.setsid()
    if os.fork():
        os._exit(0)
    _to_log(directory)
    status = 1
    try:
        status = run_keeper(directory, spec, ready=writer)
    finally:
        sys.stderr.flush()
        os._exit(status)


def _lock(directory: str) -> IO[str] | None:
    """The lock; None where the worker lives and listens.

    One that starts or ends just now holds the lock and does not listen.
    """
    end = time.monotonic() + OTHER_SECONDS
    while True:
        lock = locked(directory)
        if lock is not None:
            return lock
        try:
            connected(directory).close()
            return None
        except OSError:
            if time.monotonic() > end:
                raise
        time.sleep(PAUSE_SECONDS)


def _to_log(directory: str) -> None:
    """Nothing of the starter's stays open: else an SSH command would not end."""
    log = os.open(
        os.path.join(directory, LOG), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600
    )
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(null)
    os.close(log)
