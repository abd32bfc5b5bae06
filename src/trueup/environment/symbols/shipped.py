"""The indexes that ship with the package: what each indexed version of a library offers.

They are made by `scripts/build_symbols.py` from the libraries' wheels. Read blockwise, kept for
the process; safe to share between threads.
"""

from __future__ import annotations

import bisect
import functools
from pathlib import Path

from packaging.version import Version

from trueup.environment.symbols.index_file import ShippedModules, SymbolIndex
from trueup.environment.symbols.lookup import Symbols


def path(library: str) -> Path:
    """Where the index of a library lies."""
    return Path(__file__).parent / "indexes" / f"{library}.symbols"


@functools.cache
def index_of(library: str) -> SymbolIndex | None:
    """The index of a library, None where none ships."""
    place = path(library)
    return SymbolIndex(place) if place.is_file() else None


def indexed_versions(library: str) -> tuple[Version, ...]:
    """Every indexed version of a library, oldest first."""
    index = index_of(library)
    return index.versions if index is not None else ()


def symbols_at(library: str, version: Version) -> Symbols | None:
    """The names of a version, or of the nearest one that is indexed; None before all.

    The nearest is an older one, or a newer patch release where the older is another minor one.
    """
    index = index_of(library)
    if index is None:
        return None
    version = Version(version.public)
    place = bisect.bisect_right(index.versions, version) - 1
    newer = index.versions[place + 1 : place + 2]
    if newer and newer[0].release[:2] == version.release[:2]:
        older = index.versions[place] if place >= 0 else None
        if older is None or older.release[:2] != version.release[:2]:
            place += 1
    if place < 0:
        return None
    return _symbols(library, place, is_exact=version == index.versions[place])


@functools.lru_cache(maxsize=256)
def _symbols(library: str, place: int, *, is_exact: bool) -> Symbols:
    """One object for a version, so that what it has looked up is looked up once."""
    index = index_of(library)
    if index is None:
        raise LookupError(library)
    modules = ShippedModules(index, place)
    return Symbols(library, index.versions[place], modules, is_exact=is_exact)
