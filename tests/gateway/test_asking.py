"""One try: errors whose words stall or are many, and how slowly a request may come."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from tests.fakes import FakeBackend, FakeClient, Step, forever
from tests.gateway.test_chain import JSON
from tests.gateway.test_stream import QUICK, STREAM, WHOLE, ask
from trueup.errors import RequestError
from trueup.gateway import asking, exchange
from trueup.gateway.exchange import Exchange


@pytest.mark.parametrize("body", [STREAM, WHOLE], ids=["stream", "whole"])
@pytest.mark.parametrize("steps", [[forever], [b"no such model", forever]])
async def test_a_status_counts_whatever_its_words_do(
    body: dict[str, Any], steps: list[Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "ERROR_SECONDS", 0.3)  # longer than a first token may take here
    backend = FakeBackend(steps, status=404, headers={}, is_foreign=True)
    client = await ask(backend, body, QUICK)
    assert backend.open_count == 1
    told = client.json if body is WHOLE else orjson.loads(client.events[0])
    cause = "no such model" if len(steps) > 1 else "status 404"
    assert cause in told["error"]["message"]


async def test_an_error_that_repeats_a_long_request_is_read_whole() -> None:
    said = {"message": "no", "code": "bad_value", "param": "messages", "input": "x" * 80_000}
    backend = FakeBackend(
        [orjson.dumps({"error": said})], status=400, headers=JSON, is_foreign=True
    )
    client = await ask(backend)
    assert (client.status, client.json["error"]["code"]) == (400, "bad_value")


class Trickling(FakeClient):
    """A client whose body comes byte by byte."""

    async def receive(self) -> dict[str, Any]:
        rest = self._body[1:]
        message = {"type": "http.request", "body": self._body[:1], "more_body": bool(rest)}
        self._body = rest
        if rest:
            await asyncio.sleep(0.03)
        return message


@pytest.mark.parametrize("slowest", [1, 2**15])
async def test_a_body_has_time_by_what_came_of_it(
    slowest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "BODY_SECONDS", 0.1)
    monkeypatch.setattr(exchange, "SLOWEST_BYTES_PER_SECOND", slowest)
    client = Trickling(body=b'{"a":1}')
    asked = Exchange(client.scope, client.receive, client.send)
    if slowest == 1:
        assert (await asked.read_json())[1] == {"a": 1}
    else:
        with pytest.raises(RequestError, match="too slowly"):
            await asked.read_json()
