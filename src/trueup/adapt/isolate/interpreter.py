"""How another Python runs TrueUp's modules: that package alone is lent to it, nothing else of ours.

What a worker imports and that environment lacks is lent from ours where it is Python and nothing
but Python, behind everything that the environment has itself.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from trueup.errors import AdaptError

PACKAGES, LENT = "packages", "lent"
# What serves a worker's HTTP, none of it compiled.
PURE = ("uvicorn", "h11", "click")
START = "trueup.adapt.isolate.start"
# Variables that would let something of ours, or of the user's home, be imported there.
OURS = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """`argv` is to be followed by a module's name and its arguments."""

    argv: tuple[str, ...]
    variables: Mapping[str, str]

    def environment(self, environment: Mapping[str, str]) -> dict[str, str]:
        """`environment` for that Python."""
        kept = {name: value for name, value in environment.items() if name not in OURS}
        return {**kept, **self.variables}


def command(python: Path, folder: Path) -> Command:
    """Run `python -m MODULE` of this package with `python`; `folder` gets links and must stay.

    Several may share a folder.

    Raises: AdaptError where the folder cannot be written.
    """
    packages, lent = folder / PACKAGES, folder / LENT
    try:
        for place in (packages, lent):
            place.mkdir(parents=True, exist_ok=True)
        _link(Path(__file__).resolve().parents[2], packages / "trueup")
        _link(Path(__file__).resolve().with_name("json_instead.py"), lent / "orjson.py")
        for name in PURE:
            found = importlib.util.find_spec(name)
            if found is not None and found.submodule_search_locations:
                _link(Path(found.submodule_search_locations[0]), lent / name)
    except OSError as error:
        raise AdaptError(
            f"TrueUp cannot be lent to another Python: {error.strerror or error}",
            where=str(folder),
        ) from error
    return Command(
        # -P: not the folder that it starts in, a worker's own.
        argv=(str(python), "-P", "-m", START, str(lent)),
        variables={"PYTHONPATH": str(packages), "PYTHONNOUSERSITE": "1"},
    )


def _link(source: Path, target: Path) -> None:
    if target.is_symlink() and target.readlink() == source:
        return
    target.symlink_to(source)
