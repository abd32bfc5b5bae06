"""Where a picture goes: what can be told of it before anything is imported or computed."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from trueup.errors import ConfigError

TERMINAL = "terminal"
CHOICES = "`terminal`, a file `*.html` or a file `*.png`"


def check_place(destination: str | Path) -> str:
    """The kind of the picture, which can be written there.

    Raises: ConfigError where its suffix is none of ours, or the folder is missing or not writable.
    """
    kind = kind_of(destination)
    if kind != TERMINAL:
        _check_place(Path(destination))
    return kind


def kind_of(destination: str | Path) -> str:
    """`terminal`, `.html` or `.png`.

    Raises: ConfigError where it is none of these.
    """
    if str(destination) == TERMINAL:
        return TERMINAL
    suffix = Path(destination).suffix.lower()
    if suffix in (".html", ".png"):
        return suffix
    raise ConfigError(
        f"a chart cannot be drawn to `{destination}`: its name ends in no kind of picture",
        where=str(destination),
        hint=f"give {CHOICES}",
    )


def _check_place(path: Path) -> None:
    folder = path.parent
    if not folder.exists():
        raise ConfigError(
            f"there is no directory `{folder}` for the chart",
            where=str(path),
            hint=f"mkdir -p {shlex.quote(str(folder))}",
        )
    if not folder.is_dir():
        raise ConfigError(f"`{folder}` is no directory", where=str(path))
    if path.is_dir():
        raise ConfigError("a directory has the name of the chart", where=str(path))
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise ConfigError("the chart cannot be written there: no permission", where=str(path))
