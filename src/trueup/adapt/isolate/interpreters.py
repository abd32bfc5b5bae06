"""The Python interpreters that an environment can be built for: the running one, those on PATH.

None of them is started before its minor version is wanted: shims of version managers are slow, and
some are there for versions that are not.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from trueup.errors import UsageError

# What our worker is written for. Of newer ones nothing is known.
MINORS = ("3.11", "3.12", "3.13", "3.14")
ASK_SECONDS = 20
ASK_PROGRAM = (
    "import platform, sys; print(platform.python_version(), platform.python_implementation(), "
    "sys.executable, sep='\\n')"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """A Python that environments can be built on; `version` is whole, as `3.11.7`."""

    path: Path
    version: str

    @property
    def minor(self) -> str:
        """The minor version, as `3.11`."""
        return minor_of(self.version)


def minor_of(version: str) -> str:
    """The minor version of a whole one."""
    return ".".join(version.split(".")[:2])


def running() -> Interpreter:
    """The interpreter that runs this."""
    return Interpreter(path=Path(sys.executable), version=platform.python_version())


def on_path(minor: str) -> Interpreter | None:
    """The first `python<minor>` on PATH that runs and is one."""
    name = f"python{minor}"
    for folder in os.get_exec_path():
        found = shutil.which(name, path=folder)
        interpreter = None if found is None else ask(Path(found))
        if interpreter is not None and interpreter.minor == minor:
            return interpreter
    return None


def interpreter_at(path: Path) -> Interpreter:
    """The interpreter that a user names. Raises: UsageError where it is none, or too old."""
    interpreter = ask(path)
    if interpreter is None:
        raise UsageError(
            f"`{path}` does not run as a Python interpreter",
            where="--python",
            hint="give the path of a `python3.11` or newer",
        )
    if interpreter.minor not in MINORS:
        raise UsageError(
            f"`{path}` is Python {interpreter.version}: expected one of {', '.join(MINORS)}",
            where="--python",
        )
    return interpreter


def ask(path: Path) -> Interpreter | None:
    """What a program says of itself; None where it does not answer as CPython does."""
    try:
        answer = subprocess.run(
            [path, "-I", "-c", ASK_PROGRAM],
            capture_output=True,
            text=True,
            check=True,
            timeout=ASK_SECONDS,
            stdin=subprocess.DEVNULL,
        ).stdout.splitlines()
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    if len(answer) != 3 or answer[1] != "CPython" or not answer[0][:1].isdigit():
        return None
    return Interpreter(path=Path(answer[2]), version=answer[0])
