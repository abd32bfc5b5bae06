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
    """The names of a version, or of the nearest older one that is indexed; None before all."""
    index = index_of(library)
    if index is None:
        return None
    place = bisect.bisect_right(index.versions, version) - 1
    if place < 0:
        return None
    return _symbols(library, place, version if version != index.versions[place] else None)


@functools.lru_cache(maxsize=256)
def _symbols(library: str, place: int, asked: Version | None) -> Symbols:
    """One object for a version, so that what it has looked up is looked up once."""
    index = index_of(library)
    if index is None:
        raise LookupError(library)
    return Symbols(
        library, index.versions[place], ShippedModules(index, place), is_exact=asked is None
    )
