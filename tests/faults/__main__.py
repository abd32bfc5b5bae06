"""`python -m tests.faults`: every case, asked without a gateway and through gateways, as a table.

Exit 1 when a case through a gateway did not end as it must.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fnmatch
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from tests.faults.cancelling import cancel_all
from tests.faults.case import EITHER, Case, Verdict
from tests.faults.cases import CASES
from tests.faults.gateways import alone_name, configuration, running_gateway, second_name
from tests.faults.judge import CLIENTS, Target
from tests.faults.ports import closed_url
from tests.faults.server import FaultServer
from tests.faults.table import Column, judge_all, table_json, table_text

AT_ONCE = 16
# Without a gateway a stall ends when the judge loses patience: longer says nothing more.
PATIENCE_SECONDS = 4.0
MOST_LOG_CHARACTERS = 20_000


Due = Callable[[Case], frozenset[Verdict]]


class Naming(Protocol):
    """How a gateway's model for a case is called."""

    def __call__(self, case: Case, *, is_shared: bool) -> str: ...


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
        at_once=arguments.at_once * 2,
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


async def through_ours(
    cases: Sequence[Case], server: FaultServer, arguments: argparse.Namespace
) -> list[Column]:
    """The columns of our gateway: with the faulty server alone, and with a healthy second one."""
    is_shared = arguments.shared
    if is_shared:  # one backend is neither two places nor configured in two ways
        cases = [each for each in cases if not (each.fault.is_unplayed or each.fault.backend)]
    async with contextlib.AsyncExitStack() as stack:
        healthy = await stack.enter_async_context(FaultServer(is_healthy=True).listening())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="trueup-faults-")))
        shape = configuration(
            cases,
            faulty=server.url,
            healthy=healthy.url,
            closed=closed_url(),
            is_shared=is_shared,
        )
        url = await stack.enter_async_context(running_gateway(shape, folder))
        base = Target(url, limit_seconds=arguments.limit_seconds)

        async def column(title: str, named: Naming, due: Due) -> Column:
            outcomes = await judge_all(
                cases,
                lambda case: replace(base, model=named(case, is_shared=is_shared), name=title),
                due,
                at_once=arguments.at_once,
                clients=arguments.clients,
            )
            return Column(f"TrueUp, {title}", outcomes, is_held=True)

        columns = [
            await column("alone", alone_name, lambda case: case.alone),
            await column("with-second", second_name, lambda case: case.fault.holds),
        ]
        arguments.cancelled = (
            []
            if arguments.only or is_shared
            else await cancel_all(url, lambda case: alone_name(case), server)
        )
        log = (folder / "gateway.log").read_text(encoding="utf-8")
        bugs = [line for line in log.splitlines() if " POST /v1/" not in line]
        if any(line.startswith("bug in ") for line in bugs):
            sys.stderr.write("\n".join(bugs)[-MOST_LOG_CHARACTERS:] + "\n")
    return columns


async def run(arguments: argparse.Namespace) -> list[Column]:
    """Judge what was asked for."""
    cases = chosen(arguments.only)
    if arguments.url:
        return [await at_url(cases, arguments)]
    columns = []
    async with FaultServer().listening() as server:
        if not arguments.no_bare:
            columns.append(await without_gateway(cases, server, arguments))
        columns += await through_ours(cases, server, arguments)
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
    parser.add_argument(
        "--shared", action="store_true", help="all cases through one backend of our gateway"
    )
    parser.add_argument(
        "--no-bare", action="store_true", help="leave out what happens without a gateway"
    )
    parser.add_argument("--url", help="judge this gateway (…/v1) in front of a fault server")
    parser.add_argument("--model", default="test", help="what its model is called there")
    parser.add_argument("--api-key", default="EMPTY")
    parser.add_argument("--second", action="store_true", help="a healthy server stands behind it")
    parser.add_argument("--limit-seconds", type=float, default=30.0, metavar="S")
    arguments = parser.parse_args(namespace=argparse.Namespace(cancelled=[]))
    if arguments.list:
        for case in chosen(arguments.only):
            print(f"{case.name}\t{' or '.join(sorted(case.alone))}\t{case.why}")
        return 0
    started = time.monotonic()
    columns = asyncio.run(run(arguments))
    print((table_json if arguments.json else table_text)(columns))
    for each in arguments.cancelled:
        told = "goes on" if each.seconds is None else f"{each.seconds * 1000:.0f} ms"
        print(f"the client of {each.case} leaves: {told} until its request ends", file=sys.stderr)
    print(f"{time.monotonic() - started:.0f} s", file=sys.stderr)
    is_right = all(each.is_right for each in arguments.cancelled)
    return int(not is_right or any(column.wrong for column in columns))


if __name__ == "__main__":
    sys.exit(main())
