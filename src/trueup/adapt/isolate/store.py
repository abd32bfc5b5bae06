"""The environments of this user, by the hash of their lock, and the locks by their request.

An environment gets its name only when it is whole, by a rename (`half_built.py`). One that is used
is compared with what was built first.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import tempfile
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trueup.adapt.isolate.half_built import HALF
from trueup.adapt.isolate.lock import Lock
from trueup.adapt.isolate.request import Request
from trueup.config.home import trueup_home
from trueup.errors import AdaptError, ConfigError

FOLDER, REQUESTS = "environments", "requests"
MANIFEST, USED = "environment.json", "used"
MANIFEST_VERSION = 1
DIGEST = re.compile(r"[0-9a-f]{64}")
PREFIX = "sha256:"
COMPILED = "__pycache__"


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """An environment that was whole when it got its name; `fault` says what is wrong with it now.

    `disk_bytes` is what it took beside the files that it shares. `is_new` where whoever asked for
    it has built it just now.
    """

    folder: Path
    lock: Lock
    base: str
    disk_bytes: int
    built_at: float
    used_at: float
    fault: str | None
    is_new: bool = False

    @property
    def digest(self) -> str:
        """`sha256:…` of its lock."""
        return f"{PREFIX}{self.folder.name}"

    @property
    def interpreter(self) -> Path:
        """Its Python."""
        return python_of(self.folder)


def environments_folder() -> Path:
    """Where they lie. Raises: ConfigError where no home is to be found."""
    return trueup_home() / FOLDER


def python_of(folder: Path) -> Path:
    """The Python of an environment's folder."""
    return folder / "bin" / "python"


def site_packages(folder: Path, minor: str) -> Path:
    """Where an environment's packages lie."""
    return folder / "lib" / f"python{minor}" / "site-packages"


def built_environment(lock: str, *, root: Path | None = None) -> Built | None:
    """The environment with that lock (`sha256:…`), None where there is none."""
    name = lock.removeprefix(PREFIX)
    if DIGEST.fullmatch(name) is None:
        return None
    return read_built((root or environments_folder()) / name)


