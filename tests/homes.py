"""A TRUEUP_HOME of a test's own that need not read the installed libraries anew."""

from __future__ import annotations

from pathlib import Path

from trueup.config.home import trueup_home

# What was read of a library, kept by path, size and time of change: several processes may share it.
FACTS = Path("cache") / "symbols"


def home_at(folder: Path) -> str:
    """An empty home, save for the facts of libraries, which are those of the present one."""
    shared = trueup_home() / FACTS
    shared.mkdir(parents=True, exist_ok=True)
    (folder / FACTS).parent.mkdir(parents=True)
    (folder / FACTS).symlink_to(shared)
    return str(folder)
