"""Files that two environments share: hard links, else clones, else copies."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

FICLONE = 0x40049409  # linux/fs.h: one file with the other's blocks
# Another file system, a file of somebody else, a full table of links, none to be had here.
NO_LINK = (errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS)


@dataclass(slots=True)
class Shared:
    """How many files were shared in which way; `copied_bytes` are what it took on the disk."""

    linked: int = 0
    cloned: int = 0
    copied: int = 0
    copied_bytes: int = 0


def share_files(source: Path, target: Path, files: Iterable[str], done: Shared) -> None:
    """Have `files` of one folder in another one; one that is gone in `source` is passed over.

    Raises: OSError, for one where no room is left as well.
    """
    made: set[Path] = set()
    for name in files:
        to = target / name
        if to.parent not in made:
            to.parent.mkdir(parents=True, exist_ok=True)
            made.add(to.parent)
        with contextlib.suppress(FileNotFoundError, FileExistsError):
            _share(source / name, to, done)


def can_link(source: Path, target: Path) -> bool:
    """Whether both folders are on one file system; `target` need not be there yet."""
    while not target.exists() and target.parent != target:
        target = target.parent
    with contextlib.suppress(OSError):
        return source.stat().st_dev == target.stat().st_dev
    return False


def _share(source: Path, target: Path, done: Shared) -> None:
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in NO_LINK:
            raise
    else:
        done.linked += 1
        return
    if _clone(source, target):
        done.cloned += 1
        return
    shutil.copy2(source, target)
    done.copied += 1
    done.copied_bytes += target.stat().st_size


def _clone(source: Path, target: Path) -> bool:
    try:
        with source.open("rb") as original, target.open("wb") as clone:
            fcntl.ioctl(clone, FICLONE, original.fileno())
        shutil.copystat(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        target.unlink(missing_ok=True)
        return False
    return True
