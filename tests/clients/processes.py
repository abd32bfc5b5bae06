"""Processes that the runs start: each in a group of its own, with a log, and ended with all of it.

Nothing is ended by name; what left its group is found among the descendants.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import psutil

POLL_SECONDS = 0.2
TERM_SECONDS = 10.0
KILL_SECONDS = 10.0
LOG_TAIL_BYTES = 3000


class NotStarted(Exception):
    """A server that a run needs did not come up; the text holds the end of its log."""


@dataclass(frozen=True)
class Running:
    """A process that was started, and where it logs."""

    process: asyncio.subprocess.Process
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def said(self) -> str:
        """The end of its log."""
        return self.log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace")

    async def answers(
        self, url: str, *, limit_seconds: float, headers: Mapping[str, str] | None = None
    ) -> None:
        """Wait until `url` answers with a status below 500.

        Raises:
            NotStarted: it ended before, or the time is over.
        """
        loop = asyncio.get_running_loop()
        end_at = loop.time() + limit_seconds
        async with aiohttp.ClientSession() as session:
            while loop.time() < end_at:
                if self.process.returncode is not None:
                    raise NotStarted(f"ended with {self.process.returncode}:\n{self.said()}")
                with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                    limit = aiohttp.ClientTimeout(total=5)
                    async with session.get(url, headers=headers, timeout=limit) as response:
                        if response.status < 500:
                            return
                await asyncio.sleep(POLL_SECONDS)
        raise NotStarted(f"{url} does not answer after {limit_seconds:g} s:\n{self.said()}")


@contextlib.asynccontextmanager
async def running(
    command: Sequence[str | Path],
    log: Path,
    *,
    variables: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> AsyncIterator[Running]:
    """Start a command for the length of the block."""
    with log.open("ab") as sink:
        process = await asyncio.create_subprocess_exec(
            *map(str, command),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=sink,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, **(variables or {})},
            cwd=folder,
            start_new_session=True,
        )
    try:
        yield Running(process, log)
    finally:
        await end(process)


async def end(process: asyncio.subprocess.Process) -> None:
    """End a process, its group and its descendants: asked first, then killed."""
    family = _family(process.pid)
    for number, limit_seconds in ((signal.SIGTERM, TERM_SECONDS), (signal.SIGKILL, KILL_SECONDS)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        for each in filter(_is_alive, family):
            with contextlib.suppress(psutil.NoSuchProcess):
                each.send_signal(number)
        if await _gone(process, family, limit_seconds):
            return


async def run_once(
    command: Sequence[str | Path],
    log: Path,
    *,
    variables: Mapping[str, str] | None = None,
    limit_seconds: float,
) -> None:
    """Run a command to its end.

    Raises:
        NotStarted: it failed, or took longer.
    """
    async with running(command, log, variables=variables) as started:
        try:
            status = await asyncio.wait_for(started.process.wait(), limit_seconds)
        except TimeoutError as error:
            raise NotStarted(f"{command} took over {limit_seconds:g} s") from error
    if status:
        raise NotStarted(f"{command} ended with {status}:\n{started.said()}")


def free_port() -> int:
    """A port of loopback where nobody listens now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def listening_elsewhere(pid: int) -> list[str]:
    """Addresses beside loopback where a process or its descendants listen."""
    found = []
    for each in _family(pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            for connection in each.net_connections("inet"):
                is_open = connection.status == psutil.CONN_LISTEN
                if is_open and connection.laddr.ip not in ("127.0.0.1", "::1"):
                    found.append(f"{connection.laddr.ip}:{connection.laddr.port}")
    return found


def _family(pid: int) -> list[psutil.Process]:
    try:
        first = psutil.Process(pid)
        return [first, *first.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _is_alive(process: psutil.Process) -> bool:
    """Whether it runs; one that ended and waits for its parent does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _in_group(group: int) -> list[psutil.Process]:
    found = []
    for each in psutil.process_iter():
        with contextlib.suppress(ProcessLookupError):
            if os.getpgid(each.pid) == group:
                found.append(each)
    return found


async def _gone(
    process: asyncio.subprocess.Process, family: Sequence[psutil.Process], limit_seconds: float
) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(limit_seconds):
            await process.wait()
            while any(map(_is_alive, (*family, *_in_group(process.pid)))):  # noqa: ASYNC110
                await asyncio.sleep(POLL_SECONDS)
            return True
    return False
