"""Names that one release of torch has and another has not."""

from __future__ import annotations

import functools
from collections.abc import Mapping

from packaging.version import InvalidVersion, Version

from trueup.environment.symbols.symbols import Lifetime, lifetime, shipped_symbols

TORCH = "torch"


def torch_life(dotted: str, packages: Mapping[str, str]) -> Lifetime | None:
    """How long a name has been gone from torch, or when it came; None where it is there.

    None as well where it is in no known release, which is nobody's break.
    """
    try:
        version = Version(Version(packages[TORCH]).base_version)
    except (KeyError, InvalidVersion):
        return None
    return _life(dotted, version)


@functools.lru_cache(maxsize=4096)
def _life(dotted: str, version: Version) -> Lifetime | None:
    symbols = shipped_symbols(version, TORCH)
    if symbols is None or symbols.has(dotted):
        return None
    life = lifetime(dotted, version)
    is_known = life is not None and (life.since is not None or life.until is not None)
    return life if is_known else None
