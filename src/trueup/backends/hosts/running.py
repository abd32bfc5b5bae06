"""A command that one talks with, over the streams of a process of asyncio or of asyncssh alike."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Protocol

from trueup.backends.hosts.host import (
    LINE_BYTES,
    OUTPUT_BYTES,
    Finished,
    HostLost,
    Tail,
    timed_out,
    too_long,
)

PIECE_BYTES = 64 * 1024
# How long what is asked to end may take before it is killed, and then to be seen dead.
GRACE_SECONDS = 5.0


class Reader(Protocol):
    """A stream of bytes that comes."""

    async def read(self, n: int = -1, /) -> bytes:
        """Up to `n` bytes as soon as there are some; empty at the end."""


class Writer(Protocol):
    """A stream of bytes that goes."""

    def write(self, data: bytes, /) -> None:
        """Take bytes."""

    async def drain(self) -> None:
        """Wait for room."""

    def write_eof(self) -> None:
        """Say that no more comes."""


class RunningProcess:
    """One process, its streams and how it is ended.

    `lost` turns what the streams raise into HostLost where that is what happened.
    """

    def __init__(
        self,
        streams: tuple[Writer, Reader, Reader],
        *,
        where: str,
        ended: Callable[[], Awaitable[int]],
        signal: Callable[[str], Awaitable[None]],
        lost: Callable[[BaseException | None], HostLost | None] = lambda error: None,
    ) -> None:
        self._stdin, self._stdout, stderr = streams
        self._where = where
        self._ended = ended
        self._signal = signal
        self._lost = lost
        self._buffer = bytearray()
        self._tail = Tail()
        self._stderr_reader = asyncio.create_task(self._read_stderr(stderr))

    @property
    def stderr(self) -> bytes:
        """The last 64 KiB of what it wrote there."""
        return bytes(self._tail)

    async def write(self, data: bytes) -> None:
        """Write to its stdin and wait for room."""
        try:
            self._stdin.write(data)
            await self._stdin.drain()
        except Exception as error:
            if lost := self._lost(error):
                raise lost from error
            if not isinstance(error, OSError):
                raise

    def close_input(self) -> None:
        """Close its stdin."""
        with contextlib.suppress(OSError):
            self._stdin.write_eof()

    async def readline(self) -> bytes:
        """The next line of its stdout; what is left of one, or nothing, at the end."""
        searched = 0
        while (end := self._buffer.find(b"\n", searched)) < 0:
            searched = len(self._buffer)
            if searched > LINE_BYTES:
                raise too_long("a line of a command", LINE_BYTES, self._where)
            piece = await self._read(self._stdout)
            if not piece:
                end = searched - 1
                break
            self._buffer += piece
        line = bytes(self._buffer[: end + 1])
        del self._buffer[: end + 1]
        return line

    async def read_all(self) -> bytes:
        """All of its stdout, up to 16 MiB."""
        whole = bytearray()
        while piece := await self._read(self._stdout):
            whole += piece
            if len(whole) > OUTPUT_BYTES:
                raise too_long("what a command wrote", OUTPUT_BYTES, self._where)
        return bytes(whole)

    async def wait(self) -> int:
        """Its status, when it has ended and its stderr is read."""
        status = await self._ended()
        # What it started may hold stderr open; that is not waited for.
        await asyncio.wait([self._stderr_reader], timeout=GRACE_SECONDS)
        if lost := self._lost(None):
            raise lost
        return status

    async def terminate(self) -> None:
        """End it, first by asking."""
        self.close_input()
        # SSH tells no end before all output is taken.
        discarding = asyncio.create_task(self._read_away())
        try:
            for name in ("TERM", "KILL"):
                await self._signal(name)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(GRACE_SECONDS):
                        await self._ended()
                        break
        finally:
            discarding.cancel()
            self._stderr_reader.cancel()

    async def _read_away(self) -> None:
        with contextlib.suppress(Exception):
            while await self._stdout.read(PIECE_BYTES):
                pass

    async def _read(self, reader: Reader) -> bytes:
        try:
            piece = await reader.read(PIECE_BYTES)
        except Exception as error:
            if lost := self._lost(error):
                raise lost from error
            raise
        if not piece and (lost := self._lost(None)):
            raise lost
        return piece

    async def _read_stderr(self, reader: Reader) -> None:
        # Whoever reads stdout or waits is told where the connection broke.
        with contextlib.suppress(Exception):
            while piece := await reader.read(PIECE_BYTES):
                self._tail.add(piece)


async def finished(running: RunningProcess, stdin: bytes, seconds: float, where: str) -> Finished:
    """A whole command: its stdin given, its stdout and status taken, ended when it takes long."""
    is_over = False
    try:
        async with asyncio.timeout(seconds):
            _, stdout, status = await asyncio.gather(
                _give(running, stdin), running.read_all(), running.wait()
            )
        is_over = True
    except TimeoutError:
        raise timed_out(seconds, where) from None
    finally:
        if not is_over:
            await running.terminate()
    return Finished(status=status, stdout=stdout, stderr=running.stderr)


async def _give(running: RunningProcess, stdin: bytes) -> None:
    await running.write(stdin)
    running.close_input()
