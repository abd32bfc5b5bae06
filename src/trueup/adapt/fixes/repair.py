"""Carries fixes out: on texts, and on the folder that one process loads a model's code from."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from packaging.version import Version

from trueup.adapt.fixes.choice import fixes_of
from trueup.adapt.fixes.fix import FixFacts
from trueup.adapt.fixes.source import Sources
from trueup.checkpoint.checkpoint import Checkpoint
from trueup.doctor.code import ModelCode
from trueup.errors import AdaptError


def repaired_texts(
    titles: Sequence[str], checkpoint: Checkpoint, transformers: Version
) -> dict[str, str]:
    """The files of the model's code by their paths, with the fixes carried out.

    Raises: AdaptError for a fix that this TrueUp does not have, or that does not fit the code.
    """
    try:
        fixes = fixes_of(titles)
    except LookupError as error:
        raise AdaptError(
            f"this release of TrueUp has no fix {error.args[0]}",
            hint=f"trueup plan {shlex.quote(checkpoint.source)}",
        ) from error
    sources = Sources({path: each.source for path, each in checkpoint.remote_code.items()})
    facts = FixFacts(checkpoint, ModelCode(checkpoint), transformers)
    for fix in fixes:
        fix.apply(sources, facts)
    return sources.texts


def repair_folder(
    titles: Sequence[str], checkpoint: Checkpoint, transformers: Version, folder: Path
) -> None:
    """Put the repaired files in the place of links to the agreed copy.

    Raises: AdaptError as `repaired_texts`, or where a file cannot be written.
    """
    for path, text in repaired_texts(titles, checkpoint, transformers).items():
        if text == checkpoint.remote_code[path].source:
            continue
        place = folder / path
        try:
            place.unlink(missing_ok=True)  # a link: what it leads to stays
            place.write_text(text, encoding="utf-8")
        except OSError as error:
            raise AdaptError(
                f"the repaired code cannot be written: {error.strerror or error}", where=str(place)
            ) from error
