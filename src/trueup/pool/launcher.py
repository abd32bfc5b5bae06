"""Starts worker processes: forked where that is safe, spawned where it is not.

Owns the fork-server and the 0700 directory of the sockets. No decisions about models here. A plan
with an environment of its own is spawned in its Python, which is never built here.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from trueup.adapt.isolate.interpreter import command as lend
from trueup.adapt.isolate.store import interpreter_of
from trueup.adapt.plan import Plan
from trueup.pool.directory import PoolDirectory
from trueup.pool.fork_server import CannotForkError, ForkServer
from trueup.pool.process import Child, Stderr, WorkerProcess
from trueup.pool.scrub import worker_environment

log = logging.getLogger(__name__)

WORKER = "trueup.worker"
# The folder of what other Pythons are lent.
LENT = "lent"


class Launcher(Protocol):
    """What the pool starts workers with."""

    def warm_up(self) -> None:
        """Begin what makes later starts fast; returns at once."""

    async def start(self, model_id: str, plan: Plan) -> WorkerProcess:
        """A started worker; being cancelled leaves none behind."""

    async def close(self) -> None:
        """Give back what is shared by workers; none of them runs any more."""


class ProcessLauncher:
    """Starts `python -m trueup.worker`, or forks the same from a process with the imports done."""

    def __init__(
        self,
        *,
        forks: bool = True,
        worker_command: Sequence[str] = (sys.executable, "-m", "trueup.worker"),
        fork_command: Sequence[str] = (sys.executable, "-m", "trueup.worker.forkserver"),
    ) -> None:
        self.forks = forks
        self._worker_command = worker_command
        self._fork_command = fork_command
        self._numbers = itertools.count(1)
        self._directory: PoolDirectory | None = None
        self._fork_server: asyncio.Task[ForkServer] | None = None

    def warm_up(self) -> None:
        """Start the fork-server, so that its imports are done before the first request."""
        if self.forks:
            self._ask_fork_server()

    async def start(self, model_id: str, plan: Plan) -> WorkerProcess:
        """Start a worker in a directory of its own.

        Raises:
            OSError: no process can be started or no directory made.
            AdaptError: the plan's environment is not built.
        """
        python = None
        if plan.environment is not None:  # reads the environment's files
            python = await asyncio.to_thread(interpreter_of, plan.environment)
        directory = self._root() / str(next(self._numbers))
        directory.mkdir(mode=0o700)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        stderr, stderr_fd = await Stderr.open()
        try:
            socket_path = directory / "worker.sock"
            if python is None:
                child = await self._child(socket_path, plan, theirs, stderr_fd)
            else:
                child = self._spawn(socket_path, plan, theirs, stderr_fd, python)
        except BaseException:
            # A worker that was started all the same sees the end of its control socket.
            ours.close()
            stderr.close()
            shutil.rmtree(directory, ignore_errors=True)
            raise
        finally:
            theirs.close()
            os.close(stderr_fd)
        return WorkerProcess(model_id, child, ours, stderr, directory)

    async def close(self) -> None:
        """End the fork-server and remove the directory."""
        if self._fork_server is not None:
            self._fork_server.cancel()
            with contextlib.suppress(asyncio.CancelledError, CannotForkError):
                await (await self._fork_server).close()
        if self._directory is not None:
            self._directory.remove()
            self._directory = None

    async def _child(
        self, socket_path: Path, plan: Plan, control: socket.socket, stderr_fd: int
    ) -> Child:
        if self.forks:
            try:
                server = await asyncio.shield(self._ask_fork_server())
            except CannotForkError as error:
                log.warning("workers are spawned, not forked: %s", error)
                self.forks = False
            else:
                order = {"socket": str(socket_path), "plan": plan.as_dict()}
                with contextlib.suppress(CannotForkError):
                    return await server.fork(order, (control.fileno(), stderr_fd))
        return self._spawn(socket_path, plan, control, stderr_fd)

    def _spawn(
        self,
        socket_path: Path,
        plan: Plan,
        control: socket.socket,
        stderr_fd: int,
        python: Path | None = None,
    ) -> Child:
        line = socket_path.with_name("plan.json")
        line.write_text(json.dumps({"plan": plan.as_dict()}) + "\n", encoding="utf-8")
        command, environment = [*self._worker_command], worker_environment(os.environ)
        if python is not None:
            lent = lend(python, self._root() / LENT)
            command, environment = [*lent.argv, WORKER], lent.environment(environment)
        command += ["--socket", str(socket_path)]
        with line.open("rb") as stdin:
            process = subprocess.Popen(
                [*command, "--control", str(control.fileno())],
                pass_fds=(control.fileno(),),
                stdin=stdin,
                stdout=stderr_fd,
                stderr=stderr_fd,
                env=environment,
                cwd=socket_path.parent,
                start_new_session=True,
            )
        return SpawnedChild(process)

    def _ask_fork_server(self) -> asyncio.Task[ForkServer]:
        asked = self._fork_server
        if asked is None or (asked.done() and not asked.exception() and asked.result().is_gone):
            environment = worker_environment(os.environ)
            asked = asyncio.create_task(
                ForkServer.start(self._fork_command, environment, self._root())
            )
            # Where nobody waits for it yet, its failure is told at the first start.
            asked.add_done_callback(lambda task: task.cancelled() or task.exception())
            self._fork_server = asked
        return asked

    def _root(self) -> Path:
        if self._directory is None:
            self._directory = PoolDirectory()
        return self._directory.path


class SpawnedChild:
    """A worker that is this process's own child.

    Not asyncio's: its `send_signal` reaps what its watcher waits for, and the status is lost.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.pid = process.pid
        self._process = process

    def send_signal(self, number: int) -> None:
        """Signal it; nothing where it is gone."""
        self._process.send_signal(number)

    async def wait(self) -> int | None:
        """Its return code."""
        return await asyncio.to_thread(self._process.wait)
