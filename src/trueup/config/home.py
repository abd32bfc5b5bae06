"""Where TrueUp keeps what outlives a process."""

from __future__ import annotations

import os
from pathlib import Path

from trueup.errors import ConfigError


def trueup_home() -> Path:
    """The absolute folder of caches, crash reports and sockets: `TRUEUP_HOME`, else `~/.trueup`.

    It is not created here. Empty means unset.

    Raises: ConfigError when the home of a user cannot be found.
    """
    try:
        return Path(os.environ.get("TRUEUP_HOME") or "~/.trueup").expanduser().absolute()
    except (RuntimeError, OSError) as error:
        raise ConfigError(
            f"the folder cannot be found: {error}",
            where="TRUEUP_HOME",
            hint="set TRUEUP_HOME to an absolute path",
        ) from error
