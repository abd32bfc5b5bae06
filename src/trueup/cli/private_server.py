"""A server of our own for one conversation: started as a child, ended with it.

It listens on a free loopback port behind a key that only this process knows.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import orjson

from trueup.errors import BackendError

START_SECONDS = 60.0
STOP_SECONDS = 15.0
PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateServer:
    """Where it listens; `url` ends in `/v1`."""

    url: str
    api_key: str | None = field(repr=False)
    models: tuple[str, ...]
    process: asyncio.subprocess.Process = field(repr=False)

    async def ended(self) -> None:
        """Wait until the server ends by itself or is ended by somebody else."""
        await self.process.wait()


class PrivateServerEnded(Exception):
    """The server ended before it served; it has said why on stderr."""


@contextlib.asynccontextmanager
async def private_server(
    arguments: Sequence[str],
    *,
    port: int = 0,
    is_keyless: bool = False,
    tells_all: bool = False,
) -> AsyncIterator[PrivateServer]:
    """Run `trueup serve ARGUMENTS` for the length of the block; models load at first use.

    Port 0 is a free one; a keyless server is for others on this machine too. One that `tells_all`
    says whole why a model did not load, and does not start where the user has to do something
    before it can be.

    Raises:
        PrivateServerEnded: it does not start, and has said so on stderr.
        BackendError: it was killed or says nothing.
    """
    api_key = None if is_keyless else secrets.token_urlsafe(24)
    # Of its own alone: a configuration would add models before the one that is wanted.
    own = ("TRUEUP_API_KEY", "TRUEUP_CONFIG")
    environment = {name: value for name, value in os.environ.items() if name not in own}
    if api_key:
        environment["TRUEUP_API_KEY"] = api_key
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "trueup", "serve", *arguments),
        *("--port", str(port), "--format", "json", "--quiet"),
        *(("--private",) if tells_all else ()),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        env=environment,
        # Ctrl-C in the terminal is for the conversation: it stops the answer, not the server.
        start_new_session=True,
        preexec_fn=_end_with_parent,
    )
    try:
        said = orjson.loads(await _first_line(process))
        yield PrivateServer(
            url=f"{said['url']}/v1",
            api_key=api_key,
            models=tuple(said["models"]),
            process=process,
        )
    finally:
        await _end(process)


async def _first_line(process: asyncio.subprocess.Process) -> bytes:
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_SECONDS):
            line = await process.stdout.readline()
    except TimeoutError as error:
        raise BackendError(
            f"the private server said nothing for {START_SECONDS:.0f} seconds", retryable=True
        ) from error
    if line:
        return line
    status = await process.wait()
    if status > 0:
        raise PrivateServerEnded
    raise BackendError(f"the private server was ended with status {status}", retryable=True)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def _end_with_parent() -> None:
    """Have the kernel end the child when this process is gone, however it went."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
