"""Which releases of transformers implement a type of model, told from the shipped index.

For releases that are not here; of an installed one, `Environment.library_models` tells.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Literal

from packaging.version import Version

from trueup.environment.causal_models import CAUSAL_CLASSES
from trueup.environment.symbols.symbols import (
    Lifetime,
    lifetime,
    shipped_symbols,
    versions,
)

Presence = Literal["yes", "no", "unknown"]
# Classes that serve several types say nothing of one of them.
_SHARED = frozenset(name for name, count in Counter(CAUSAL_CLASSES.values()).items() if count > 1)


def _signs(model_type: str, architectures: Sequence[str]) -> Iterator[str]:
    """Full names that a release has when it implements the type: classes of it, its package."""
    for name in (CAUSAL_CLASSES.get(model_type), *architectures):
        if name is not None and name not in _SHARED and name.isidentifier():
            yield f"transformers.{name}"
    # The part of a model that reads text is in the package of the whole.
    module = model_type.replace("-", "_").removesuffix("_text")
    if module.isidentifier():
        yield f"transformers.models.{module}"


def presence(
    model_type: str | None, version: Version, architectures: Sequence[str] = ()
) -> Presence:
    """Whether transformers `version` implements `model_type`.

    `unknown` before the oldest indexed release and after the newest; a type that no release has is
    in none of them.
    """
    known = versions()
    release = Version(version.base_version)
    symbols = shipped_symbols(release)
    if symbols is None or release > known[-1]:
        return "unknown"
    if model_type is None:
        return "no"
    return "yes" if any(map(symbols.has, _signs(model_type, architectures))) else "no"


def absence(
    model_type: str, architectures: Sequence[str], version: Version
) -> tuple[str, Lifetime] | None:
    """What a `version` without the type lacks that other releases have, and since and until when.

    None where the version has it, or no release does.
    """
    if presence(model_type, version, architectures) != "no":
        return None
    for sign in _signs(model_type, architectures):
        life = lifetime(sign, Version(version.base_version))
        if life is not None and (life.since or life.until):
            return sign, life
    return None
