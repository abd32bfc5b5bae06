"""The installed torch with all that it needs, as files that an environment can share.

Read from the metadata of distributions; nothing is imported. The closure is torch, what its
Requires-Dist names for this interpreter, and so on; a torch for GPUs has its libraries there.
"""

from __future__ import annotations

import csv
import functools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path

from trueup.environment.environment import Environment

TORCH = "torch"


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedPackage:
    """One distribution: `files` are paths below `folder`, with those of its metadata."""

    name: str
    version: str
    folder: Path
    files: tuple[str, ...]
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedTorch:
    """torch and its closure, torch first; `version` is torch's own, with its local part."""

    version: str
    packages: tuple[SharedPackage, ...]

    @property
    def size_bytes(self) -> int:
        """The size of all files, which a copy would take."""
        return sum(package.size_bytes for package in self.packages)


def shared_torch(environment: Environment) -> SharedTorch | str:
    """The torch of `environment` with its closure, or why it cannot be shared."""
    folder, version = environment.folders.get(TORCH), environment.packages.get(TORCH)
    if folder is None or version is None:
        return "torch is not installed in the running interpreter"
    folders = frozenset(environment.folders.items())
    return _read(folders, tuple(sorted(environment.packages.items())), environment.python_version)


@functools.lru_cache(maxsize=4)
def _read(
    folders: frozenset[tuple[str, Path]], packages: tuple[tuple[str, str], ...], python: str
) -> SharedTorch | str:
    homes, versions = dict(folders), dict(packages)
    found: dict[str, SharedPackage] = {}
    pending = [TORCH]
    while pending:
        name = pending.pop(0)
        if name in found:
            continue
        home = homes.get(name)
        metadata = None if home is None else _metadata_folder(home, name, versions[name])
        if home is None or metadata is None:
            return f"torch needs `{name}`, whose files are not known: it has no metadata here"
        listed = _listed_files(home, metadata)
        if listed is None:
            return f"the files of `{name}` are not listed in `{metadata.name}/RECORD`"
        files, size_bytes = listed
        found[name] = SharedPackage(
            name=name, version=versions[name], folder=home, files=files, size_bytes=size_bytes
        )
        pending += _needed(metadata, python)
    return SharedTorch(version=found[TORCH].version, packages=tuple(found.values()))


def _metadata_folder(home: Path, name: str, version: str) -> Path | None:
    for path in home.glob("*.dist-info"):
        found, _, of = path.name.removesuffix(".dist-info").partition("-")
        if normal(found) == name and of == version:
            return path
    return None


def _listed_files(home: Path, metadata: Path) -> tuple[tuple[str, ...], int] | None:
    """What RECORD lists below the folder, with the sizes that it tells; None without one.

    Programs, which are listed outside of it, name their own interpreter and are left out.
    """
    files: list[str] = []
    size_bytes = 0
    if _is_editable(metadata):
        return None
    try:
        with (metadata / "RECORD").open(encoding="utf-8", newline="") as record:
            for row in csv.reader(record):
                if not row or row[0].startswith(("..", "/")):
                    continue
                files.append(row[0])
                size_bytes += int(row[2]) if len(row) > 2 and row[2].isdigit() else 0
    except (OSError, UnicodeDecodeError, csv.Error):
        return None
    return (tuple(files), size_bytes) if files else None


def _is_editable(metadata: Path) -> bool:
    """Whether its files lie elsewhere, in somebody's working copy."""
    try:
        shape = json.loads((metadata / "direct_url.json").read_bytes())
    except (OSError, ValueError):
        return False
    inner = shape.get("dir_info") if isinstance(shape, dict) else None
    return isinstance(inner, dict) and bool(inner.get("editable"))


def _needed(metadata: Path, python: str) -> Iterator[str]:
    """Names of what a distribution needs on this interpreter, without extras."""
    from packaging.requirements import InvalidRequirement, Requirement

    with (metadata / "METADATA").open(encoding="utf-8", errors="replace") as file:
        lines = HeaderParser().parse(file).get_all("Requires-Dist") or []
    marked: Mapping[str, str] = {
        "python_version": ".".join(python.split(".")[:2]),
        "python_full_version": python,
        "extra": "",
    }
    for line in lines:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        if requirement.marker is None or requirement.marker.evaluate(dict(marked)):
            yield normal(requirement.name)


def normal(name: str) -> str:
    """A distribution's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()
