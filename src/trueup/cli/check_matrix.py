"""`trueup check --matrix`: models against releases of transformers, from the index alone."""

from __future__ import annotations

import contextlib
import functools
import gc
import json
import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from packaging.version import InvalidVersion, Version

from trueup.doctor.time_limit import CHECK_SECONDS, time_limit
from trueup.errors import ConfigError, TrueUpError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from trueup.doctor.matrix import Row
    from trueup.environment.environment import Environment

# So many releases are shown where none is named.
SHOWN = 15
OBJECTS_BETWEEN_COLLECTIONS = 50_000
# Fewer are done before a process more would be ready.
MODELS_OF_A_PROCESS = 3
GRACE_SECONDS = 30.0
SCHEMA_VERSION = 1


def run(
    models: Sequence[str],
    *,
    wanted: str | None,
    python: Path | None,
    output: str,
    seconds: float = CHECK_SECONDS,
) -> int:
    """Print the table; 0 where every model should work on some release, else 1.

    A model may take so many seconds. One that cannot be read is a row that says so.
    """
    from trueup.environment.packages import read_environment

    environment = read_environment(python)
    chosen = _chosen(wanted, environment.transformers)
    rows = _rows(models, environment, chosen, seconds)
    report: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "kind": "matrix",
        "versions": [str(version) for version in chosen],
        "models": [row.as_dict() for row in rows],
    }
    if output == "json":
        print(json.dumps(report, indent=2, ensure_ascii=False))
    else:
        from trueup.doctor.render.matrix_text import matrix_lines
        from trueup.doctor.render.text import print_lines

        print_lines(matrix_lines(report))
    return int(any(row.oldest is None for row in rows))


def _rows(
    models: Sequence[str], environment: Environment, chosen: Sequence[Version], seconds: float
) -> list[Row]:
    """The rows in the models' order; many of them in as many processes as there are cores."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    processes = min(cores or 1, len(models) // MODELS_OF_A_PROCESS)
    if processes < 2:
        with _rare_collections():
            return [_row(model, environment, chosen, seconds) for model in models]
    row = functools.partial(_row, environment=environment, chosen=chosen, seconds=seconds)
    with multiprocessing.get_context("spawn").Pool(processes, initializer=_prepare) as pool:
        coming = pool.imap(row, models)
        # A process that somebody ends takes its row with it, and nobody would wait for less.
        return [coming.next(timeout=(seconds + GRACE_SECONDS) * len(models)) for _ in models]


def _prepare() -> None:
    """Of a process for rows: on Ctrl-C the first process ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS, *gc.get_threshold()[1:])


@contextlib.contextmanager
def _rare_collections() -> Iterator[None]:
    """Look for garbage seldom.

    Walks keep most of their many objects, and a fifth of the time went into looking at them again.
    """
    before = gc.get_threshold()
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _row(model: str, environment: Environment, chosen: Sequence[Version], seconds: float) -> Row:
    from trueup.checkpoint.files import read_checkpoint
    from trueup.checkpoint.source import resolve
    from trueup.doctor.matrix import Row, row_of

    try:
        with time_limit(seconds, model):
            return row_of(model, read_checkpoint(resolve(model)), environment, chosen)
    except UsageError:
        raise
    except TrueUpError as error:
        return Row(model=model, error=error)


def works_of(model: str, revision: str | None, python: Path | None) -> dict[str, str | None]:
    """The oldest and the newest release that should work, for the report of one model."""
    from trueup.checkpoint.files import read_checkpoint
    from trueup.checkpoint.source import resolve
    from trueup.doctor.matrix import works
    from trueup.environment.packages import read_environment
    from trueup.environment.symbols.symbols import versions

    if not versions():
        raise _no_index()
    checkpoint = read_checkpoint(resolve(model, revision=revision))
    return works(checkpoint, read_environment(python))


def _no_index() -> ConfigError:
    from trueup.doctor.rules.environment import NO_INDEX

    return ConfigError(f"this TrueUp {NO_INDEX}", hint="pip install --force-reinstall trueup")


def _chosen(wanted: str | None, installed: Version | None) -> list[Version]:
    from trueup.doctor.matrix import spread
    from trueup.environment.symbols.symbols import versions

    known = versions()
    if not known:
        raise _no_index()
    if wanted is None:
        return spread(known, installed, SHOWN)
    chosen = []
    for text in wanted.split(","):
        try:
            version = Version(text.strip())
        except InvalidVersion:
            raise UsageError(
                f"`{text.strip()[:40]}` is not a version",
                where="--versions",
                hint="name releases like `--versions 4.41.2,4.57.6,5.23.0`",
            ) from None
        if version < known[0]:
            raise UsageError(
                f"`{version}` is older than {known[0]}, the oldest release that is known",
                where="--versions",
            )
        chosen.append(version)
    return sorted(set(chosen))
