"""The demo checkpoint that ships in the package, unpacked to where a model directory may lie.

The copy is named after the hash of its content, so an upgraded package never meets an old one.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from trueup.config.home import trueup_home
from trueup.errors import CheckpointError

PACKED = Path(__file__).resolve().parent.parent / "demo_checkpoint"
DIGEST_LENGTH = 16


def unpack_demo() -> Path:
    """The directory of the demo checkpoint, unpacked at the first call.

    Raises: CheckpointError where the package has none or the copy cannot be written.
    """
    try:
        files = sorted(path for path in PACKED.iterdir() if path.is_file())
    except OSError as error:
        raise CheckpointError(
            "the installed package has no demo checkpoint", where=str(PACKED)
        ) from error
    digest = hashlib.sha256()
    for path in files:
        content = path.read_bytes()
        digest.update(f"{path.name}\0{len(content)}\0".encode())
        digest.update(content)
    target = trueup_home() / "demo" / digest.hexdigest()[:DIGEST_LENGTH]
    if not target.is_dir():
        try:
            _unpack(files, target)
        except OSError as error:
            raise CheckpointError(
                f"the demo checkpoint cannot be unpacked: {error.strerror or error}",
                where=str(target),
                hint="set TRUEUP_HOME to a folder that can be written",
            ) from error
    return target


def _unpack(files: list[Path], target: Path) -> None:
    """Copy beside the target and rename, so that a half copy is never taken for a whole one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    half = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=target.parent))
    try:
        for path in files:
            shutil.copyfile(path, half / path.name)
        half.chmod(0o755)
        try:
            os.rename(half, target)
        except OSError:
            if not target.is_dir():  # else another process was first: the content is the same
                raise
    finally:
        shutil.rmtree(half, ignore_errors=True)
