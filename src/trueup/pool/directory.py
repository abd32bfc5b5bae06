"""A 0700 directory for one process: of workers' sockets and temporary files, or of a proof.

A process that was killed leaves its own behind; the next one removes it. A lock that the
kernel drops with its process tells which are still in use.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from pathlib import Path

PREFIX = "trueup-pool-"
LOCK = "lock"
# A socket's path may have 107 bytes; the directory's name, a number and `worker.sock` follow.
LONGEST_PARENT_BYTES = 60


class PoolDirectory:
    """One pool's directory, or with another `prefix` that of others, from its making to `remove`.

    Without a `parent` it is where paths are short enough for sockets.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, prefix: str = PREFIX, parent: Path | None = None) -> None:
        if parent is None:
            parent = Path(tempfile.gettempdir())
            if len(os.fsencode(parent)) > LONGEST_PARENT_BYTES:
                parent = Path("/tmp")
        _remove_abandoned(parent, prefix)
        self.path = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        # Under its name only when it is locked: a lock file that is free means an owner that died.
        unlocked = self.path / "unlocked"
        self._lock = os.open(unlocked, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        unlocked.rename(self.path / LOCK)

    def remove(self) -> None:
        """Remove it with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def _remove_abandoned(parent: Path, prefix: str) -> None:
    for lock in parent.glob(f"{prefix}*/{LOCK}"):
        try:
            held = os.open(lock, os.O_WRONLY | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            continue
        else:
            shutil.rmtree(lock.parent, ignore_errors=True)
        finally:
            os.close(held)
