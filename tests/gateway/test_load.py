"""Many at once, and many one after the other: nothing is lost, and nothing is kept."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.faults.answer import Asked
from tests.faults.case import ALWAYS, ONCE, Case
from tests.faults.cases import CASES
from tests.faults.form import events_of
from tests.faults.gateways import HEALTHY, alone_name, configuration, second_name
from tests.faults.in_process import LIMITS
from tests.faults.judge import Target, judge_raw, request_of
from tests.faults.ports import closed_url
from tests.faults.raw import ask_raw, request_bytes
from tests.faults.steps import Pause, Stall
from tests.gateway.loaded_server import KEY, LoadedGateway, loaded_gateway
from tests.gateway.trickling_server import text_of

pytestmark = pytest.mark.slow

CHAT = "/v1/chat/completions"
HEADERS = {"Authorization": f"Bearer {KEY}"}
PATIENCE_SECONDS = 120.0

STREAMS = 500
# One each half second, the first at once: a minute.
PIECES = 121
FIRST_PIECES = 10
PAUSE_SECONDS = 0.5

REQUESTS = 10_000
COUNTED = 6_000
# Few enough for each to be met often: a new name or error has its series, which stay.
FAULTS = 100
AT_ONCE = 64
LEAVES = 0.15
IS_HEALTHY = 0.2
SEED = 4

# What texts that are kept as long as their streams, and the allocator's grain, come to.
GROWTH_BYTES = 8 * 2**20


@contextlib.asynccontextmanager
async def upstream(*arguments: str) -> AsyncIterator[str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *arguments), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield (await process.stdout.readline()).decode().strip()
    finally:
        process.terminate()
        await process.wait()


async def settled(gateway: LoadedGateway, before: Mapping[str, int]) -> dict[str, int]:
    """What is held once it is as before, or after all patience: idle connections are kept."""
    end = asyncio.get_running_loop().time() + PATIENCE_SECONDS / 4
    while True:
        held = await gateway.held()
        if counts(held) == counts(before) or asyncio.get_running_loop().time() > end:
            return held
        await asyncio.sleep(0.2)


def counts(held: Mapping[str, int]) -> dict[str, int]:
    """What has to be as before to the last one."""
    return {name: held[name] for name in held if name not in ("objects", "memory_bytes")}


async def open_streams(url: str) -> list[dict[str, Any]]:
    """What `GET /api/streams` lists."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(
        f"GET /api/streams HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        f"Authorization: Bearer {KEY}\r\nConnection: close\r\n\r\n".encode()
    )
    _, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    listed: list[dict[str, Any]] = json.loads(body)["streams"]
    return listed


