"""Where something of a backend runs: this machine, or one that is reached over SSH.

Commands are shell text, run by `exec bash --noprofile --norc -c`. A lost connection is a HostLost
from every call that is under way; the next call connects again.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from trueup.errors import BackendError

LOST = "host_connection_lost"


class HostLost(BackendError):
    """The connection to a host broke; what runs there may still run."""

    def __init__(self, cause: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(cause, retryable=True, code=LOST, where=where, hint=hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A command that has ended; `status` is negative for a signal."""

    status: int
    stdout: bytes = field(repr=False)
    stderr: bytes = field(repr=False)


class Running(Protocol):
    """A command under way; it is ended by `terminate`, or by the end of its input."""

    async def write(self, data: bytes) -> None:
        """Hand it input, and wait until it can take more."""

    def close_input(self) -> None:
        """Tell it that there is no more."""

    async def readline(self) -> bytes:
        """The next line of its stdout; b"" at the end."""

    @property
    def stderr(self) -> bytes:
        """The last of what it wrote there."""

    async def wait(self) -> int:
        """Its exit status, negative for a signal."""

    async def terminate(self) -> None:
        """End it, and wait until it is gone."""


class Host(Protocol):
    """One place where commands run."""

    @property
    def name(self) -> str:
        """How people call it: `this machine`, or `user@host`."""

    async def run(self, command: str, *, stdin: bytes = b"", seconds: float) -> Finished:
        """Run a command to its end.

        Raises: BackendError where that cannot be, or takes longer than `seconds`.
        """

    async def start(self, command: str) -> Running:
        """Start a command that is talked with."""

    async def put(self, data: bytes, path: str, *, mode: int = 0o600) -> None:
        """Write a file there, whole or not at all; nothing where it is there already."""

    def forward(self, port: int) -> AbstractAsyncContextManager[Path]:
        """A Unix socket here that leads to 127.0.0.1:`port` there."""

    async def close(self) -> None:
        """Give back the connection; commands under way are ended."""
