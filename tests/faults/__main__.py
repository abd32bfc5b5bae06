"""`python -m tests.faults`: every case, asked without a gateway and through gateways, as a table.

Exit 1 when a case through a gateway did not end as it must.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fnmatch
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

from tests.faults.case import EITHER, Case
from tests.faults.cases import CASES
from tests.faults.judge import CLIENTS, Target
from tests.faults.server import FaultServer
from tests.faults.table import Column, judge_all, table_json, table_text

AT_ONCE = 8
# Without a gateway a stall ends when the judge loses patience: longer says nothing more.
PATIENCE_SECONDS = 4.0


def closed_url() -> str:
    """A URL where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}/v1"


def chosen(patterns: Sequence[str]) -> list[Case]:
    """The cases whose name, fault or family fits one of the patterns; all without any."""
    return [
        case
        for case in CASES
        if not patterns
        or any(
            fnmatch.fnmatch(name, pattern)
            for pattern in patterns
            for name in (case.name, case.fault.name, case.fault.family)
        )
    ]


async def without_gateway(
    cases: Sequence[Case], server: FaultServer, arguments: argparse.Namespace
) -> Column:
    """The column of clients that ask the fault server themselves."""
    open_target = Target(server.url, limit_seconds=PATIENCE_SECONDS)
    closed_target = replace(open_target, url=closed_url())
    outcomes = await judge_all(
        cases,
        lambda case: closed_target if case.fault.is_unplayed else open_target,
        lambda case: EITHER,
        at_once=arguments.at_once * 4,
        clients=arguments.clients,
    )
    return Column("no gateway", outcomes, is_held=False)


async def at_url(cases: Sequence[Case], arguments: argparse.Namespace) -> Column:
    """The column of a gateway that somebody else runs in front of a fault server."""
    target = Target(
        arguments.url,
        model=arguments.model,
        name="url",
        api_key=arguments.api_key,
        limit_seconds=arguments.limit_seconds,
    )
    outcomes = await judge_all(
        [case for case in cases if not case.fault.is_unplayed],
        lambda case: target,
        lambda case: case.fault.holds if arguments.second else case.alone,
        at_once=arguments.at_once,
        clients=arguments.clients,
    )
    return Column(arguments.url, outcomes, is_held=True)


async def run(arguments: argparse.Namespace) -> list[Column]:
    """Judge what was asked for."""
    cases = chosen(arguments.only)
    if arguments.url:
        return [await at_url(cases, arguments)]
    columns = []
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(FaultServer().listening())
        columns.append(await without_gateway(cases, server, arguments))
    return columns


def main() -> int:
    """Print the table; 1 when a case did not end as it must."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="PATTERN",
        help="cases, faults or families, as a shell pattern; may be repeated",
    )
    parser.add_argument("--clients", nargs="+", choices=CLIENTS, default=CLIENTS)
    parser.add_argument("--at-once", type=int, default=AT_ONCE, metavar="N")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--list", action="store_true", help="print the cases and what is due")
    parser.add_argument("--url", help="judge this gateway (…/v1) in front of a fault server")
    parser.add_argument("--model", default="test", help="what its model is called there")
    parser.add_argument("--api-key", default="EMPTY")
    parser.add_argument("--second", action="store_true", help="a healthy server stands behind it")
    parser.add_argument("--limit-seconds", type=float, default=30.0, metavar="S")
    arguments = parser.parse_args()
    if arguments.list:
        for case in chosen(arguments.only):
            print(f"{case.name}\t{' or '.join(sorted(case.alone))}\t{case.why}")
        return 0
    started = time.monotonic()
    columns = asyncio.run(run(arguments))
    print((table_json if arguments.json else table_text)(columns))
    print(f"{time.monotonic() - started:.0f} s", file=sys.stderr)
    return int(any(column.wrong for column in columns))


if __name__ == "__main__":
    sys.exit(main())
