"""A digest over what an installed package is, for what holds only as long as it stays that.

A version does not tell two builds apart, nor a file that somebody edited in place.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from trueup.config.home import trueup_home
from trueup.environment.environment import Environment

# Its files are many and large: what its installer wrote down of them has to do.
BY_RECORD = frozenset({"torch"})
COMPILED = "__pycache__"


def package_digest(environment: Environment, name: str) -> str | None:
    """`sha256:…` over a package's RECORD and the bytes of its files; None where it is not there.

    Files are read whole at the first time. The digest is kept under TRUEUP_HOME by path, size,
    inode and times of change of each of them.
    """
    folder = environment.folders.get(name)
    if folder is None or name not in environment.packages:
        return None
    digest = hashlib.sha256()
    for record in sorted(folder.glob(f"{name}-*.dist-info/RECORD")):
        with contextlib.suppress(OSError):
            digest.update(record.read_bytes())
    if name not in BY_RECORD:
        digest.update(_content(folder / name).encode())
    return f"sha256:{digest.hexdigest()}"


def _content(package: Path) -> str:
    facts = sorted(_files(package))
    key = hashlib.sha256(json.dumps([str(package), facts]).encode()).hexdigest()[:24]
    cache = trueup_home() / "cache" / f"package-{key}"
    with contextlib.suppress(OSError, ValueError):
        return cache.read_text(encoding="ascii")
    digest = hashlib.sha256()
    for path, *_ in facts:
        digest.update(f"{os.path.relpath(path, package)}\0".encode())
        with contextlib.suppress(OSError), open(path, "rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    found = digest.hexdigest()
    with contextlib.suppress(OSError):  # a home that cannot be written costs time alone
        cache.parent.mkdir(parents=True, exist_ok=True)
        half = cache.with_suffix(f".{os.getpid()}")
        half.write_text(found, encoding="ascii")
        half.replace(cache)
    return found


def _files(folder: Path) -> Iterator[tuple[str, int, int, int, int]]:
    """Path, size, inode, and times of change of content and inode, of every file."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if entry.name != COMPILED:
                    yield from _files(Path(entry.path))
                continue
            status = entry.stat()
            times = (status.st_mtime_ns, status.st_ctime_ns)
            yield (entry.path, status.st_size, status.st_ino, *times)
