"""A worker's directory: its socket, its lock, its log; one worker for each.

The directory is the working directory while the socket is bound or reached: a socket's path may
have 107 bytes, and homes can be longer than that.
"""

from __future__ import annotations

import fcntl
import os
import socket
from typing import IO

SOCKET = "worker.sock"
LOG = "worker.log"
LOCK = "lock"
# Exit status of the relay where nobody listens.
NO_WORKER = 47
# Of a log, what is told in an error.
TAIL_BYTES = 4000


def connected(directory: str) -> socket.socket:
    """A connection to the worker of a directory.

    Raises: OSError where nobody listens.
    """
    found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.open(".", os.O_RDONLY)
    try:
        os.chdir(directory)
        found.connect(SOCKET)
    except BaseException:
        found.close()
        raise
    finally:
        os.fchdir(before)
        os.close(before)
    return found


def locked(directory: str) -> IO[str] | None:
    """The lock of a directory, made where it is missing; None where its worker lives.

    The system gives it up with the process, however that ended.
    """
    os.makedirs(directory, mode=0o700, exist_ok=True)
    os.chmod(directory, 0o700)
    lock = open(os.path.join(directory, LOCK), "a+", encoding="utf-8")  # noqa: SIM115  kept open
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        return None
    return lock


def log_tail(directory: str) -> str:
    """The last of what the worker and LlamaFactory printed."""
    try:
        with open(os.path.join(directory, LOG), "rb") as log:
            log.seek(0, os.SEEK_END)
            log.seek(max(0, log.tell() - TAIL_BYTES))
            return log.read().decode("utf-8", "replace")
    except OSError:
        return ""
