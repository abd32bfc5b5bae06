"""Deletes environments: what builds left behind, those that are no good, those that are named."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trueup.adapt.isolate.half_built import delete, disk_bytes, half_built
from trueup.adapt.isolate.store import (
    Built,
    environments_folder,
    every_environment,
    forget_locks,
    unknown_folders,
)

PROCESSES = Path("/proc")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What was deleted, and what was kept since a process runs in it (digests).

    `half_built` are the folders that builds left behind, with the bytes that only they held.
    """

    environments: tuple[Built, ...]
    half_built: Mapping[Path, int]
    in_use: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Its JSON shape."""
        return {
            "environments": [
                {"lock": each.digest, "disk_bytes": each.disk_bytes} for each in self.environments
            ],
            "half_built": [
                {"folder": str(path), "disk_bytes": held} for path, held in self.half_built.items()
            ],
            "in_use": list(self.in_use),
        }


def prune(
    *,
    named: Collection[str] = (),
    unused_since: float | None = None,
    takes_all: bool = False,
    is_dry: bool = False,
    tell: Callable[[Path, int], None] = lambda path, held: None,
    root: Path | None = None,
) -> Pruned:
    """Delete what is half-built and not being built, and some of the whole ones.

    Those that are `named` by their digests; or those not used since a time of `time.time`; or all,
    with their locks; without any of these the ones that are no longer as they were built. One in
    which a process runs is kept, and its lock with it. `tell` hears of each folder, with its
    bytes, before it is deleted, which takes seconds.

    Raises: ConfigError where the folder of environments cannot be read.
    """
    root = environments_folder() if root is None else root
    left = (*half_built(root), *unknown_folders(root))
    halves = {folder: disk_bytes(folder, counts_linked=False) for folder in left}
    chosen: list[Built] = []
    in_use: list[str] = []
    for built in every_environment(root):
        if named:
            is_meant = built.digest in named
        elif unused_since is not None:
            is_meant = built.used_at < unused_since
        else:
            is_meant = takes_all or built.fault is not None
        if is_meant and _runs_something(built.folder):
            in_use.append(built.digest)
        elif is_meant:
            chosen.append(built)
    if not is_dry:
        for folder, held in (halves | {each.folder: each.disk_bytes for each in chosen}).items():
            tell(folder, held)
            delete(folder)
        if takes_all:
            forget_locks(root, kept=in_use)
    return Pruned(environments=tuple(chosen), half_built=halves, in_use=tuple(in_use))


def _runs_something(folder: Path) -> bool:
    start = f"{folder}/".encode()
    return any(command.startswith(start) for command in _commands())


def _commands() -> Iterator[bytes]:
    """How the programs of every process were called."""
    with contextlib.suppress(OSError):
        for entry in PROCESSES.iterdir():
            if entry.name.isdecimal():
                with contextlib.suppress(OSError):
                    yield (entry / "cmdline").read_bytes()
