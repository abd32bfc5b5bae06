"""Opens files of a model directory that are files: a pipe or a device would be waited for."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

KINDS = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISDIR, "a directory"),
)


def open_regular(path: Path) -> BinaryIO:
    """Open `path` for reading. Raises: OSError, also where it is anything but a regular file."""
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(number).st_mode
    if not stat.S_ISREG(mode):
        os.close(number)
        kind = next((name for is_kind, name in KINDS if is_kind(mode)), "no file")
        raise OSError(errno.EINVAL, f"it is {kind}, expected a file", str(path))
    return os.fdopen(number, "rb")


def read_regular(path: Path, limit: int = -1) -> bytes:
    """The content of a regular file, or its first `limit` bytes. Raises: OSError."""
    with open_regular(path) as file:
        return file.read(limit)
