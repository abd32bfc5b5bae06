"""Models against releases of transformers, from the index alone: one row for each model.

A release that answers what a walk asked as another one did is not walked again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from packaging.version import Version

from trueup.checkpoint.checkpoint import Checkpoint
from trueup.doctor.examine import examine
from trueup.doctor.finding import Finding
from trueup.doctor.joining import place_of, rule_findings, with_reasons
from trueup.doctor.rule import Facts, Reading
from trueup.doctor.rules.walked import ends_of
from trueup.doctor.walk.asked import AskedSymbols, Question, answers_alike
from trueup.doctor.walk.doubt import AtHome, walk_without_doubt
from trueup.doctor.walk.machine import World
from trueup.doctor.walk.stages import Walked
from trueup.environment.environment import Environment
from trueup.environment.symbols.symbols import Symbols, shipped_symbols, versions
from trueup.errors import TrueUpError

# Walks that a version is compared with: those of its neighbours.
REMEMBERED = 6
# The steps in which the oldest and the newest release are looked for.
APART = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One model on one release: the codes of its errors as a check finds them."""

    version: Version
    codes: tuple[str, ...]

    @property
    def works(self) -> bool:
        """Whether nothing is known to fail."""
        return not self.codes


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One model on all of the releases, the oldest first; no cells where it cannot be read."""

    model: str
    cells: tuple[Cell, ...] = ()
    error: TrueUpError | None = None

    @property
    def oldest(self) -> Version | None:
        """The oldest release on which it should work."""
        return next((cell.version for cell in self.cells if cell.works), None)

    @property
    def newest(self) -> Version | None:
        """The newest one."""
        return next((cell.version for cell in reversed(self.cells) if cell.works), None)

    def as_dict(self) -> dict[str, Any]:
        """The row in the report's JSON shape."""
        return {
            "model": self.model,
            "works": {
                "oldest": str(self.oldest) if self.oldest else None,
                "newest": str(self.newest) if self.newest else None,
            },
            "cells": {str(cell.version): list(cell.codes) for cell in self.cells},
            "error": _error_shape(self.error),
        }


def _error_shape(error: TrueUpError | None) -> dict[str, str | None] | None:
    if error is None:
        return None
    return {"cause": error.cause, "where": error.where, "hint": error.hint}


def minors(known: Iterable[Version] | None = None) -> tuple[Version, ...]:
    """The last indexed patch of every minor release, oldest first."""
    last = {each.release[:2]: each for each in sorted(known if known is not None else versions())}
    return tuple(last.values())


