"""Clients that leave, and a model whose process is killed while it answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

import psutil

from tests.clients.table import Cell, Table
from tests.clients.xinference_asking import Answered, judge
from tests.clients.xinference_rows import Row
from tests.clients.xinference_server import MODEL, Xinference
from tests.faults.raw import Heard, ask_raw, request_bytes

COLUMNS = ("Xinference itself", "through the gateway")
LONG_TOKENS = 1900
LEAVING_SECONDS = 1.0
GRACE_SECONDS = 1.5
WATCHED_SECONDS = 1.5
# A model process at work uses one core; an idle one next to nothing.
IDLE_SHARE = 0.25
LIMIT_SECONDS = 120.0
LONG = Row(name="long", asks={"max_tokens": LONG_TOKENS})
SAMPLED = Row(name="sampled", asks={"max_tokens": LONG_TOKENS, "temperature": 1})


async def run_leaving(server: Xinference, url: str) -> Table:
    """Whether generation stops when the client has gone."""
    table = Table("Xinference 4.1.0: the client leaves in mid-answer", COLUMNS)
    for is_stream in (True, False):
        cells = []
        for base in (server.url, url):
            share = await _share_after_leaving(server, base, is_stream=is_stream)
            verdict = "stops" if share < IDLE_SHARE else "runs on"
            cells.append((verdict, f"{share:.0%} of a core"))
        mode = "stream" if is_stream else "whole"
        table.add(mode, Cell(cells[0][0]), Cell(*cells[1], due=frozenset({"stops"})))
    return table


async def _share_after_leaving(server: Xinference, url: str, *, is_stream: bool) -> float:
    """The share of a core that the model's process uses after its client left."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        writer.write(request_bytes(url, LONG.path, LONG.shape(MODEL, is_stream)))
        await writer.drain()
        if is_stream:
            await reader.readuntil(b'"content"')
        await asyncio.sleep(LEAVING_SECONDS)
    finally:
        writer.transport.abort()
    await asyncio.sleep(GRACE_SECONDS)
    process = psutil.Process(server.model_pid)
    before = sum(process.cpu_times()[:2])
    await asyncio.sleep(WATCHED_SECONDS)
    share = (sum(process.cpu_times()[:2]) - before) / WATCHED_SECONDS
    # The next one finds it idle, whatever came of this one.
    while sum(process.cpu_times()[:2]) - before > IDLE_SHARE * WATCHED_SECONDS:
        before = sum(process.cpu_times()[:2])
        await asyncio.sleep(WATCHED_SECONDS)
    return float(share)


async def run_kills(server: Xinference, url: str) -> Table:
    """What clients get while the model's process is killed with SIGKILL."""
    table = Table("Xinference 4.1.0: its model process is killed in mid-answer", COLUMNS)
    whole = frozenset({"the whole answer"})
    for name, row, is_stream, profile, due in (
        ("greedy, stream", LONG, True, "", whole),
        ("greedy, whole", LONG, False, "", whole),
        # Another answer would be another text: what was sent cannot be completed honestly.
        ("sampled, stream", SAMPLED, True, "", frozenset({"an error event"})),
        (
            "sampled, stream, profile langchain-chatchat",
            SAMPLED,
            True,
            "langchain-chatchat",
            frozenset({"the note"}),
        ),
        ("sampled, whole", SAMPLED, False, "", frozenset({"a whole answer"})),
    ):
        # Its streams and its whole answers may end otherwise: a character that the limit of
        # tokens cuts is U+FFFD in the one and left out in the other.
        streamed = await _ask(server.url, row, is_stream=True)
        undisturbed = {
            (await _ask(server.url, row, is_stream=False)).text,
            _text_of(streamed.heard.body),
        }
        cells = []
        for base in (server.url, url):
            answered = await _ask_and_kill(server, base, row, is_stream=is_stream, profile=profile)
            cells.append(Cell(*_seen(answered, row, undisturbed)))
        table.add(name, cells[0], Cell(cells[1].verdict, cells[1].reason, due))
    return table


async def _ask_and_kill(
    server: Xinference, url: str, row: Row, *, is_stream: bool, profile: str
) -> Answered:
    before = server.descendants()
    asking = asyncio.create_task(_ask(url, row, is_stream=is_stream, profile=profile))
    await asyncio.sleep(LEAVING_SECONDS)
    await server.kill_model()
    answered = await asking
    await server.recovered(before)
    return answered


async def _ask(url: str, row: Row, *, is_stream: bool, profile: str = "") -> Answered:
    shape: Mapping[str, Any] = row.shape(MODEL, is_stream)
    headers = {"X-TrueUp-Profile": profile} if profile else {}
    heard = await ask_raw(url, row.path, shape, limit_seconds=LIMIT_SECONDS, headers=headers)
    return judge(heard, row, shape, is_stream=is_stream)


def _seen(answered: Answered, row: Row, undisturbed: Collection[str]) -> tuple[str, str]:
    """What a client sees, in words, and the evidence."""
    heard = answered.heard
    if answered.verdict == "answered":
        if "[The answer is incomplete: " in answered.text[-400:]:
            return "the note", answered.text[-200:]
        if answered.text in undisturbed:
            return "the whole answer", ""
        if row is SAMPLED:
            return "a whole answer", ""
        lengths = " or ".join(str(len(text)) for text in undisturbed)
        return "another text", f"{len(answered.text)} of {lengths} characters"
    if answered.verdict == "broken":
        return "broken", answered.reason
    return ("an error event" if _has_began(heard) else "an error"), answered.reason


def _text_of(stream: bytes) -> str:
    """The text of a stream, whatever else is wrong with it."""
    lines = (line[6:] for line in stream.split(b"\n") if line.startswith(b"data: {"))
    choices = (choice for line in lines for choice in json.loads(line)["choices"])
    return "".join(choice["delta"].get("content") or "" for choice in choices)


def _has_began(heard: Heard) -> bool:
    return heard.status == 200 and b'"choices"' in heard.body
