"""The server's end of a fork-server (`trueup.worker.forkserver` is the other).

Starts it, asks it for workers and hears of their end. It dies with this process.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

MAX_MESSAGE_BYTES = 64 * 1024


class CannotForkError(Exception):
    """No fork-server can be had; workers are spawned instead."""


class ForkedChild:
    """A worker whose parent is the fork-server."""

    def __init__(self, server: ForkServer, pid: int, exited: asyncio.Future[int | None]) -> None:
        self.pid = pid
        self._server = server
        self._exited = exited

    def send_signal(self, number: int) -> None:
        """Signal it by way of its parent, which knows whether it still lives."""
        self._server.send({"signal": number, "pid": self.pid})

    async def wait(self) -> int | None:
        """Its return code, None where the fork-server died (and the worker with it)."""
        return await asyncio.shield(self._exited)


class ForkServer:
    """One running fork-server."""

    def __init__(self, process: subprocess.Popen[bytes], control: socket.socket) -> None:
        self._process = process
        self._control = control
        self._numbers = itertools.count()
        self._forks: dict[int, asyncio.Future[ForkedChild]] = {}
        self._exits: dict[int, asyncio.Future[int | None]] = {}
        self._is_gone = False
        self._reader: asyncio.Task[None] | None = None

    @classmethod
    async def start(
        cls, command: Sequence[str], environment: Mapping[str, str], directory: Path
    ) -> ForkServer:
        """Start one and wait for its imports.

        Raises:
            CannotForkError: it ended, or forking it would not be safe.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        try:
            with theirs:
                process = _spawn(command, theirs, environment, directory)
        except OSError as error:
            ours.close()
            raise CannotForkError(str(error)) from error
        server = cls(process, ours)
        try:
            data = await asyncio.get_running_loop().sock_recv(ours, MAX_MESSAGE_BYTES)
            greeting = json.loads(data) if data else {"ready": False, "reason": "it ended"}
            if not greeting["ready"]:
                raise CannotForkError(greeting["reason"])
        except BaseException:
            await server.close()
            raise
        server._reader = asyncio.create_task(server._read())
        return server

    @property
    def is_gone(self) -> bool:
        """Whether it ended and another must be started."""
        return self._is_gone

    @property
    def pid(self) -> int:
        """Its process number."""
        return self._process.pid

    async def fork(self, order: Mapping[str, Any], fds: Sequence[int]) -> ForkedChild:
        """Have a worker forked; it gets copies of `fds`.

        Raises:
            CannotForkError: the fork-server is gone.
        """
        number = next(self._numbers)
        forked: asyncio.Future[ForkedChild] = asyncio.get_running_loop().create_future()
        self._forks[number] = forked
        try:
            message = json.dumps({"fork": number, **order}).encode()
            socket.send_fds(self._control, [message], list(fds))
            return await forked
        except OSError as error:
            raise CannotForkError(str(error)) from error
        finally:
            self._forks.pop(number, None)

    def send(self, message: Mapping[str, Any]) -> None:
        """Send an order without descriptors; nothing where the fork-server is gone."""
        with contextlib.suppress(OSError):
            self._control.send(json.dumps(message).encode())

    async def close(self) -> None:
        """End it, and its children with it."""
        self._process.kill()
        if self._reader is None:
            self._reader = asyncio.create_task(self._read())
        await self._reader

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            while data := await loop.sock_recv(self._control, MAX_MESSAGE_BYTES):
                self._take(json.loads(data))
        self._is_gone = True
        self._control.close()
        self._process.kill()
        await asyncio.to_thread(self._process.wait)
        for forked in self._forks.values():
            if not forked.done():
                forked.set_exception(CannotForkError("the fork-server ended"))
        for exited in self._exits.values():
            exited.set_result(None)

    def _take(self, message: dict[str, Any]) -> None:
        if "forked" in message:
            pid = message["pid"]
            exited = self._exits[pid] = asyncio.get_running_loop().create_future()
            forked = self._forks.get(message["forked"])
            # Whoever asked may have left: closing the control socket ends that worker.
            if forked is not None and not forked.done():
                forked.set_result(ForkedChild(self, pid, exited))
        elif "exited" in message:
            self._exits.pop(message["exited"]).set_result(message["returncode"])


def _spawn(
    command: Sequence[str], control: socket.socket, environment: Mapping[str, str], directory: Path
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*command, "--control", str(control.fileno())],
        pass_fds=(control.fileno(),),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
        cwd=directory,
        start_new_session=True,
    )