async def all_have(url: str, pieces: int) -> None:
    """Wait until every stream is open and has had so many pieces."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            rows = await open_streams(url)
            if len(rows) == STREAMS and min(row["tokens"] for row in rows) >= pieces:
                return
            await asyncio.sleep(PAUSE_SECONDS / 2)


async def text_streamed(url: str, number: int, pieces: int) -> str:
    """The text of one whole stream."""
    shape = {
        "model": "m",
        "stream": True,
        "messages": [{"role": "user", "content": f"{number} {pieces}"}],
    }
    heard = await ask_raw(url, CHAT, shape, limit_seconds=PATIENCE_SECONDS, headers=HEADERS)
    assert (heard.status, heard.end) == (200, "ended"), heard
    *events, done = events_of(heard.body)
    assert done == "[DONE]"
    choices = [json.loads(event)["choices"][0] for event in events]
    assert [each["finish_reason"] for each in choices if each["finish_reason"]] == ["stop"]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


async def texts_streamed(url: str, pieces: int) -> list[str]:
    """The texts of as many streams at once as there are."""
    return await asyncio.gather(*(text_streamed(url, number, pieces) for number in range(STREAMS)))


async def test_five_hundred_streams_at_once_for_a_minute_are_all_whole_and_leave_nothing(
    tmp_path: Path,
) -> None:
    module = "tests.gateway.trickling_server"
    async with upstream(module, str(STREAMS), str(PAUSE_SECONDS)) as url:
        limits = {**LIMITS, "first_token_seconds": 60.0, "total_seconds": PATIENCE_SECONDS}
        row = {"url": url, "model": "m", "limits": {**limits, "between_tokens_seconds": 30.0}}
        shape = {"backends": {"m": row}, "roles": {}}
        async with loaded_gateway(shape, tmp_path) as gateway:
            first = await gateway.held()
            await texts_streamed(gateway.url, FIRST_PIECES)
            before = await settled(gateway, first)
            asking = asyncio.create_task(texts_streamed(gateway.url, PIECES))
            await all_have(gateway.url, FIRST_PIECES)
            early = await gateway.held()
            await all_have(gateway.url, PIECES - 10)
            late = await gateway.held()
            texts = await asking
            after = await settled(gateway, before)
    assert texts == [text_of(number, PIECES) for number in range(STREAMS)]
    assert early["leases"] == late["leases"] == STREAMS
    assert late["memory_bytes"] - early["memory_bytes"] < GROWTH_BYTES, (early, late)
    assert counts(after) == counts(before) == counts(first)
    assert after["objects"] - before["objects"] < STREAMS / 2, (before, after)


async def test_ten_thousand_requests_with_faults_and_leaving_clients_end_well_and_leave_nothing(
    tmp_path: Path,
) -> None:
    draw = random.Random(SEED)
    quick = [case for case in CASES if case.lasts in (ONCE, ALWAYS) and is_quick(case)]
    cases = draw.sample(quick, FAULTS)
    async with (
        upstream("tests.faults.server") as faulty,
        upstream("tests.faults.server", "--healthy") as healthy,
    ):
        shape = configuration(
            cases, faulty=faulty, healthy=healthy, closed=closed_url(), limits=LIMITS
        )
        async with loaded_gateway(shape, tmp_path) as gateway:
            soak = Soak(gateway.url, cases, draw)
            first = await gateway.held()
            await soak.run(REQUESTS - COUNTED)
            before = await settled(gateway, first)
            await soak.run(COUNTED)
            after = await settled(gateway, before)
    assert soak.broken == []
    assert soak.verdicts.total() == REQUESTS
    assert soak.verdicts["complete"] > REQUESTS / 2, soak.verdicts
    assert soak.verdicts["left"] > REQUESTS / 20, soak.verdicts
    assert counts(before) == counts(after) == counts(first)
    assert after["objects"] - before["objects"] < COUNTED, (before, after)
    assert after["memory_bytes"] - before["memory_bytes"] < GROWTH_BYTES, (before, after)


def is_quick(case: Case) -> bool:
    """Whether its fault is played without a pause."""
    play = case.fault.stream if case.is_stream else case.fault.plain
    shape = {"stream": case.is_stream, "messages": [], **case.fault.asks}
    steps = play(Asked(shape, case.fault.path)) if play else ()
    return not any(isinstance(step, Pause | Stall) for step in steps)


class Soak:
    """Asks at random, so many at once; `verdicts` counts, `broken` tells what went wrong."""

    def __init__(self, url: str, cases: Sequence[Case], draw: random.Random) -> None:
        self.verdicts: Counter[str] = Counter()
        self.broken: list[str] = []
        self._url = url
        self._cases = cases
        self._draw = draw

    async def run(self, count: int) -> None:
        """Ask so many requests."""
        turns = iter(range(count))

        async def ask() -> None:
            for _ in turns:
                await self._one()

        await asyncio.gather(*(ask() for _ in range(AT_ONCE)))

    async def _one(self) -> None:
        case = self._draw.choice(self._cases)
        chance = self._draw.random()
        named = alone_name if self._draw.random() < 0.5 else second_name
        model = HEALTHY if chance < IS_HEALTHY else named(case)
        target = Target(self._url, model=model, api_key=KEY, limit_seconds=PATIENCE_SECONDS)
        if self._draw.random() < LEAVES:
            await self._leave(request_of(case, target, "raw"), case)
            self.verdicts["left"] += 1
            return
        judged = await judge_raw(case, target)
        self.verdicts[judged.verdict] += 1
        if judged.verdict == "broken":
            self.broken.append(f"{case.name} of {model}: {judged.reason}")

    async def _leave(self, shape: Mapping[str, Any], case: Case) -> None:
        """Send a request or a part of it, perhaps read a little, and go, in order or not."""
        parts = urlsplit(self._url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        request = request_bytes(self._url, case.fault.path, shape, HEADERS)
        sent = self._draw.randrange(1, len(request)) if self._draw.random() < 0.2 else len(request)
        writer.write(request[:sent])
        if sent == len(request) and self._draw.random() < 0.7:
            with contextlib.suppress(ConnectionError):
                for _ in range(self._draw.randrange(1, 5)):
                    piece = await reader.read(500)
                    if len(piece) < 500:  # it may be all that comes
                        break
        if self._draw.random() < 0.5:
            writer.transport.abort()
        else:
            writer.close()
