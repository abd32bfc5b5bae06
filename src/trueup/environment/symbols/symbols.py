"""What a version of a library offers: the installed one, and each that the shipped index has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from packaging.version import InvalidVersion, Version

from trueup.environment.environment import Environment
from trueup.environment.symbols.installed import InstalledModules
from trueup.environment.symbols.lookup import Found, Member, Symbols
from trueup.environment.symbols.shipped import indexed_versions, symbols_at

__all__ = [
    "Found",
    "Lifetime",
    "Member",
    "Symbols",
    "history",
    "installed_symbols",
    "lifetime",
    "lifetime_of_attribute",
    "shipped_symbols",
    "symbols_of",
    "versions",
]

TRANSFORMERS = "transformers"


def installed_symbols(environment: Environment, library: str = TRANSFORMERS) -> Symbols | None:
    """The names of a library as it is installed; None where it is not, or where it is assumed."""
    folder, text = environment.folders.get(library), environment.packages.get(library)
    if folder is None or text is None:
        return None
    try:
        version = Version(text)
    except InvalidVersion:
        return None
    return Symbols(library, version, InstalledModules(library, folder / library))


def shipped_symbols(version: Version, library: str = TRANSFORMERS) -> Symbols | None:
    """The names of a library version from the index; None before the oldest indexed one.

    A version that is not indexed gets those of the nearest one, and `is_exact` says so.
    """
    return symbols_at(library, version)


def symbols_of(environment: Environment, library: str = TRANSFORMERS) -> Symbols | None:
    """The names of the library that the environment has or assumes."""
    installed = installed_symbols(environment, library)
    if installed is not None and installed.module(library) is not None:
        return installed
    try:
        return shipped_symbols(Version(environment.packages[library]), library)
    except (KeyError, InvalidVersion):
        return None


def versions(library: str = TRANSFORMERS) -> tuple[Version, ...]:
    """Every indexed version, oldest first."""
    return indexed_versions(library)


def history(dotted: str) -> tuple[tuple[Version, bool], ...]:
    """In which indexed versions a full name (of a member too) leads to something."""
    return _answers(lambda symbols: symbols.has(dotted), dotted.partition(".")[0])


def _answers(is_so: Callable[[Symbols], bool], library: str) -> tuple[tuple[Version, bool], ...]:
    found = []
    for version in versions(library):
        symbols = shipped_symbols(version, library)
        found.append((version, symbols is not None and is_so(symbols)))
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetime:
    """The run of versions around one in which a name is there, or is not.

    `since` is the first version of the run, None where it reaches back to the oldest indexed one;
    `until` is the first version after it, None where it lasts.
    """

    is_there: bool
    since: Version | None
    until: Version | None


def lifetime(dotted: str, at: Version) -> Lifetime | None:
    """Since and until when a name is, or is not, as it is in the version `at`."""
    return _run(history(dotted), at)


def lifetime_of_attribute(owner: str, name: str, at: Version) -> Lifetime | None:
    """Since and until when objects of a class have an attribute, or have not, as in `at`."""
    rows = _answers(lambda symbols: symbols.gives(owner, name), owner.partition(".")[0])
    return _run(rows, at)


def _run(rows: tuple[tuple[Version, bool], ...], at: Version) -> Lifetime | None:
    place = max((place for place, (version, _) in enumerate(rows) if version <= at), default=None)
    if place is None:
        return None
    is_there = rows[place][1]
    first = place
    while first > 0 and rows[first - 1][1] == is_there:
        first -= 1
    last = place
    while last + 1 < len(rows) and rows[last + 1][1] == is_there:
        last += 1
    return Lifetime(
        is_there=is_there,
        since=rows[first][0] if first else None,
        until=rows[last + 1][0] if last + 1 < len(rows) else None,
    )
