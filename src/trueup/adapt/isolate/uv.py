"""uv, which resolves and installs: where it is, and what its failures mean.

The only file that starts it. It is found beside the running interpreter, then on PATH; its own
settings (an index, a proxy, its cache) hold as they do when it is run by hand; where it has no
index of its own it takes pip's.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

from trueup.adapt.isolate.half_built import HALF
from trueup.adapt.isolate.pip_settings import index_variables
from trueup.errors import AdaptError

INSTALL = "pip install 'trueup[isolated]'"
# No environment or project that is active where the user stands may be taken for the target.
IGNORED = ("VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH", "PYTHONHOME", "UV_PROJECT", "UV_PYTHON")
SHOWN_CHARACTERS = 900
TOLD = ("Downloading ", "Downloaded ", "Building ", "Built ")
NO_ROOM = re.compile(r"No space left on device|os error 28\b|[Qq]uota exceeded|os error 122\b")
NO_NETWORK = re.compile(
    r"Failed to fetch|error sending request|client error \(Connect\)|dns error|"
    r"network connectivity is disabled|operation timed out",
)
NO_WHEEL = re.compile(
    r"was not found in the|no usable wheels|has no wheels|Wheels are required|"
    r"there (?:is|are) no versions? of|no wheels with a matching",
)
NO_VERSION = re.compile(r"there (?:is|are) no versions? of")
CONFLICT, OTHER_FILE = "No solution found", "Hash mismatch"


def find_uv() -> Path:
    """The program. Raises: AdaptError where there is none."""
    beside = Path(sys.executable).with_name("uv")
    if beside.is_file() and os.access(beside, os.X_OK):
        return beside
    found = shutil.which("uv")
    if found is None:
        raise AdaptError(
            "environments are built by uv, which is neither beside the running interpreter nor on "
            "PATH",
            where=sys.executable,
            hint=INSTALL,
        )
    return Path(found)


def run_uv(
    arguments: Sequence[str],
    *,
    doing: str,
    tell: Callable[[str], None],
    lock_file: IO[str] | None = None,
    wheelhouse: Path | None = None,
) -> None:
    """Run it to its end; `tell` hears what it downloads and builds while it does.

    `doing` says in an error what was being done. `lock_file` stays open in it, so that its lock
    holds until it has ended too. With a `wheelhouse` nothing else is asked.

    Raises: AdaptError for whatever it could not do.
    """
    uv = find_uv()
    sources = [] if wheelhouse is None else ["--no-index", "--find-links", str(wheelhouse)]
    offline = [] if wheelhouse is None else ["--offline"]
    words = [str(uv), *arguments, *sources, *offline, "--no-progress", "--color", "never"]
    kept = {name: value for name, value in os.environ.items() if name not in IGNORED}
    if wheelhouse is None:
        kept |= index_variables(os.environ)
    try:
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=kept,
            cwd="/",
            pass_fds=() if lock_file is None else (lock_file.fileno(),),
        )
    except OSError as error:
        raise AdaptError(
            f"uv does not run: {error.strerror or error}", where=str(uv), hint=INSTALL
        ) from error
    with process:
        try:
            said = "".join(_heard(process.stderr, tell))
        except BaseException:
            process.kill()
            raise
    if process.returncode != 0:
        raise failure(doing, said, process.returncode, wheelhouse)


def _heard(lines: IO[str] | None, tell: Callable[[str], None]) -> Iterator[str]:
    for line in lines or ():
        if line.lstrip().startswith(TOLD):
            tell(line.strip())
        else:
            yield line


def failure(doing: str, said: str, status: int, wheelhouse: Path | None) -> AdaptError:
    """What an end of uv with a status other than 0 means, from what it said."""
    reason = _reason(said) or f"uv ended with status {status}"
    where = None if wheelhouse is None else str(wheelhouse)
    if NO_ROOM.search(said):
        return AdaptError(
            f"{doing}: no room is left on the disk",
            where=_full_folder(said),
            hint="make room, or set TRUEUP_HOME and UV_CACHE_DIR to a larger disk",
        )
    if wheelhouse is not None and (CONFLICT in said or NO_WHEEL.search(said)):
        return AdaptError(
            f"{doing}: the wheelhouse does not have what is needed: {reason}",
            where=where,
            hint="fill it where there is a network, with all that the environment's lock.txt "
            "names: docs/environments.md says how",
        )
    if NO_NETWORK.search(said):
        return AdaptError(
            f"{doing}: the package index cannot be reached: {reason}",
            where="the index that uv uses (UV_DEFAULT_INDEX)",
            hint="build from a folder of wheels: --wheelhouse DIR",
        )
    if OTHER_FILE in said:
        return AdaptError(
            f"{doing}: a file is not the one that was locked: {reason}",
            where=where,
            hint="where its index has it anew on purpose, lock anew: trueup env build --update",
        )
    if CONFLICT in said and NO_VERSION.search(said):
        return AdaptError(
            f"{doing}: the package index does not have what is needed: {reason}",
            hint="name another release: --transformers VERSION",
        )
    if CONFLICT in said and NO_WHEEL.search(said):
        return AdaptError(
            f"{doing}: some package has no wheel for this Python: {reason}",
            hint="name another interpreter: --python python3.11",
        )
    if CONFLICT in said:
        return AdaptError(
            f"{doing}: the packages ask for versions that exclude each other: {reason}",
            hint="name another release: --transformers VERSION",
        )
    return AdaptError(f"{doing}: {reason}", where=where)


def _reason(said: str) -> str:
    """Uv's own words on one line, without its words around them."""
    lines = [line.strip() for line in said.splitlines()]
    words = [
        re.sub(r"^(?:error|cause|×|╰─▶|├─▶|│|hint):?\s*", "", line)
        for line in lines
        if line and not line.startswith(("warning:", "Resolved", "Using ", "Prepared"))
    ]
    if len(words) > 1 and words[0].startswith(CONFLICT):  # that is what is told anyway
        words = words[1:]
    joined = " ".join(word for word in words if word)
    if len(joined) > SHOWN_CHARACTERS:
        return f"{joined[: SHOWN_CHARACTERS - 1]}…"
    return joined


def _full_folder(said: str) -> str | None:
    """The folder that uv names, without one that is deleted by the time this is read."""
    found = re.search(r"[`'\"](/[^`'\"]+)[`'\"]|(?:^|\s)(/[^\s:,]+)", said)
    return (found[1] or found[2]).partition(f"/{HALF}")[0] if found else None
