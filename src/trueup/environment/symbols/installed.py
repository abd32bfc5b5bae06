"""Facts of an installed library, read module by module from its source and kept on disk.

What is kept lies under TRUEUP_HOME by path, size and time of change. Several processes may read
and write at once: a file is put in place whole or not at all, and a damaged one is made anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson

from trueup.config.home import trueup_home
from trueup.environment.symbols.codec import FORMAT, decode_module, encode_module
from trueup.environment.symbols.collect import complete
from trueup.environment.symbols.facts import ModuleFacts, opaque
from trueup.environment.symbols.lazy import is_collected
from trueup.environment.symbols.source import read_module

DAMAGED = (ValueError, TypeError, KeyError, IndexError, AttributeError)
# A stub tells what a compiled module has.
ENDINGS = (".py", ".pyi")
# Nobody writes such a module by hand, and parsing it would take many seconds.
LARGEST_SOURCE_BYTES = 16 * 1024 * 1024


class InstalledModules:
    """The modules of the package at `folder`."""

    def __init__(self, library: str, folder: Path) -> None:
        self._library = library
        self._folder = folder
        key = hashlib.sha256(os.fsencode(folder.absolute())).hexdigest()[:12]
        self._cache = trueup_home() / "cache" / "symbols" / f"{library}-{key}"

    def load(self, name: str) -> ModuleFacts | None:
        """The facts of one module, None where there is none; what cannot be parsed is opaque."""
        path = self._path(name)
        if path is None:
            return self._bare_folder(name)
        cache = self._cache / f"{name}.json"
        try:
            stamp = _stamp(path)
            kept = self._kept(cache, name, stamp)
            if kept is not None:
                return kept
            if path.stat().st_size > LARGEST_SOURCE_BYTES:
                return opaque(name, is_package=path.stem == "__init__")
            source = path.read_bytes()
        except OSError:
            return None
        facts = read_module(source, name, is_package=path.stem == "__init__")
        if facts is None:
            return opaque(name, is_package=path.stem == "__init__")
        if facts.is_lazy:
            facts = complete(facts, self._library, self)
        _keep(
            cache,
            {
                "stamp": stamp,
                "trees": {tree: _newest_folder(self._place(tree)) for tree in facts.trees},
                "entries": encode_module(facts),
            },
        )
        return facts

    def _kept(self, cache: Path, name: str, stamp: list[Any]) -> ModuleFacts | None:
        try:
            kept = orjson.loads(cache.read_bytes())
            if kept["stamp"] != stamp or any(
                _newest_folder(self._place(tree)) != newest
                for tree, newest in kept["trees"].items()
            ):
                return None
            return decode_module(name, kept["entries"])
        except (OSError, *DAMAGED):
            return None

    def _bare_folder(self, name: str) -> ModuleFacts | None:
        """A folder without `__init__.py` is a package that binds nothing."""
        if not self._is_inside(name) or not self._place(name).is_dir():
            return None
        return ModuleFacts(name=name, is_package=True, exports={})

    def source(self, name: str) -> bytes | None:
        """The source of a module by its full name."""
        path = self._path(name)
        try:
            return path.read_bytes() if path is not None else None
        except OSError:
            return None

    def below(self, package: str) -> Iterable[tuple[str, bytes]]:
        """Full name and source of the modules below a package that are collected, sorted."""
        folder = str(self._place(package))
        for base, folders, names in os.walk(folder):
            folders[:] = sorted(name for name in folders if name.isidentifier())
            inside = base[len(folder) :].replace(os.sep, ".")
            for name in sorted(filter(is_collected, names)):
                with contextlib.suppress(OSError), open(os.path.join(base, name), "rb") as file:
                    yield f"{package}{inside}.{name[:-3]}", file.read()

    def _place(self, name: str) -> Path:
        return self._folder.joinpath(*name.split(".")[1:])

    def _path(self, name: str) -> Path | None:
        if not self._is_inside(name):
            return None
        place = self._place(name)
        for ending in ENDINGS:
            files = [place / f"__init__{ending}"]
            if name != self._library:
                files.append(place.with_name(place.name + ending))
            if found := next((path for path in files if path.is_file()), None):
                return found
        return None

    def _is_inside(self, name: str) -> bool:
        """Names are made of identifiers only, so that their place is inside the package."""
        library, *parts = name.split(".")
        return library == self._library and all(part.isidentifier() for part in parts)


def _stamp(path: Path) -> list[Any]:
    status = path.stat()
    return [FORMAT, str(path), status.st_size, status.st_mtime_ns]


def _newest_folder(folder: Path) -> int:
    """When a file of the folder, or of one right below it, was last added, removed or replaced."""
    newest = folder.stat().st_mtime_ns
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir() and entry.name.isidentifier() and entry.name != "__pycache__":
                newest = max(newest, entry.stat().st_mtime_ns)
    return newest


def _keep(cache: Path, kept: dict[str, Any]) -> None:
    """Put the file in place; a home that cannot be written costs time, not the answer."""
    half = cache.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        half.write_bytes(orjson.dumps(kept))
        half.replace(cache)
    except OSError:
        with contextlib.suppress(OSError):
            half.unlink()
