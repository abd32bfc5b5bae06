"""The lock of an environment: every package with its version and the hashes of its files."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from trueup.adapt.isolate.request import Request, digest_of
from trueup.adapt.isolate.shared_torch import SharedTorch, normal
from trueup.errors import AdaptError

SUFFIX_WHEEL = ".whl"


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedPackage:
    """One package; `hashes` are of all files that it may be installed from, sorted.

    `size_bytes` is of the file that fits best, None where its index does not tell.
    """

    name: str
    version: str
    hashes: tuple[str, ...]
    size_bytes: int | None = None

    @property
    def line(self) -> str:
        """The package as a line of requirements with hashes."""
        return " ".join((f"{self.name}=={self.version}", *(f"--hash={h}" for h in self.hashes)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """What is installed for a request, and what is shared beside it (names to versions)."""

    request: Request
    packages: tuple[LockedPackage, ...]
    shared: Mapping[str, str]

    @property
    def digest(self) -> str:
        """The name of the environment: over packages, Python, torch and kind of machine."""
        return digest_of(
            {
                "packages": [package.line for package in self.packages],
                "python": self.request.python,
                "torch": self.request.torch,
                "shares_torch": self.request.shares_torch,
                "platform": self.request.platform,
            }
        )

    @property
    def text(self) -> str:
        """The packages as a file of requirements, as uv and pip read it."""
        return "".join(f"{package.line}\n" for package in self.packages)

    @property
    def versions(self) -> dict[str, str]:
        """Every package that the environment has, by name."""
        own = {package.name: package.version for package in self.packages}
        return dict(sorted({**self.shared, **own}.items()))

    @property
    def download_bytes(self) -> int | None:
        """What has to be fetched where nothing is cached; None where sizes are not told."""
        sizes = [package.size_bytes for package in self.packages]
        return None if None in sizes else sum(size for size in sizes if size is not None)

    def as_dict(self) -> dict[str, Any]:
        """Its JSON shape."""
        return {
            "request": self.request.as_dict(),
            "packages": [asdict(package) for package in self.packages],
            "shared": dict(self.shared),
        }

    @classmethod
    def from_dict(cls, shape: Mapping[str, Any]) -> Lock:
        """Read back what `as_dict` wrote. Raises: KeyError, TypeError for anything else."""
        return cls(
            request=Request.from_dict(shape["request"]),
            packages=tuple(
                LockedPackage(**{**each, "hashes": tuple(each["hashes"])})
                for each in shape["packages"]
            ),
            shared=dict(shape["shared"]),
        )


def read_lock(text: str, request: Request, shared: SharedTorch | None) -> Lock:
    """The lock that uv wrote as a pylock.toml; where files lie is left out.

    Raises: AdaptError for what cannot be locked: a package without hashes.
    """
    packages = []
    for entry in tomllib.loads(text).get("packages", []):
        files = [*entry.get("wheels", []), *([entry["sdist"]] if "sdist" in entry else [])]
        if "archive" in entry:
            files.append(entry["archive"])
        hashes = sorted(
            {f"{kind}:{value}" for file in files for kind, value in file["hashes"].items()}
        )
        if not hashes:
            raise AdaptError(
                f"`{entry['name']}` cannot be locked: its index tells no hashes of its files",
                hint="build from a folder of wheels: --wheelhouse DIR",
            )
        packages.append(
            LockedPackage(
                name=normal(entry["name"]),
                version=entry["version"],
                hashes=tuple(hashes),
                size_bytes=_size(files, request.python),
            )
        )
    told = {} if shared is None else {each.name: each.version for each in shared.packages}
    return Lock(
        request=request,
        packages=tuple(sorted(packages, key=lambda each: each.name)),
        shared=told,
    )


def _size(files: list[dict[str, Any]], python: str) -> int | None:
    """The size of the file that would be installed, as far as tags tell."""
    ranks = {tag: rank for rank, tag in enumerate(_tags(python))}
    best: tuple[int, int] | None = None
    for file in files:
        size = file.get("size")
        if not isinstance(size, int):
            continue
        rank = min((ranks[tag] for tag in _wheel_tags(file) if tag in ranks), default=len(ranks))
        if best is None or rank < best[0]:
            best = rank, size
    return None if best is None else best[1]


def _wheel_tags(file: Mapping[str, Any]) -> Iterator[str]:
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    named = file.get("name") or str(file.get("url") or file.get("path") or "")
    name = named.rpartition("/")[2]
    if name.endswith(SUFFIX_WHEEL):
        try:
            yield from map(str, parse_wheel_filename(name.replace("%2B", "+"))[3])
        except InvalidWheelFilename:
            return


def _tags(python: str) -> Iterator[str]:
    from packaging.tags import compatible_tags, cpython_tags

    major, minor = (int(part) for part in python.split("."))
    yield from map(str, cpython_tags((major, minor)))
    yield from map(str, compatible_tags((major, minor), f"cp{major}{minor}"))
