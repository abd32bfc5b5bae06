"""The machine of this process as a host: subprocesses, and files that are whole or not there."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from trueup.backends.hosts.host import Finished
from trueup.errors import BackendError

SHELL = ("bash", "--noprofile", "--norc", "-c")
MAX_LINE_BYTES = 2**24
STDERR_BYTES = 2**16


class LocalHost:
    """Commands as processes of this user."""

    name = "this machine"

    async def run(self, command: str, *, stdin: bytes = b"", seconds: float) -> Finished:
        """Run a command to its end; BackendError where it takes longer."""
        process = await self._process(command)
        try:
            async with asyncio.timeout(seconds):
                stdout, stderr = await process.communicate(stdin)
        except TimeoutError:
            raise BackendError(
                f"a command on {self.name} took longer than {seconds:g} s",
                retryable=True,
                code="host_command_slow",
            ) from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return Finished(status=process.returncode or 0, stdout=stdout, stderr=stderr)

    async def start(self, command: str) -> LocalRunning:
        """Start a command that is talked with."""
        return LocalRunning(await self._process(command))

    async def _process(self, command: str) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            *SHELL, command, stdin=pipe, stdout=pipe, stderr=pipe, limit=MAX_LINE_BYTES
        )

    async def put(self, data: bytes, path: str, *, mode: int = 0o600) -> None:
        """Write a file, whole or not at all."""
        await asyncio.to_thread(_write, Path(path), data, mode)

    @asynccontextmanager
    async def forward(self, port: int) -> AsyncIterator[Path]:
        """Nothing needs to be forwarded here."""
        raise NotImplementedError
        yield Path()

    async def close(self) -> None:
        """There is no connection."""


class LocalRunning:
    """A process that is talked with."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._stderr = bytearray()
        self._reading = asyncio.create_task(self._read_stderr())

    @property
    def pid(self) -> int:
        """Its pid."""
        return self._process.pid

    @property
    def stderr(self) -> bytes:
        """The last of what it wrote there."""
        return bytes(self._stderr)

    async def write(self, data: bytes) -> None:
        """Hand it input; what has ended takes none."""
        assert self._process.stdin is not None
        with contextlib.suppress(ConnectionError):
            self._process.stdin.write(data)
            await self._process.stdin.drain()

    def close_input(self) -> None:
        """Tell it that there is no more."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    async def readline(self) -> bytes:
        """The next line; b"" at the end."""
        assert self._process.stdout is not None
        return await self._process.stdout.readline()

    async def wait(self) -> int:
        """Its exit status."""
        await self._reading
        return await self._process.wait()

    async def terminate(self) -> None:
        """End it."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        await self.wait()

    async def _read_stderr(self) -> None:
        assert self._process.stderr is not None
        while piece := await self._process.stderr.read(2**14):
            self._stderr += piece
            del self._stderr[:-STDERR_BYTES]


def _write(target: Path, data: bytes, mode: int) -> None:
    with contextlib.suppress(OSError):
        if target.read_bytes() == data:
            return
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    part.write_bytes(data)
    part.chmod(mode)
    part.replace(target)
