"""Clients that leave end their requests at the server behind a listening gateway: by order alone.

No limit of the gateway is near: nothing but the leaving can end such a request.
"""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import pytest

from tests.faults.cancelling import WAITS
from tests.faults.cases import CASES
from tests.faults.gateways import alone_name, configuration
from tests.faults.in_process import gateway_of
from tests.faults.ports import closed_url
from tests.faults.raw import request_bytes
from tests.faults.server import FaultServer

FAR = dict.fromkeys(
    ("connect_seconds", "first_token_seconds", "between_tokens_seconds", "total_seconds"), 3600.0
)


@pytest.mark.parametrize("name", [name for name in WAITS if name.startswith("stall")])
async def test_a_client_that_leaves_ends_its_request_at_the_server(name: str) -> None:
    case = next(each for each in CASES if each.name == name)
    async with FaultServer(slow_seconds=0.02).listening() as server:
        shape = configuration(
            [case], faulty=server.url, healthy=server.url, closed=closed_url(), limits=FAR
        )
        async with gateway_of(shape) as url:
            parts = urlsplit(url)
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
            messages = [{"role": "user", "content": f"{case.marker}#left Say the sentence."}]
            body = {"model": alone_name(case), "stream": case.is_stream, "messages": messages}
            writer.write(request_bytes(url, case.fault.path, body))
            if WAITS[name]:
                await reader.readuntil(WAITS[name])
            received = await server.seen(lambda each: "#left" in each.fault)
            assert received.ended_at is None
            writer.close()
            await server.ended(received)
            assert received.left_at is not None  # it did not end by itself
            assert len(server.of("#left")) == 1  # and nobody asked it again
