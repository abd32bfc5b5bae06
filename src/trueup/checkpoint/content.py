"""A digest over every byte of a checkpoint's weights, for what is kept because of them.

`Checkpoint.digest` looks at samples, which is enough to see that files were replaced; vectors and
converted models that outlive a process must not be taken for those of other weights.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path

from trueup.checkpoint.checkpoint import Checkpoint
from trueup.config.home import trueup_home


def weights_digest(checkpoint: Checkpoint) -> str:
    """`sha256:…` over the weight files, read whole at the first time.

    It is kept under TRUEUP_HOME by path, size, inode and time of change of each file.
    """
    digest = hashlib.sha256()
    for name in checkpoint.weights.files:
        found = checkpoint.hub_digests.get(name) or _file_digest(checkpoint.directory / name)
        digest.update(f"{name}\0{found}\0".encode())
    return f"sha256:{digest.hexdigest()}"


def _file_digest(path: Path) -> str:
    try:
        status = path.stat()
        facts = [
            str(path.resolve()),
            status.st_size,
            status.st_ino,
            status.st_mtime_ns,
            status.st_ctime_ns,
        ]
        key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:24]
        cache = trueup_home() / "cache" / f"content-{key}"
        try:
            return cache.read_text(encoding="ascii")
        except (OSError, ValueError):
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:  # loading it will say so
        return f"unreadable: {error.strerror}"
    _keep(cache, found)
    return found


def _keep(cache: Path, found: str) -> None:
    """Write the cache; a home that cannot be written costs time, not the answer."""
    with contextlib.suppress(OSError):
        cache.parent.mkdir(parents=True, exist_ok=True)
        half = cache.with_suffix(f".{os.getpid()}")
        half.write_text(found, encoding="ascii")
        half.replace(cache)
