"""Failures that a model would have met on the release that it was made with, too.

Its authors ran it there. What fails there in the same way is a misunderstanding of the walk, or
what nobody reaches: it is passed over, and the walk goes on behind it.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from packaging.version import InvalidVersion, Version

from trueup.checkpoint.checkpoint import Checkpoint
from trueup.doctor.walk.failure import Failure
from trueup.doctor.walk.machine import World
from trueup.doctor.walk.stages import Stages, Walked
from trueup.environment.symbols.symbols import shipped_symbols, versions

# What depends on the files and packages that are here, and not on the release.
OF_THIS_PLACE = frozenset({"import", "package", "library"})
# What code says that misses a package.
ABOUT_PACKAGES = re.compile(r"\binstall", re.I)
# Of the library's base, and of those of its own models.
CONFIGURATION = ".configuration_"
# So often a walk is begun anew behind what was passed over.
MAX_DOUBTS = 6
# Where a config does not say by which release it was written: before most of what broke such code.
USUAL_RELEASE = Version("4.33.3")
# File and line.
Spot = tuple[str, int]
# What is met on a release, by what was passed over there.
AtHome = dict[tuple[Version, frozenset[Spot]], Walked]
# What a stage comes behind: where one of these failed, nobody knows whether it would have.
BEFORE_MODEL = ("import.config", "config", "import.model", "init", "load", "forward")
BEFORE_TOKENIZER = ("import.tokenizer",)


def walk_without_doubt(
    checkpoint: Checkpoint, world: World, at_home: AtHome | None = None
) -> Walked:
    """The walk, without the failures that the model's own releases have as well.

    `at_home` keeps what is met there, for the same model's walk on another release.
    """
    walked = Stages(checkpoint, world).run()
    at_home = {} if at_home is None else at_home
    passed: frozenset[Spot] = frozenset()
    for _ in range(MAX_DOUBTS):
        doubtful = {_spot(each): stage for stage, each in walked.failures.items()}
        common = _common(checkpoint, world, passed, doubtful, at_home)
        if not common:
            break
        passed |= common
        walked = Stages(checkpoint, replace(world, mended=passed)).run()
    return walked


def _common(
    checkpoint: Checkpoint,
    world: World,
    passed: frozenset[Spot],
    doubtful: Mapping[Spot | None, str],
    at_home: AtHome,
) -> set[Spot]:
    """The spots at which every release of the model's that gets so far fails, and one does."""
    left = {spot: stage for spot, stage in doubtful.items() if spot is not None}
    common: set[Spot] = set()
    for reference in _references(checkpoint, world) if left else ():
        key = reference.version, passed
        if key not in at_home:
            at_home[key] = Stages(checkpoint, replace(reference, mended=passed)).run()
        there = at_home[key].failures
        failed = {_spot(each) for each in there.values()}
        for spot, stage in list(left.items()):
            if spot in failed:
                common.add(spot)
            elif there.keys().isdisjoint(_before(stage)):
                del left[spot]
        if not left:
            break
    return common & left.keys()


def _before(stage: str) -> tuple[str, ...]:
    if stage == "tokenizer":
        return BEFORE_TOKENIZER
    return BEFORE_MODEL[: BEFORE_MODEL.index(stage)] if stage in BEFORE_MODEL else BEFORE_MODEL


def _spot(failure: Failure) -> Spot | None:
    """Where a failure is that may be none; None for one that does not depend on the release."""
    place = failure.where
    if place is None or failure.kind in OF_THIS_PLACE:
        return None
    if failure.kind == "name":
        return None  # no release binds it
    if failure.kind == "raised" and ABOUT_PACKAGES.search(failure.message):
        return None
    if failure.kind == "attribute" and CONFIGURATION in failure.owner:
        return None
    return place.path, place.line


def _references(checkpoint: Checkpoint, world: World) -> Iterator[World]:
    """The worlds of the release that wrote the model's config, and of one before most breaks.

    Saving a model again writes the release into its config on which it was saved, whether its
    code was run there or not: so it is not believed of the release that is asked about.
    """
    known = versions()
    if not known:
        return
    stated = checkpoint.config.get("transformers_version")
    wanted = [USUAL_RELEASE]
    if isinstance(stated, str):
        with contextlib.suppress(InvalidVersion):
            wanted.append(max(Version(Version(stated).base_version), known[0]))
    for version in dict.fromkeys(wanted):
        symbols = shipped_symbols(version)
        if symbols is not None and version.release[:2] != world.version.release[:2]:
            packages = {**world.packages, "transformers": str(version)}
            yield replace(world, symbols=symbols, version=version, packages=packages, compared={})
