"""Connections to a socket that leads elsewhere end with it, those that have just come too."""

from __future__ import annotations

import asyncio
from typing import Any, NoReturn

import pytest

from trueup.backends.hosts.forwarding import forwarded


class Writer:
    """The end of a connection that was accepted."""

    def __init__(self) -> None:
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True


async def nowhere() -> NoReturn:
    await asyncio.Event().wait()
    raise AssertionError


async def test_a_connection_that_comes_as_it_ends_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start, accepts = asyncio.start_unix_server, []

    async def noted(accept: Any, path: Any) -> Any:
        accepts.append(accept)
        return await start(accept, path)

    monkeypatch.setattr(asyncio, "start_unix_server", noted)
    begun, unbegun, late = Writer(), Writer(), Writer()
    async with forwarded(nowhere, ()):
        (accept,) = accepts
        accept(asyncio.StreamReader(), begun)
        await asyncio.sleep(0)
        accept(asyncio.StreamReader(), unbegun)  # its task is cancelled before its first step
    accept(asyncio.StreamReader(), late)
    assert (begun.is_closed, unbegun.is_closed, late.is_closed) == (True, True, True)
