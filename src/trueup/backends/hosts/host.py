"""Where a command runs: this machine, or one that SSH leads to; callers see no difference."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from trueup.errors import BackendError

# A shell that says nothing of its own: neither profiles nor the shell of the user's account.
SHELL = ("bash", "--noprofile", "--norc", "-c")
# What is kept of the end of a command's stderr.
STDERR_BYTES = 64 * 1024
LINE_BYTES = 16 * 1024 * 1024
# What a whole command may write before it is ended: all that we ask for is short.
OUTPUT_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A command that has ended; a `status` below zero is the signal that ended it."""

    status: int
    stdout: bytes = field(repr=False)
    stderr: bytes = field(repr=False)


class HostLost(BackendError):
    """The way to a host broke while it was used; the next call opens another."""

    def __init__(self, cause: str, *, where: str) -> None:
        super().__init__(
            cause,
            retryable=True,
            code="host_connection_lost",
            where=where,
            hint="it is connected again at the next call; what runs there goes on under its lease",
        )


class Running(Protocol):
    """A command that runs; every method raises HostLost where the connection broke."""

    @property
    def stderr(self) -> bytes:
        """The last 64 KiB of what it wrote there."""

    async def write(self, data: bytes) -> None:
        """Write to its stdin and wait for room; what has ended takes none, which its end tells."""

    def close_input(self) -> None:
        """Close its stdin."""

    async def readline(self) -> bytes:
        """The next line of its stdout with its line feed; without one, or empty, at the end.

        Raises: BackendError for a line of more than 16 MiB.
        """

    async def wait(self) -> int:
        """Its status, when it has ended; below zero a signal."""

    async def terminate(self) -> None:
        """End it and what it started, as far as it did not detach; never raises HostLost."""


class Host(Protocol):
    """Where commands run; `command` is the text of a shell, run by a bash without profiles."""

    @property
    def name(self) -> str:
        """What people call it: "this machine" or "user@host"."""

    async def run(self, command: str, *, stdin: bytes = b"", seconds: float) -> Finished:
        """Run a command to its end.

        Raises: BackendError `host_command_timeout` after `seconds`, having ended it; HostLost.
        """

    async def start(self, command: str) -> Running:
        """Start a command to talk with."""

    async def put(self, data: bytes, path: str, *, mode: int = 0o600) -> None:
        """Have `data` as a file there, whole or not at all; what is there already is left.

        Raises: BackendError `host_file`.
        """

    def forward(self, port: int) -> AbstractAsyncContextManager[Path]:
        """A Unix socket here, in a folder of this user alone, that leads to 127.0.0.1:port there.

        A port where nobody listens ends each of its connections at once.
        """

    async def close(self) -> None:
        """Give back the connection, and end the commands that still run on it."""


class Tail:
    """The end of a stream of bytes."""

    def __init__(self, limit: int = STDERR_BYTES) -> None:
        self._limit = limit
        self._kept = bytearray()

    def add(self, data: bytes) -> None:
        """Take a piece, and drop what is now too old."""
        self._kept += data
        del self._kept[: -self._limit]

    def __bytes__(self) -> bytes:
        return bytes(self._kept)


def timed_out(seconds: float, where: str) -> BackendError:
    """What a command that took too long is told as."""
    return BackendError(
        f"a command on {where} took more than {seconds:g} s and was ended",
        retryable=True,
        code="host_command_timeout",
        where=where,
        hint=f"is {where} overloaded, or one of its file systems hanging?",
    )


def too_long(what: str, limit: int, where: str) -> BackendError:
    """What endless output is told as."""
    return BackendError(
        f"{what} on {where} has more than {limit} bytes",
        retryable=False,
        code="host_output",
        where=where,
    )
