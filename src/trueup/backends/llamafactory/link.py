"""The way to a far worker: deployed, started where it does not live, attached to."""

from __future__ import annotations

import asyncio
import contextlib
import shlex

import orjson

from trueup.backends.hosts.host import Finished, Host, Running
from trueup.backends.llamafactory.deploy import worker_file, worker_name
from trueup.backends.llamafactory.far.lines import MAX_LINE_BYTES, Message, message_of
from trueup.backends.llamafactory.faults import Faults
from trueup.backends.llamafactory.place import (
    NO_FILE,
    NO_WORKER,
    attach_command,
    keep_command,
    root_command,
    spec_of,
)
from trueup.config.llamafactory_settings import LlamaFactorySettings
from trueup.errors import BackendError

# A connection, a command, a start of an interpreter on a slow disk.
STEP_SECONDS = 60.0
# A worker may end between its start and our word to it; one that ends each time is broken.
STARTS = 3


class Link:
    """One attached relay: messages both ways until it ends."""

    def __init__(self, running: Running) -> None:
        self._running = running

    async def send(self, message: Message) -> None:
        """Tell the worker."""
        line = orjson.dumps(message) + b"\n"
        if len(line) > MAX_LINE_BYTES:
            raise BackendError(
                f"the conversation has {len(line)} bytes, expected up to {MAX_LINE_BYTES}",
                retryable=False,
                code="conversation_too_long",
            )
        with contextlib.suppress(BrokenPipeError):  # its end is read as such
            await self._running.write(line)

    async def receive(self) -> Message | None:
        """What the worker says next; None at the end. Lines that are no messages are passed over.

        Raises: HostLost where the connection broke.
        """
        while line := await self._running.readline():
            if (message := message_of(line)) is not None:
                return message
        return None

    async def ended(self) -> Finished:
        """How it ended."""
        status = await self._running.wait()
        return Finished(status=status, stdout=b"", stderr=self._running.stderr)

    async def close(self) -> None:
        """End the relay; the worker stays."""
        await self._running.terminate()


class Way:
    """How one worker is reached; `root` is the folder of workers there, as shell text."""

    def __init__(
        self, settings: LlamaFactorySettings, host: Host, root: str, faults: Faults
    ) -> None:
        self._settings = settings
        self._host = host
        self._root_text = root
        self._faults = faults
        self._root: str | None = None

    async def open(self, hello: Message, *, may_start: bool) -> tuple[Link, Message] | None:
        """A link, and the worker's first word; None where it does not live and may not be started.

        Raises: BackendError.
        """
        for start in range(1 + STARTS):
            if start:
                await self._start()
            found = await self._attached(hello)
            if found is not None or not may_start:
                return found
        raise BackendError(
            f"the worker of `{self._settings.name}` on {self._host.name} ended at once",
            retryable=True,
            code="worker_failed",
        )

    async def deployed(self) -> str:
        """The folder of workers there, with our file in it; raises BackendError."""
        if self._root is None:
            command = root_command(self._root_text)
            finished = await self._host.run(command, seconds=STEP_SECONDS)
            if finished.status:
                raise self._faults.of_command(finished)
            # A shell may greet before it does anything.
            self._root = finished.stdout.decode().rstrip("\n").rpartition("\n")[2]
            await self._host.put(worker_file(), f"{self._root}/{worker_name()}")
        return self._root

    async def _attached(
        self, hello: Message, *, is_anew: bool = False
    ) -> tuple[Link, Message] | None:
        root = await self.deployed()
        link = Link(await self._host.start(attach_command(self._settings, root)))
        is_kept = False
        try:
            async with asyncio.timeout(STEP_SECONDS):
                await link.send(hello)
                first = await link.receive()
                if first is not None:
                    is_kept = True
                    return link, first
                finished = await link.ended()
        except TimeoutError:
            raise BackendError(
                f"the worker of `{self._settings.name}` on {self._host.name} does not answer",
                retryable=True,
                code="worker_failed",
            ) from None
        finally:
            if not is_kept:
                await link.close()
        if finished.status in (0, NO_WORKER):
            return None
        if finished.status == NO_FILE and not is_anew:
            self._root = None
            return await self._attached(hello, is_anew=True)
        raise self._faults.of_command(finished)

    async def _start(self) -> None:
        root = await self.deployed()
        command = keep_command(self._settings, root)
        spec = orjson.dumps(spec_of(self._settings)) + b"\n"
        finished = await self._host.run(command, stdin=spec, seconds=STEP_SECONDS)
        if finished.status:
            raise self._faults.of_command(finished)


def local_root(home: str) -> str:
    """The folder of workers on this machine, as shell text."""
    return shlex.quote(f"{home}/llamafactory")
