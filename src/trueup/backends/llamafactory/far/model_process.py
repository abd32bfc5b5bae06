"""The process that has the model, a child of the keeper: started, read, ended by its pid.

A process of its own, so that the keeper answers while libraries are imported, tells how it ended,
and can end it whatever it does. It ends with the keeper, however that went.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import signal
import sys
from collections.abc import Callable

from .lines import MAX_LINE_BYTES, Message, line_of, message_of

# This zipapp, whose path may be relative: the keeper changes its directory.
ITSELF = os.path.abspath(sys.argv[0])
# Between being asked to end and being ended.
GRACE_SECONDS = 5.0
# The same of what outlives it.
REST_SECONDS = 1.0


@functools.lru_cache(maxsize=1)
def own_file() -> bytes:
    """The zipapp that this is, as it was when the keeper started."""
    with open(ITSELF, "rb") as file:
        return file.read()


def _put_back() -> None:
    """Put it where it was: who cleans caches knows nothing of us.

    Raises: OSError.
    """
    if os.path.exists(ITSELF):
        return
    os.makedirs(os.path.dirname(ITSELF), mode=0o700, exist_ok=True)
    part = f"{ITSELF}.{os.getpid()}.part"
    with open(part, "wb", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
        file.write(own_file())
    os.replace(part, ITSELF)


class ModelProcess:
    """One start of it; `told` gets its messages."""

    def __init__(self, spec: Message, told: Callable[[ModelProcess, Message], None]) -> None:
        self._spec = spec
        self._told = told
        self._process: asyncio.subprocess.Process | None = None
        self._is_unwanted = False
        self.pid: int | None = None

    async def run(self) -> int:
        """Start it, hand on what it says; its exit status, negative for a signal.

        Raises: OSError where it cannot be started.
        """
        _put_back()
        process = self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            ITSELF,
            "model",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=MAX_LINE_BYTES,
            cwd=self._spec["directory"],
            start_new_session=True,
        )
        self.pid = process.pid
        if self._is_unwanted:
            self.end()
        self.send(self._spec)
        assert process.stdout is not None
        with contextlib.suppress(ValueError, OSError):  # a line longer than the limit
            while line := await process.stdout.readline():
                message = message_of(line)
                if message is not None:
                    self._told(self, message)
        self.end()  # without its stdout it is of no use
        status = await process.wait()
        await self._end_rest(process.pid)
        return status

    def send(self, message: Message) -> None:
        """Hand it a message; nothing happens where it has ended."""
        process = self._process
        if process is not None and process.stdin is not None and process.returncode is None:
            process.stdin.write(line_of(message))

    def end(self) -> None:
        """End it and all that it started."""
        self._is_unwanted = True
        if self._process is not None and self._process.returncode is None:
            self._signal(signal.SIGTERM)
            asyncio.get_running_loop().call_later(GRACE_SECONDS, self._signal, signal.SIGKILL)

    async def _end_rest(self, group: int) -> None:
        """An engine may have processes of its own, which hold memory and end with nobody."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGTERM)
            await asyncio.sleep(REST_SECONDS)
            os.killpg(group, signal.SIGKILL)

    def kill(self) -> None:
        """End it now, without asking."""
        self._is_unwanted = True
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)  # it leads a group of its own
