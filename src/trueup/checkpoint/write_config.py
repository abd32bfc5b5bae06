"""Writes a rebuilt config.json. The old one is kept beside it; the new one is whole or absent."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trueup.checkpoint.source import DEMO, Source
from trueup.errors import CheckpointError

NAME = "config.json"
BACKUPS = 100


def refuse_borrowed(source: Source) -> None:
    """Raise CheckpointError for a directory that is not the user's own: a cache or the demo."""
    parents = source.directory.parents
    is_cache = len(parents) > 1 and parents[0].name == "snapshots" and "--" in parents[1].name
    if source.source == DEMO or is_cache or str(source.directory) != _real(source):
        raise CheckpointError(
            f"`{source.source}` is in a cache, where a config.json must not be changed",
            where=str(source.directory),
            hint=f"cp -rL {source.directory} ./model && trueup check ./model --write-config",
        )


def _real(source: Source) -> str:
    """The directory that the user named; equal to the source's own unless a hub id was meant."""
    path = Path(source.source).expanduser()
    return str(path.resolve()) if path.is_dir() else ""


def write_config(directory: Path, config: Mapping[str, Any]) -> Path | None:
    """Replace config.json at once; returns where the old one is kept, None where there was none.

    Raises: CheckpointError where that cannot be done; then nothing has changed.
    """
    path = directory / NAME
    text = json.dumps(config, indent=2, ensure_ascii=False) + "\n"
    half = directory / f".{NAME}.{os.getpid()}"
    try:
        backup = _keep(path)
        with half.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        half.replace(path)
    except OSError as error:
        half.unlink(missing_ok=True)
        raise CheckpointError(
            f"config.json cannot be written: {error.strerror or error}", where=str(path)
        ) from error
    return backup


def _keep(path: Path) -> Path | None:
    """Copy the old file under the first name that is free; nothing is overwritten."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    for number in range(BACKUPS):
        backup = path.with_name(f"{path.name}.bak{number or ''}")
        try:
            with backup.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        except FileExistsError:
            continue
        return backup
    raise OSError(None, f"{BACKUPS} copies of it, `{path.name}.bak` and on, are there already")
