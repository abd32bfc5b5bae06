"""Clients that leave, and how long the request behind a gateway lives on."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from tests.faults.case import Case
from tests.faults.cases import CASES
from tests.faults.raw import request_bytes
from tests.faults.server import FaultServer

LONGEST_SECONDS = 0.1
# Each stays silent after something else; the client waits for as much before it leaves.
WAITS: dict[str, bytes] = {
    "stall-before-headers:always:stream": b"",
    "stall-after-headers:always:stream": b"",
    "stall-before-headers:always:plain": b"",
    "stall-after-1:always:plain": b"",
    "stall-after-3:always:stream": b"TrueUp",
    "slow-trickle:always:stream": b"TrueUp",
}
PATIENCE_SECONDS = 30.0
_keys = itertools.count(1)


@dataclass(frozen=True)
class Cancelled:
    """How long after its client a request ended; None where it did not."""

    case: str
    seconds: float | None

    @property
    def is_right(self) -> bool:
        return self.seconds is not None and self.seconds <= LONGEST_SECONDS


async def cancel(case: Case, url: str, model: str, server: FaultServer, until: bytes) -> Cancelled:
    """Ask through a gateway, leave, and see when the fault server loses the request."""
    key = f"#cancel-{next(_keys)}"
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    messages = [{"role": "user", "content": f"{case.marker}{key} Say the sentence."}]
    shape = {"model": model, "stream": case.is_stream, "messages": messages}
    writer.write(request_bytes(url, case.fault.path, shape))
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            if until:
                await reader.readuntil(until)
            received = await server.seen(lambda each: key in each.fault)
            writer.close()
            left_at = loop.time()
            ended_at = await server.ended(received)
    except (TimeoutError, asyncio.IncompleteReadError):
        writer.close()
        return Cancelled(case.name, None)
    return Cancelled(case.name, max(0.0, ended_at - left_at))


async def cancel_all(
    url: str, named: Callable[[Case], str], server: FaultServer
) -> Sequence[Cancelled]:
    """Every way to leave, one after the other."""
    cases = {case.name: case for case in CASES}
    return [
        await cancel(cases[name], url, named(cases[name]), server, until)
        for name, until in WAITS.items()
    ]
