"""`python -m tests.clients.checking CHECKS`: runs the checks of a client library where it is.

It runs in the library's own environment, where nothing of ours is installed, and keeps the fault
server. It prints where that is, for the gateway that another process puts before it; reads where
the gateway is; prints what came of the checks. Each of these is one line of JSON.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
from importlib import metadata
from typing import Any

from tests.clients.check import Checks, Place, run_checks
from tests.faults.server import FaultServer


async def check(module: str, package: str) -> None:
    """Run the checks of a module, which are about a package."""
    checks: Checks = importlib.import_module(module).CHECKS
    title = f"{package} {metadata.version(package)}"
    async with FaultServer().listening() as server:
        _say({"url": server.url, "backends": sorted(checks.backends)})
        asked = json.loads(await asyncio.to_thread(sys.stdin.readline))
        place = Place(asked["url"], asked["key"], server)
        table = await run_checks(title, checks, place, asked["only"])
    rows = [
        [name, [(cell.verdict, cell.reason, sorted(cell.due)) for cell in cells]]
        for name, cells in table.rows
    ]
    _say({"title": table.title, "columns": list(table.columns), "rows": rows})


def _say(shape: dict[str, Any]) -> None:
    print(json.dumps(shape), flush=True)


if __name__ == "__main__":
    asyncio.run(check(*sys.argv[1:]))
