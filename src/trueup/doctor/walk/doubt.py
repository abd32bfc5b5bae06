"""Failures that a model would have met on the release that it was made with, too.

Its authors ran it there. What fails there in the same way is a misunderstanding of the walk, or
what nobody reaches: it is passed over, and the walk goes on behind it.
"""

from __future__ import annotations

import contextlib
import re
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
CONFIGURATION = "transformers.configuration_utils."
# So often a walk is begun anew behind what was passed over.
MAX_DOUBTS = 6
# Where a config does not say by which release it was written: before most of what broke such code.
USUAL_RELEASE = Version("4.33.3")
# File and line.
Spot = tuple[str, int]
# What is met on the model's own release, by what was passed over there.
AtHome = dict[frozenset[Spot], set[Spot | None]]


def walk_without_doubt(
    checkpoint: Checkpoint, world: World, at_home: AtHome | None = None
) -> Walked:
    """The walk, without the failures that the model's own release has as well.

    `at_home` keeps what is met there, for the same model's walk on another release.
    """
    walked = Stages(checkpoint, world).run()
    at_home = {} if at_home is None else at_home
    passed: frozenset[Spot] = frozenset()
    for _ in range(MAX_DOUBTS):
        doubtful = {spot for each in walked.failures.values() if (spot := _spot(each)) is not None}
        if not doubtful:
            break
        if passed not in at_home:
            reference = _reference(checkpoint, world)
            if reference is None:
                break
            there = Stages(checkpoint, replace(reference, mended=passed)).run()
            at_home[passed] = {_spot(each) for each in there.failures.values()}
        common = doubtful & at_home[passed]
        if not common:
            break
        passed |= common
        walked = Stages(checkpoint, replace(world, mended=passed)).run()
    return walked


def _spot(failure: Failure) -> Spot | None:
    """Where a failure is that may be none; None for one that does not depend on the release."""
    place = failure.where
    if place is None or failure.kind in OF_THIS_PLACE:
        return None
    if failure.kind == "raised" and ABOUT_PACKAGES.search(failure.message):
        return None
    if failure.kind == "attribute" and failure.owner.startswith(CONFIGURATION):
        return None
    return place.path, place.line


def _reference(checkpoint: Checkpoint, world: World) -> World | None:
    """The world of the release that wrote the model's config, or of the nearest one indexed."""
    stated = checkpoint.config.get("transformers_version")
    version = USUAL_RELEASE
    if isinstance(stated, str):
        with contextlib.suppress(InvalidVersion):
            version = Version(Version(stated).base_version)
    known = versions()
    if not known:
        return None
    version = max(version, known[0])
    symbols = shipped_symbols(version)
    if symbols is None:
        return None
    packages = {**world.packages, "transformers": str(version)}
    return replace(world, symbols=symbols, version=version, packages=packages, compared={})
