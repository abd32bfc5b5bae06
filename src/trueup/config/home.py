"""Where TrueUp keeps what outlives a process."""

from __future__ import annotations

import os
from pathlib import Path


def trueup_home() -> Path:
    """The folder of caches, crash reports and sockets: `TRUEUP_HOME`, else `~/.trueup`.

    It is not created here.
    """
    named = os.environ.get("TRUEUP_HOME")
    return Path(named).expanduser() if named else Path.home() / ".trueup"
