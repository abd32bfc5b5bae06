"""`python -m tests.clients`: real clients and servers with our gateway between them, as tables.

Exit 1 when a row falls short; the logs are kept then, and their folder is told.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fnmatch
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from tests.clients.chatchat_export import run_exported
from tests.clients.chatchat_run import run_chatchat
from tests.clients.chatchat_server import VERSIONS
from tests.clients.processes import NotStarted
from tests.clients.sdk_run import run_langchain, run_sdk
from tests.clients.table import Table
from tests.clients.xinference_run import run_xinference, run_xinference_keys

Part = Callable[[Path, Sequence[str]], Awaitable[Sequence[Table]]]
PARTS: Mapping[str, Part] = {
    "openai": run_sdk,
    "langchain-openai": run_langchain,
    **{f"chatchat-{version}": partial(run_chatchat, version) for version in VERSIONS},
    **{f"chatchat-{version}-export": partial(run_exported, version) for version in VERSIONS},
    "xinference": run_xinference,
    "xinference-keys": run_xinference_keys,
}
LIMIT_SECONDS = 1200.0  # for each part


async def run(names: Sequence[str], rows: Sequence[str], folder: Path) -> list[str]:
    """Run these parts, print their tables, and return a line for all that falls short."""
    short: list[str] = []
    for name in names:
        started_at = time.monotonic()
        home = folder / name
        home.mkdir()
        try:
            async with asyncio.timeout(LIMIT_SECONDS):
                tables = await PARTS[name](home, rows)
        except NotStarted as error:
            short.append(f"{name}: {error}")
            continue
        except TimeoutError:
            short.append(f"{name}: not done after {LIMIT_SECONDS:g} s")
            continue
        for table in tables:
            print(f"{table.as_text()}\n", flush=True)
            short += table.short
        print(f"{name}: {time.monotonic() - started_at:.0f} s", file=sys.stderr, flush=True)
    return short


async def run_until_told(names: Sequence[str], rows: Sequence[str], folder: Path) -> list[str]:
    """The same, ended in order by SIGTERM as by Ctrl-C: what was started ends as well."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await run(names, rows, folder)


def main() -> int:
    """Print the tables; 1 when a row falls short, 130 after an interrupt."""
    parser = argparse.ArgumentParser(prog="python -m tests.clients", description=__doc__)
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="PART",
        help=f"a part, as a shell pattern; may be repeated: {', '.join(PARTS)}",
    )
    parser.add_argument(
        "--rows",
        action="append",
        default=[],
        metavar="TEXT",
        help="only rows whose name holds it; may be repeated",
    )
    parser.add_argument("--list", action="store_true", help="print the parts")
    parser.add_argument("--keep", action="store_true", help="keep the logs of a good run too")
    arguments = parser.parse_args()
    names = [
        name
        for name in PARTS
        if not arguments.only or any(fnmatch.fnmatch(name, each) for each in arguments.only)
    ]
    if arguments.list:
        print(*names, sep="\n")
        return 0
    if not names:
        parser.error(f"no part fits {arguments.only}; there are {', '.join(PARTS)}")
    folder = Path(tempfile.mkdtemp(prefix="trueup-clients-"))
    try:
        short = asyncio.run(run_until_told(names, arguments.rows, folder))
    except (KeyboardInterrupt, asyncio.CancelledError):
        print(f"interrupted; the logs are in {folder}", file=sys.stderr)
        return 130
    for line in short:
        print(line, file=sys.stderr)
    if short or arguments.keep:
        print(f"{len(short)} fell short; the logs are in {folder}", file=sys.stderr)
    else:
        with contextlib.suppress(OSError):
            shutil.rmtree(folder)
    return int(bool(short))


if __name__ == "__main__":
    sys.exit(main())
