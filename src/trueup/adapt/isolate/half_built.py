"""Environments while they are built or deleted: under names that nobody looks for.

Beside each lies a file whose lock its builder holds, so that what a builder left that is gone is
told from what is being built.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from trueup.errors import ConfigError

LOCKS, HALF, SUFFIX = "locks", ".half-", ".lock"
BLOCK_BYTES = 512  # of st_blocks, whatever the file system's are


@contextlib.contextmanager
def alone_at(name: str, root: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Alone at one name among all processes; `waiting` is called once where another is at it.

    Raises: ConfigError where no file can be kept.
    """
    with _lock_file(root / LOCKS / f"{name}{SUFFIX}") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:  # a network file system without locks: the rename decides
            pass
        yield


def _lock_file(path: Path) -> IO[str]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return path.open("a")
    except OSError as error:
        raise unwritable(error, path.parent.parent) from error


def unwritable(error: OSError, root: Path) -> ConfigError:
    """No environment can be kept here."""
    # A copy that finds no room names its source.
    path = str(error.filename or root)
    return ConfigError(
        f"environments cannot be kept: {error.strerror or error}",
        where=path if path.startswith(f"{root}/") and HALF not in path else str(root),
        hint="make room there, or set TRUEUP_HOME to a folder that you may write in",
    )


@contextlib.contextmanager
def half_folder(root: Path) -> Iterator[tuple[Path, IO[str]]]:
    """A folder to build in and the file whose lock says that somebody does; gone afterwards.

    The lock is there before the folder is. Raises: OSError.
    """
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, name = tempfile.mkstemp(prefix=HALF, suffix=SUFFIX, dir=root)
    folder = Path(name.removesuffix(SUFFIX))
    with open(descriptor, "w") as file:
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            folder.mkdir(mode=0o700)
            yield folder, file
        finally:
            delete(folder)


def half_built(root: Path) -> list[Path]:
    """What builders that are gone left behind."""
    with contextlib.suppress(OSError):
        folders = [each for each in root.iterdir() if each.name.startswith(HALF)]
        return sorted(each for each in folders if each.suffix != SUFFIX and not _is_held(each))
    return []


def _is_held(folder: Path) -> bool:
    """Whether its builder, or what that started, is still at it."""
    try:
        with _beside(folder).open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _beside(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}{SUFFIX}")


def delete(folder: Path) -> None:
    """Delete an environment, whole or not, as far as the system lets it.

    It loses its name first, so that nobody takes what is left of it for whole.
    """
    if not folder.name.startswith(HALF):
        half = folder.with_name(f"{HALF}{folder.name[:16]}-{os.getpid()}")
        with contextlib.suppress(OSError):
            folder.rename(half)
            folder = half
    shutil.rmtree(folder, ignore_errors=True)
    _beside(folder).unlink(missing_ok=True)


def disk_bytes(
    folder: Path, shared: frozenset[str] = frozenset(), *, counts_linked: bool = True
) -> int:
    """What a folder takes on the disk; `shared` are paths in it that are counted elsewhere.

    Files that have other names as well are left out where it not `counts_linked`.
    """
    total, start = 0, len(str(folder)) + 1
    for inner, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(inner, name)
            if path[start:] not in shared:
                with contextlib.suppress(OSError):
                    status = os.lstat(path)
                    if counts_linked or status.st_nlink == 1:
                        total += status.st_blocks * BLOCK_BYTES
        with contextlib.suppress(OSError):
            total += os.lstat(inner).st_blocks * BLOCK_BYTES
    return total
