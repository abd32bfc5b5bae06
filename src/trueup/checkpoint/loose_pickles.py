"""Pickles of a model directory that are no weight files: attacks wait in those too.

Only what no honest program would have written is a Problem: settings, classes and arrays are not.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from trueup.checkpoint.checkpoint import Problem
from trueup.checkpoint.pickle_words import attacks, described
from trueup.checkpoint.pickles import PickleError, read_pickle_header

SUFFIXES = (".pkl", ".pickle", ".joblib", ".dill", ".bin", ".pt", ".pth", ".ckpt")
FILE_LIMIT = 50
SHOWN = 4


def loose_pickle_problems(
    directory: Path, files: Collection[str], weight_files: Collection[str]
) -> tuple[Problem, ...]:
    """One Problem for each pickle beside the weights that runs code when it is loaded."""
    names = [name for name in sorted(files) if name.endswith(SUFFIXES)]
    found = []
    for name in [name for name in names if name not in weight_files][:FILE_LIMIT]:
        bad = attacks(_globals(directory / name))
        if bad:
            more = f" and {len(bad) - SHOWN} more" if len(bad) > SHOWN else ""
            detail = f"loading it would run {', '.join(described(bad[:SHOWN]))}{more}"
            found.append(Problem(kind="loose_pickle", path=name, detail=detail))
    return tuple(found)


def _globals(path: Path) -> tuple[str, ...]:
    """What the file names; nothing where it is no pickle, which is somebody else's matter."""
    try:
        if not path.is_file():  # a pipe would be waited for
            return ()
        with path.open("rb") as file:
            return read_pickle_header(file, path.name).unsafe
    except (PickleError, OSError):
        return ()
