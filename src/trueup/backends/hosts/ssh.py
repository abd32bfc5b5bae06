"""A host over SSH: one connection for all that runs there, opened when it is needed."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import weakref
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import asyncssh

from trueup.backends.hosts.files import put_file
from trueup.backends.hosts.forwarding import ClosingWriter, forwarded
from trueup.backends.hosts.host import SHELL, Finished, HostLost
from trueup.backends.hosts.running import GRACE_SECONDS, Reader, RunningProcess, finished
from trueup.backends.hosts.ssh_connection import Connection, connection_to
from trueup.config.llamafactory_settings import HostSettings
from trueup.errors import BackendError

SESSION_SECONDS = 30.0
# A command is the leader of its group: sshd starts each in a session of its own.
MARK = b"trueup-pid "
ANNOUNCE = f'echo "{MARK.decode()}$$" >&2'


class _Announced:
    """The stderr of a command after the line that tells its pid."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._before = bytearray()
        self.pid: int | None = None
        self.is_read = asyncio.Event()

    async def read(self, n: int = -1, /) -> bytes:
        """What comes, without that line."""
        while self.pid is None:
            piece = await self._reader.read(n)
            self._before += piece
            start = self._before.find(MARK)
            end = self._before.find(b"\n", start) if start >= 0 else -1
            if end >= 0:
                self.pid = int(self._before[start + len(MARK) : end])
                del self._before[start : end + 1]
            elif not piece:
                break
        self.is_read.set()
        rest, self._before = bytes(self._before), bytearray()
        return rest or await self._reader.read(n)


class SshHost:
    """Commands of a host, over one connection that is opened again when it broke.

    Several backends may hold the same one (`host_of`); the last that closes it ends it.
    """

    def __init__(self, settings: HostSettings) -> None:
        self._settings = settings
        self._connection: Connection | None = None
        self._opening: asyncio.Task[Connection] | None = None
        self._running: set[RunningProcess] = set()
        self.holders = 1

    @property
    def name(self) -> str:
        """What people call it."""
        user = self._settings.user
        return f"{user}@{self._settings.host}" if user else self._settings.host

    async def connect(self) -> None:
        """Have a connection, as every call does.

        Raises: BackendError `ssh_…`, ConfigError.
        """
        await self._connected()

    async def run(self, command: str, *, stdin: bytes = b"", seconds: float) -> Finished:
        """Run a command to its end."""
        return await finished(await self.start(command), stdin, seconds, self.name)

    async def start(self, command: str) -> RunningProcess:
        """Start a command to talk with."""
        connection = await self._connected()
        text = "exec " + shlex.join([*SHELL, f"{ANNOUNCE}; {command}"])
        try:
            async with asyncio.timeout(SESSION_SECONDS):
                process: asyncssh.SSHClientProcess[bytes] = await connection.ssh.create_process(
                    text, encoding=None, request_pty=False
                )
        except (asyncssh.Error, OSError) as error:
            if connection.client.is_lost or isinstance(error, TimeoutError):
                raise self._lost(connection) from error
            raise BackendError(
                f"{self.name} opens no session for a command: {error}",
                retryable=True,
                code="ssh_session",
                where=self.name,
                hint="too many at once? MaxSessions in its sshd_config, 10 by default",
            ) from error
        return self._started(process, connection)

    def _started(
        self, process: asyncssh.SSHClientProcess[bytes], connection: Connection
    ) -> RunningProcess:
        def lost(error: BaseException | None) -> HostLost | None:
            is_cut = error is not None or process.returncode is None
            if isinstance(error, asyncssh.DisconnectError) or (
                connection.client.is_lost and is_cut
            ):
                return self._lost(connection)
            return None

        async def ended() -> int:
            await process.wait_closed()
            self._running.discard(running)
            return -1 if process.returncode is None else process.returncode

        async def send(name: str) -> None:
            if connection.client.is_lost:
                process.close()
                return
            # OpenSSH passes none on to commands of root, and other servers to none at all.
            with contextlib.suppress(OSError):
                process.send_signal(name)
            with contextlib.suppress(asyncssh.Error, OSError):
                async with asyncio.timeout(GRACE_SECONDS):
                    await stderr.is_read.wait()
                    if stderr.pid is not None and process.returncode is None:
                        kill = f"exec bash -c 'kill -s {name} -- -{stderr.pid}'"
                        await connection.ssh.run(kill)
            if name == "KILL":
                process.close()

        stderr = _Announced(process.stderr)
        streams = (process.stdin, process.stdout, stderr)
        running = RunningProcess(streams, where=self.name, ended=ended, signal=send, lost=lost)
        self._running.add(running)
        return running

    async def put(self, data: bytes, path: str, *, mode: int = 0o600) -> None:
        """Have `data` as a file there, whole or not at all."""
        await put_file(self, data, path, mode)

    def forward(self, port: int) -> AbstractAsyncContextManager[Path]:
        """A Unix socket here that leads to a port of the host's 127.0.0.1."""

        async def open_way() -> tuple[Reader, ClosingWriter]:
            connection = await self._connected()
            way: Any = await connection.ssh.open_connection("127.0.0.1", port)
            return way[0], way[1]

        return forwarded(open_way, (asyncssh.Error, OSError, BackendError))

    async def close(self) -> None:
        """Give it back; the last holder ends what runs and the connection."""
        self.holders -= 1
        if self.holders > 0:
            return
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait([self._opening])
        for running in tuple(self._running):
            await running.terminate()
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    def _lost(self, connection: Connection) -> HostLost:
        return HostLost(
            f"the connection to {self.name} dropped: {connection.client.why}", where=self.name
        )

    async def _connected(self) -> Connection:
        """The connection; one attempt at a time, whose outcome is that of all who wait."""
        if self._connection is not None and not self._connection.client.is_lost:
            return self._connection
        if self._connection is not None:
            self._connection.abort()  # the host on the way may be there still
            self._connection = None
        if self._opening is None:
            self._opening = asyncio.create_task(connection_to(self._settings))
            self._opening.add_done_callback(self._opened)
        # One that waits no more ends no attempt of others.
        return await asyncio.shield(self._opening)

    def _opened(self, opening: asyncio.Task[Connection]) -> None:
        self._opening = None
        if not opening.cancelled() and opening.exception() is None:
            self._connection = opening.result()


_HOSTS: weakref.WeakValueDictionary[HostSettings, SshHost] = weakref.WeakValueDictionary()


def host_of(settings: HostSettings) -> SshHost:
    """The host of these settings, the same one for all who ask; each of them closes it."""
    host = _HOSTS.get(settings)
    if host is None or host.holders == 0:
        host = _HOSTS[settings] = SshHost(settings)
    else:
        host.holders += 1
    return host
