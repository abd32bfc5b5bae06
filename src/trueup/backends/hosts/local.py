"""The machine that we run on, as a host: subprocesses, and sockets that lead to its own ports."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from trueup.backends.hosts.files import put_file
from trueup.backends.hosts.forwarding import forwarded
from trueup.backends.hosts.host import SHELL, Finished
from trueup.backends.hosts.running import RunningProcess, finished
from trueup.errors import BackendError

NAME = "this machine"


class LocalHost:
    """Commands of this machine, each in a session of its own."""

    def __init__(self) -> None:
        self._running: set[RunningProcess] = set()

    @property
    def name(self) -> str:
        """What people call it."""
        return NAME

    async def run(self, command: str, *, stdin: bytes = b"", seconds: float) -> Finished:
        """Run a command to its end."""
        return await finished(await self.start(command), stdin, seconds, NAME)

    async def start(self, command: str) -> RunningProcess:
        """Start a command to talk with."""
        try:
            process = await asyncio.create_subprocess_exec(
                *SHELL,
                command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise BackendError(
                f"no command can be started on {NAME}: {error}",
                retryable=False,
                code="host_command",
                where=NAME,
                hint=f"`{SHELL[0]}` is what runs them: is it installed?",
            ) from error
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None

        async def send(name: str) -> None:
            # The group is the process's own, so that it takes along what it started.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.Signals[f"SIG{name}"])

        async def ended() -> int:
            status = await process.wait()
            self._running.discard(running)
            return status

        streams = (process.stdin, process.stdout, process.stderr)
        running = RunningProcess(streams, where=NAME, ended=ended, signal=send)
        self._running.add(running)
        return running

    async def put(self, data: bytes, path: str, *, mode: int = 0o600) -> None:
        """Have `data` as a file, whole or not at all."""
        await put_file(self, data, path, mode)

    def forward(self, port: int) -> AbstractAsyncContextManager[Path]:
        """A Unix socket that leads to a port of 127.0.0.1."""
        return forwarded(lambda: asyncio.open_connection("127.0.0.1", port), (OSError,))

    async def close(self) -> None:
        """End the commands that still run."""
        for running in tuple(self._running):
            await running.terminate()
