"""Where a proof works and what it leaves: looked at before the work, and nothing lost after it."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trueup.adapt.plan import LOADED
from trueup.adapt.proof_record import Subject, folder, path_of, read_record, write_record
from trueup.errors import ConfigError
from trueup.pool.directory import PoolDirectory

PREFIX = "trueup-verify-"
FULL = (errno.ENOSPC, errno.EDQUOT)
# More than a record has.
TRIAL_BYTES = 256 * 1024
HOME_HINT = "set TRUEUP_HOME to a folder that you may write in"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Which record holds now, None for none; `note` says why it is an older one.

    `fault` is why the new one could not be kept.
    """

    record: Path | None = None
    note: str | None = None
    fault: ConfigError | None = None


@contextlib.contextmanager
def working_folder() -> Iterator[Path]:
    """A folder for the answers of both sides; those that a killed process left are removed.

    Raises: ConfigError where none can be made.
    """
    try:
        directory = PoolDirectory(PREFIX, Path(tempfile.gettempdir()))
    except OSError as error:
        raise ConfigError(
            f"no temporary folder can be made: {error.strerror or error}",
            where="TMPDIR",
            hint="set TMPDIR to a folder that you may write in, with room for the answers",
        ) from error
    try:
        yield directory.path
    finally:
        directory.remove()


def check_room(path: Path, what: str, hint: str | None = None) -> None:
    """See that a file of that name could be written; nothing is left behind.

    Raises: ConfigError with what speaks against it, and `hint` where no disk is full.
    """
    trial = path.with_name(f"{path.name}.trial-{os.getpid()}")
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        try:
            trial.write_bytes(bytes(TRIAL_BYTES))
        finally:
            with contextlib.suppress(OSError):
                trial.unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(error, path, what, hint) from error


def unwritable(error: OSError, path: Path, what: str, hint: str | None = None) -> ConfigError:
    """The error for a file that cannot be written."""
    if error.errno in FULL:
        hint = f"make room on the disk of `{path.parent}`"
    return ConfigError(
        f"{what} cannot be written: {error.strerror or error}", where=str(path), hint=hint
    )


def check_records() -> None:
    """See that a record can be kept. Raises: ConfigError."""
    place = folder()
    try:
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise unwritable(error, place, "the folder of records", HOME_HINT) from error
    check_room(place / "record.json", "the record", HOME_HINT)


def keep(shape: Mapping[str, Any], subject: Subject) -> Kept:
    """Keep the record of a verdict, but for a proof that tried less than one that still holds."""
    path = path_of(subject)
    before = read_record(path)
    if before is not None and shape["verdict"] == "proven" and strength(shape) < strength(before):
        tried = before["tried"]
        how = "layer by layer" if tried["layer_by_layer"] else "whole"
        note = (
            f"kept is the record of {before['date']}, which tried more: {before['verdict']} up to "
            f"{tried['longest_tokens']} tokens, {how}"
        )
        return Kept(record=path, note=note)
    try:
        return Kept(record=write_record(shape, subject))
    except OSError as error:
        return Kept(fault=unwritable(error, path, "the record", HOME_HINT))


def strength(record: Mapping[str, Any]) -> tuple[bool, bool, int, int, bool]:
    """How much a record tried: the load, the whole, tokens, cases, and what lay in memory."""
    tried = record.get("tried") or {"layer_by_layer": True, "longest_tokens": 0}
    cases = record.get("figures", {}).get("float32", ())
    is_whole = not tried["layer_by_layer"]
    return (
        tried.get("extent") == LOADED,
        is_whole,
        tried["longest_tokens"],
        len(cases),
        "inspection" in record,
    )
