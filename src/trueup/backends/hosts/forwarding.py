"""A Unix socket that leads elsewhere: a way is opened for each of its connections."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

from trueup.backends.hosts.running import PIECE_BYTES, Reader, Writer


class ClosingWriter(Writer, Protocol):
    """The writing half of a connection."""

    def close(self) -> None:
        """End the connection."""


Open = Callable[[], Awaitable[tuple[Reader, ClosingWriter]]]


@asynccontextmanager
async def forwarded(open_way: Open, failures: tuple[type[Exception], ...]) -> AsyncIterator[Path]:
    """The socket's path, in a folder of this user alone; leaving it ends its connections.

    Where `open_way`, or the way that it opened, fails in one of `failures`, that connection ends.
    """
    ways: set[asyncio.Task[None]] = set()
    is_over = False

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(*failures):
            far_reader, far_writer = await open_way()
            with contextlib.closing(far_writer):
                await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if is_over:  # it was accepted as the server closed
            writer.close()
            return
        # A task of its own: asyncio's for a coroutine complains aloud when it is cancelled.
        way = asyncio.create_task(carry(reader, writer))
        ways.add(way)
        way.add_done_callback(ways.discard)
        # Not in the task: one that is cancelled before its first step runs nothing of it.
        way.add_done_callback(lambda _: writer.close())

    with tempfile.TemporaryDirectory(prefix="trueup-") as folder:
        path = Path(folder) / "socket"
        server = await asyncio.start_unix_server(accept, path)
        try:
            yield path
        finally:
            is_over = True
            server.close()
            for way in tuple(ways):
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)


async def _pump(reader: Reader, writer: Writer) -> None:
    while piece := await reader.read(PIECE_BYTES):
        writer.write(piece)
        await writer.drain()
    writer.write_eof()