def spread(known: Sequence[Version], installed: Version | None, most: int) -> list[Version]:
    """So many releases that stand for all that are indexed, oldest first.

    1. The installed one, the oldest and the newest, the last two of a major version and the first.
    2. Then, again and again, the middle of the widest gap.
    """
    last = list(minors(known))
    lines = [[each for each in last if each.major == major] for major in {v.major for v in last}]
    chosen = {each for line in lines for each in (line[0], *line[-2:])}  # 1
    if installed is not None and _is_indexed(installed, last):
        last = sorted({*last, installed})
        chosen.add(installed)
    while len(chosen) < min(most, len(last)):  # 2
        places = [place for place, each in enumerate(last) if each in chosen]
        gaps = [(after - before, before) for before, after in pairwise(places)]
        wide, before = max(gaps)
        chosen.add(last[before + wide // 2])
    return sorted(chosen)


def _is_indexed(version: Version, last: Sequence[Version]) -> bool:
    """Whether the index tells of that release, or of a patch of the same minor one."""
    return bool(last) and last[0].release[:2] <= version.release[:2] <= last[-1].release[:2]


def row_of(
    model: str, checkpoint: Checkpoint, environment: Environment, chosen: Sequence[Version]
) -> Row:
    """One model on the releases that are chosen; all else is as in `environment`."""
    judge = Judge(checkpoint, environment)
    cells = [Cell(version=version, codes=judge(version)) for version in sorted(chosen)]
    return Row(model=model, cells=tuple(cells))


class Judge:
    """The codes of one model's errors on a release; all else is as in `environment`."""

    def __init__(self, checkpoint: Checkpoint, environment: Environment) -> None:
        self._checkpoint, self._environment = checkpoint, environment
        self._memory, self._reading = Walks(), Reading(checkpoint)

    def __call__(self, version: Version) -> tuple[str, ...]:
        """Those that a check finds, in its order; none where nothing is known to fail."""
        assumed = _assumed(self._environment, version)
        return tuple(_codes(Facts(self._checkpoint, assumed, self._reading, self._memory.walked)))

    def findings(self, version: Version) -> tuple[Finding, ...]:
        """The findings whole, in the order of a check."""
        return examine(self._checkpoint, _assumed(self._environment, version))


def works(
    checkpoint: Checkpoint, environment: Environment, known: Sequence[Version] | None = None
) -> dict[str, str | None]:
    """The oldest and the newest minor release that should work, in the report's JSON shape.

    Every fourth one is looked at, then those between the last that works and the next.
    """
    last = minors(known)
    rough = row_of("", checkpoint, environment, last[::-1][::APART])
    kept = {cell.version: cell.works for cell in rough.cells}
    for ordered in (last, last[::-1]):
        between: list[Version] = []
        for version in ordered:
            if kept.get(version):
                fine = row_of("", checkpoint, environment, between)
                kept |= {cell.version: cell.works for cell in fine.cells}
                break
            if version in kept:
                between.clear()
            else:
                between.append(version)
    good = sorted(version for version, is_good in kept.items() if is_good)
    return {
        "oldest": str(good[0]) if good else None,
        "newest": str(good[-1]) if good else None,
    }


def _assumed(environment: Environment, version: Version) -> Environment:
    packages = {**environment.packages, "transformers": str(version)}
    return replace(
        environment, packages=packages, folders={}, library_models={}, library_bases={},
        is_assumed=True,
    )  # fmt: skip


def _codes(facts: Facts) -> Iterable[str]:
    """The codes of the errors that a check finds, in its order."""
    found = rule_findings(facts)
    met = [
        each
        for each, reason in with_reasons(found, ends_of(facts))
        if reason is None and each.is_error
    ]
    told = [(each.stage, each.code) for each in found if each.severity == "error"]
    told += [(each.stage, each.code) for each in met]
    return dict.fromkeys(code for _, code in sorted(told, key=lambda each: place_of(each[0])))


@dataclass(slots=True)
class _Past:
    """A walk, with what it asked."""

    walked: Walked
    answers: Mapping[Question, Any]
    compared: Mapping[str, Any]

    def holds(self, symbols: Symbols, version: Version) -> bool:
        """Whether that version would have been walked in the same way."""
        probe = World(symbols=symbols, version=version, packages={}, modules={})
        for key, answer in self.compared.items():
            if key == "text":
                same = str(version) == answer
            elif key.startswith(">="):
                same = probe.is_at_least(Version(key[2:])) == answer
            else:
                same = probe.is_release(Version(key[2:])) == answer
            if not same:
                return False
        return answers_alike(dict(self.answers), symbols)


@dataclass(slots=True)
class Walks:
    """The walks of one model; `count` says how many there were."""

    count: int = 0
    _past: list[_Past] = field(default_factory=list)
    _at_home: AtHome = field(default_factory=dict)

    def walked(self, checkpoint: Checkpoint, environment: Environment) -> Walked | None:
        """What the walk meets there; None without code or facts about the version."""
        version = environment.transformers
        symbols = None if version is None else shipped_symbols(version)
        if not checkpoint.remote_code or version is None or symbols is None:
            return None
        for past in reversed(self._past[-REMEMBERED:]):
            if past.holds(symbols, version):
                return past.walked
        asked = AskedSymbols(symbols)
        world = World(
            symbols=asked,
            version=version,
            packages=environment.packages,
            modules=checkpoint.remote_code,
            files=frozenset(checkpoint.files),
            goes_on=False,
        )
        walked = walk_without_doubt(checkpoint, world, self._at_home)
        self.count += 1
        self._past.append(_Past(walked, asked.answers, world.compared))
        return walked
