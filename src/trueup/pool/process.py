"""One worker process as the server sees it: its reports, its last words, its end.

`launcher.py` makes them, spawned or forked; `pool.py` owns them. No decisions here.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import socket
from collections import deque
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Protocol

from trueup.errors import BackendError, TrueUpError

TERM_SECONDS = 2.0
LINE_END = re.compile(rb"[\r\n]")
STDERR_LINES = 20
STDERR_LINE_BYTES = 2000
MAX_REPORT_BYTES = 256 * 1024


class Child(Protocol):
    """A started process, whoever is its parent."""

    @property
    def pid(self) -> int:
        """Its number."""

    def send_signal(self, number: int) -> None:
        """Signal it; nothing where it is gone."""

    async def wait(self) -> int | None:
        """Its return code as subprocess counts it, None where nobody can tell."""


class WorkerProcess:
    """A started worker. `end` must be called once, whatever happened to the process."""

    def __init__(
        self, model_id: str, child: Child, control: socket.socket, stderr: Stderr, directory: Path
    ) -> None:
        self.model_id = model_id
        self.pid = child.pid
        self.socket_path = directory / "worker.sock"
        self._child = child
        self._control = control
        self._stderr = stderr
        self._directory = directory
        self._is_ready = False

    async def reports(self) -> AsyncIterator[dict[str, Any]]:
        """What the worker says of its state, until its process ends."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                data = await loop.sock_recv(self._control, MAX_REPORT_BYTES)
            except OSError:
                return
            if not data:
                return
            report = json.loads(data)
            self._is_ready = self._is_ready or report["state"] == "ready"
            yield report

    async def end(self) -> int | None:
        """Stop the process where it still runs, wait for its end and remove what it left."""
        exited = asyncio.ensure_future(self._child.wait())
        try:
            self._child.send_signal(signal.SIGTERM)
            done, _ = await asyncio.wait({exited}, timeout=TERM_SECONDS)
            if not done:
                self._child.send_signal(signal.SIGKILL)
            returncode = await exited
            await self._stderr.drain()
        finally:
            self._control.close()
            self._stderr.close()
            shutil.rmtree(self._directory, ignore_errors=True)
        return returncode

    def failure(self, finding: dict[str, Any]) -> TrueUpError:
        """The error of a load that the worker gave up with `finding`."""
        return BackendError(
            finding["message"].removesuffix(f"; {finding['hint']}"),
            retryable=False,
            code=finding["code"],
            status=503,
            where=finding["where"] or self._last_words(),
            hint=finding["hint"],
        )

    def death(self, returncode: int | None) -> TrueUpError:
        """The error of a load during which the process ended.

        Retryable where it did not end by itself: it was killed, or went with its fork-server.
        """
        return BackendError(
            f"the worker of `{self.model_id}` {reason_of(returncode)} while it loaded the model",
            retryable=returncode in (None, -signal.SIGKILL),
            code="worker_died",
            status=503,
            where=self._last_words(),
        )

    def _last_words(self) -> str | None:
        lines = self._stderr.lines
        return "the worker's stderr:\n" + "\n".join(lines) if lines else None


def reason_of(returncode: int | None) -> str:
    """How a process ended, to be read after its name."""
    if returncode is None:
        return "ended"
    if returncode < 0:
        return f"was ended by {signal.Signals(-returncode).name}"
    return f"ended with status {returncode}"


class Stderr(asyncio.Protocol):
    """The last lines that a process wrote."""

    def __init__(self) -> None:
        self._tail: deque[str] = deque(maxlen=STDERR_LINES)
        self._rest = b""
        self._closed = asyncio.get_running_loop().create_future()
        self._transport: asyncio.BaseTransport | None = None

    @classmethod
    async def open(cls) -> tuple[Stderr, int]:
        """A reader and the descriptor to write to, which the caller closes."""
        read, write = os.pipe()
        loop = asyncio.get_running_loop()
        _, stderr = await loop.connect_read_pipe(cls, os.fdopen(read, "rb", buffering=0))
        return stderr, write

    @property
    def lines(self) -> list[str]:
        """The last lines, the oldest first."""
        rest = self._rest.decode(errors="replace")
        return [*self._tail, rest] if rest else list(self._tail)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport to close it."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Keep the last lines."""
        # Progress bars end their lines with a carriage return, if at all.
        *lines, rest = LINE_END.split(self._rest + data)
        self._tail.extend(
            line[-STDERR_LINE_BYTES:].decode(errors="replace") for line in lines if line
        )
        self._rest = rest[-STDERR_LINE_BYTES:]

    def connection_lost(self, exc: Exception | None) -> None:
        """Every writer is gone."""
        if not self._closed.done():
            self._closed.set_result(None)

    async def drain(self) -> None:
        """Read what an ended process left; a child of its own may keep the pipe open."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._closed), 1.0)

    def close(self) -> None:
        """Read no more."""
        if self._transport is not None:
            self._transport.close()