def read_built(folder: Path) -> Built | None:
    """What a folder says of itself, with its faults; None where it is no environment."""
    try:
        shape = json.loads((folder / MANIFEST).read_bytes())
        if shape["version"] != MANIFEST_VERSION:
            return None
        lock = Lock.from_dict(shape["lock"])
        built_at, seal = float(shape["built_at"]), str(shape["seal"])
        base, disk_bytes = str(shape["base"]), int(shape["disk_bytes"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    used_at = built_at
    with contextlib.suppress(OSError):
        used_at = (folder / USED).stat().st_mtime
    return Built(
        folder=folder,
        lock=lock,
        base=base,
        disk_bytes=disk_bytes,
        built_at=built_at,
        used_at=used_at,
        fault=_fault(folder, lock, seal),
    )


def _fault(folder: Path, lock: Lock, seal: str) -> str | None:
    """Why an environment is not what its lock says, as far as names, sizes and times tell."""
    if lock.digest != folder.name:
        return "its lock was changed"
    if not os.access(python_of(folder), os.X_OK):
        return f"its interpreter is gone: `{os.path.realpath(python_of(folder))}`"
    if seal_of(site_packages(folder, lock.request.python)) != seal:
        return "files of its packages were changed"
    return None


def seal_of(packages: Path) -> str:
    """A hash over the names, sizes and times of all files but those that Python compiled.

    Thousands of files in a tenth of a second: no content is read.
    """
    lines: list[str] = []
    pending = [str(packages)]
    while pending:
        folder = pending.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        if entry.name != COMPILED:
                            pending.append(entry.path)
                    else:
                        status = entry.stat(follow_symlinks=False)
                        lines.append(f"{entry.path}\0{status.st_size}\0{status.st_mtime_ns}")
        except OSError:
            lines.append(f"{folder}\0-")
    start = len(str(packages))
    digest = hashlib.sha256()
    for line in sorted(lines):
        digest.update(line[start:].encode(errors="surrogateescape") + b"\n")
    return digest.hexdigest()


def write_manifest(folder: Path, lock: Lock, *, base: str, disk_bytes: int) -> None:
    """Say in an environment's folder what it is; the last thing before it gets its name."""
    shape = {
        "version": MANIFEST_VERSION,
        "lock": lock.as_dict(),
        "base": base,
        "disk_bytes": disk_bytes,
        "built_at": time.time(),
        "seal": seal_of(site_packages(folder, lock.request.python)),
    }
    with (folder / MANIFEST).open("w", encoding="utf-8") as file:
        json.dump(shape, file, indent=1)
        file.flush()
        os.fsync(file.fileno())


def kept_lock(request: Request, *, root: Path | None = None) -> Lock | None:
    """What a request was resolved to, None where it was not yet."""
    lock = _lock_of(request.digest, environments_folder() if root is None else root)
    return lock if lock is not None and lock.request == request else None


def _lock_of(request: str, root: Path) -> Lock | None:
    try:
        shape = json.loads((root / REQUESTS / f"{request}.json").read_bytes())
        return Lock.from_dict(shape)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def keep_lock(lock: Lock, root: Path) -> None:
    """Keep what a request was resolved to. Raises: OSError."""
    folder = root / REQUESTS
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, half = tempfile.mkstemp(prefix=HALF, dir=folder)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            json.dump(lock.as_dict(), file, indent=1)
        os.replace(half, folder / f"{lock.request.digest}.json")
    except OSError:
        Path(half).unlink(missing_ok=True)
        raise


def forget_locks(root: Path, *, kept: Collection[str]) -> None:
    """Delete what requests were resolved to, but the locks of environments (digests) in `kept`."""
    for path in (root / REQUESTS).glob("*"):
        lock = _lock_of(path.stem, root)
        if lock is None or f"{PREFIX}{lock.digest}" not in kept:
            path.unlink(missing_ok=True)


def every_environment(root: Path | None = None) -> list[Built]:
    """All that have a name, the one that was used last first.

    Raises: ConfigError where their folder cannot be read, which need not be there yet.
    """
    root = root or environments_folder()
    folders: list[Path] = []
    try:
        folders = [path for path in root.iterdir() if DIGEST.fullmatch(path.name)]
    except FileNotFoundError:
        pass
    except OSError as error:
        raise ConfigError(
            f"environments cannot be read: {error.strerror or error}",
            where=str(root),
            hint="set TRUEUP_HOME to a folder that you may read",
        ) from error
    found = [built for path in folders if (built := read_built(path)) is not None]
    return sorted(found, key=lambda built: (-built.used_at, built.digest))


def unknown_folders(root: Path) -> list[Path]:
    """Folders with an environment's name that say nothing of themselves: none was ever whole."""
    with contextlib.suppress(OSError):
        folders = sorted(path for path in root.iterdir() if DIGEST.fullmatch(path.name))
        return [path for path in folders if read_built(path) is None]
    return []


def interpreter_of(environment: Mapping[str, Any]) -> Path:
    """The Python of a plan's `environment`, checked to be what its lock says.

    One that was built after the plan was made will do.

    Raises: AdaptError where it is not built, or was changed since.
    """
    if not environment.get("is_ours", True):
        return Path(str(environment["interpreter"]))
    lock = environment.get("lock")
    if lock is None and environment.get("request") is not None:
        kept = _lock_of(str(environment["request"]), environments_folder())
        lock = None if kept is None else kept.digest
    found = None if lock is None else built_environment(str(lock))
    if found is None:
        raise AdaptError("the environment is not built", hint=str(environment.get("command")))
    if found.fault is not None:
        raise AdaptError(
            f"the environment is no longer what was built: {found.fault}",
            where=str(found.folder),
            hint=str(environment.get("command")),
        )
    note_use(found.interpreter)
    return found.interpreter


def note_use(python: Path) -> None:
    """Something runs in an environment: note when, if `python` is that of one of ours."""
    folder = python.parent.parent
    if DIGEST.fullmatch(folder.name) is not None and (folder / MANIFEST).is_file():
        with contextlib.suppress(OSError):  # a full disk keeps nobody from using it
            (folder / USED).touch()
