"""The table of Xinference's requests, asked of its imitation through our gateway."""

from __future__ import annotations

import pytest

from tests.cli.odd_server import odd_server
from tests.clients.checkpoint import CONTEXT_TOKENS
from tests.clients.xinference_asking import ask
from tests.clients.xinference_imitated import MODEL, said
from tests.clients.xinference_rows import ROWS, Row
from tests.faults.in_process import LIMITS, gateway_of

LIMIT_SECONDS = 60.0
# They end in an opaque 500, for which a model's process may be to blame: it is waited for.
WAITED_FOR = (
    "system last: its template refuses",
    "max_tokens above what the prompt leaves of the context",
    "/v1/completions of a chat model",
)
ASKED = [
    pytest.param(
        row,
        is_stream,
        id=f"{row.name}, {'stream' if is_stream else 'whole'}",
        marks=[pytest.mark.slow] if row.name in WAITED_FOR else [],
    )
    for row in ROWS
    for is_stream in row.modes
]


@pytest.mark.parametrize(("row", "is_stream"), ASKED)
async def test_what_openais_specification_says_comes_of_it(row: Row, is_stream: bool) -> None:
    async with odd_server(said) as server:
        backend = {
            "preset": "xinference",
            "url": server.url,
            "model": MODEL,
            "context_tokens": CONTEXT_TOKENS,
            "limits": dict(LIMITS),
        }
        backends = {MODEL: backend, "ghost": {**backend, "model": "nobody"}}
        async with gateway_of({"backends": backends, "roles": {}}) as url:
            found = await ask(url, row, MODEL, is_stream=is_stream, limit_seconds=LIMIT_SECONDS)
    assert found.verdict in row.due, found.reason


BROKEN_ALONE = {
    "a long answer: one role": True,
    "include_usage: one finish_reason": True,
    "n=2": False,
    "logprobs": False,
    "system last: its template refuses": False,
}


@pytest.mark.parametrize("name", BROKEN_ALONE)
async def test_the_imitation_alone_is_as_broken_as_the_server_was_seen_to_be(name: str) -> None:
    row = next(each for each in ROWS if each.name == name)
    async with odd_server(said) as server:
        found = await ask(
            server.url, row, MODEL, is_stream=BROKEN_ALONE[name], limit_seconds=LIMIT_SECONDS
        )
    assert found.verdict == "broken"
