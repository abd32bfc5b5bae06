"""Our end of one far worker: answers by their ids, resumed where the connection was lost.

Everything happens in one event loop. The worker outlives a connection for its lease: as long as
that, it is looked for, and each answer under way goes on after the last event that came.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable

from trueup.backends.hosts.host import HostLost
from trueup.backends.llamafactory.answering import Answering, Change
from trueup.backends.llamafactory.far.lines import Message
from trueup.backends.llamafactory.link import Link, Way
from trueup.errors import BackendError, TrueUpError

# Signs of life for each lease.
PINGS = 4
# Between two looks for a host that was lost.
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 5.0
CLOSE_SECONDS = 20.0
STOPPED: Message = {"state": "stopped"}


class Session:
    """One worker; `changed` is called when its `state` has become another one, `say` to tell."""

    def __init__(
        self,
        way: Way,
        *,
        name: str,
        lease_seconds: float,
        changed: Callable[[], None] = lambda: None,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.state: Message = STOPPED
        self.memory_bytes: int | None = None
        self._way = way
        self._name = name
        self._lease_seconds = lease_seconds
        self._changed = changed
        self._say = say
        self._client = secrets.token_hex(8)
        self._link: Link | None = None
        self._opening: asyncio.Task[object] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._pinging: asyncio.Task[None] | None = None
        self._answers: dict[str, Answering] = {}
        # Answers that nobody wants, as far as the worker has not said that it knows.
        self._left: set[str] = set()
        self._is_closed = self._is_unloading = False
        self._change = Change()

    async def ask(self, request: Message) -> Answering:
        """Have a request answered; the worker is started where it does not live.

        Raises: TrueUpError where it cannot be reached.
        """
        await self.connect()
        answering = Answering(request)
        self._answers[answering.id] = answering
        try:
            await self._send(answering.request)
        except TrueUpError:  # longer than a line may be
            del self._answers[answering.id]
            raise
        except asyncio.CancelledError:  # it may have been sent
            await self.leave(answering)
            raise
        return answering

    async def load(self) -> None:
        """Have the model loaded where it is not, without a request.

        Raises: TrueUpError where the worker cannot be reached.
        """
        await self.connect()
        if self.state.get("state") == "failed":
            change = self._change
            await self._send({"op": "load"})
            await change.wait()

    async def leave(self, answering: Answering) -> None:
        """Want no more of an answer: one under way is cancelled."""
        self._answers.pop(answering.id, None)
        self._left.add(answering.id)
        await self._tell_left(answering.id)
        await self._send({"op": "ping"})  # its memory has grown with the answer

    async def _tell_left(self, *answer_ids: str) -> None:
        """Have answers that nobody wants ended and forgotten; the worker says when they are."""
        for each in answer_ids:
            await self._send({"op": "cancel", "id": each})
            await self._send({"op": "done", "id": each})

    async def connect(self) -> None:
        """See that there is a worker and a link to it.

        Raises: TrueUpError.
        """
        while self._link is None or self._is_unloading:
            if self._is_closed:
                raise self._lost("was unloaded")
            if self._is_unloading and self._reading is not None:
                await asyncio.wait((self._reading,))
                continue
            if self._opening is None or self._opening.done():
                self._opening = asyncio.create_task(self._open(may_start=True))
                self._opening.add_done_callback(self._opened)
            await asyncio.shield(self._opening)

    def _opened(self, task: asyncio.Task[object]) -> None:
        """Its errors are told to whoever waits; what is no word of ours must not leave them so."""
        if not task.cancelled() and (error := task.exception()) is not None:
            if not isinstance(error, TrueUpError):
                error = self._lost(f"cannot be reached: {type(error).__name__}: {error}")
            if self._link is None:
                self._fail_all(error)

    async def _open(self, *, may_start: bool) -> bool:
        """Open a link, and go on with what is under way; false where there is no worker."""
        hello = {
            "op": "hello",
            "client": self._client,
            "lease_seconds": self._lease_seconds,
        }
        found = await self._way.open(hello, may_start=may_start)
        if found is None:
            return False
        self._link, state = found
        self._take_state(state)
        self._reading = asyncio.create_task(self._read(self._link))
        if self._pinging is None:
            self._pinging = asyncio.create_task(self._ping())
        await self._tell_left(*self._left)
        for answering in list(self._answers.values()):
            if not answering.is_over:
                await self._send({"op": "resume", "id": answering.id, "after": answering.seq})
        return True

    async def _send(self, message: Message) -> bool:
        """False where there is no link to send it."""
        if self._link is None:
            return False
        try:
            await self._link.send(message)
        except HostLost:
            return False
        return True

    async def _read(self, link: Link) -> None:
        with contextlib.suppress(TrueUpError):
            while (message := await link.receive()) is not None:
                await self._take(message)
        with contextlib.suppress(HostLost):
            await link.close()
        self._link = None
        if self._is_unloading or self._is_closed:
            self._is_unloading = False
            self._left.clear()
            self._fail_all(self._lost("was unloaded"))
            return
        self._opening = asyncio.create_task(self._reopen())
        self._opening.add_done_callback(self._opened)

    async def _take(self, message: Message) -> None:
        event = message.get("event")
        if event == "state":
            self._take_state(message)
        elif event == "pong":
            self.memory_bytes = message.get("memory_bytes")
        elif event == "forgotten":
            self._left.discard(str(message["id"]))
        elif (answering := self._answers.get(str(message.get("id")))) is not None:
            if event == "gone" and not answering.seq:  # the connection was lost under the request
                await self._send(answering.request)
            elif event == "gone":
                answering.fail(self._lost("was started anew"))
            else:
                answering.add(message)

    async def changes(self) -> None:
        """Wait until the worker says something else of itself.

        Raises: TrueUpError where it was lost.
        """
        await self._change.wait()

    def _take_state(self, state: Message, error: TrueUpError | None = None) -> None:
        self.state = state
        self.memory_bytes = state.get("memory_bytes")
        change, self._change = self._change, Change()
        change.come(error)
        self._changed()

    async def _reopen(self) -> None:
        """Look for the worker after the connection was lost, for as long as its lease."""
        self._say(f"the connection to the worker of `{self._name}` dropped: reconnecting")
        end = time.monotonic() + self._lease_seconds
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                is_there = await self._open(may_start=False)
                break
            except TrueUpError as error:
                is_lasting = not isinstance(error, BackendError) or not error.retryable
                if is_lasting or time.monotonic() + pause > end:
                    self._fail_all(error)
                    return
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        if is_there:
            self._say(f"reconnected to the worker of `{self._name}`: its model stayed loaded")
        else:
            self._left.clear()
            self._fail_all(self._lost("was killed (often out of memory)"))

    def _lost(self, how: str) -> BackendError:
        return BackendError(
            f"the worker of `{self._name}` {how}",
            retryable=True,
            code="worker_failed",
            where=self._name,
            hint="ask again: it is started anew",
        )

    def _fail_all(self, error: TrueUpError) -> None:
        self._take_state(STOPPED, error)
        for answering in self._answers.values():
            if not answering.is_over:
                answering.fail(error)

    async def _ping(self) -> None:
        while True:
            await self._send({"op": "ping"})
            await asyncio.sleep(self._lease_seconds / PINGS)

    async def settle(self) -> None:
        """Wait until a worker that is looked for is found, or is not."""
        while self._opening is not None and not self._opening.done():
            await asyncio.wait((self._opening,))

    async def unload(self) -> None:
        """End the worker, unless others use it, and the link; waits until it is gone."""
        link, reading = self._link, self._reading
        if link is None or reading is None or self._is_unloading:
            return
        self._is_unloading = True
        await self._send({"op": "unload"})
        # It closes the connection when its processes are gone.
        await asyncio.wait((reading,), timeout=CLOSE_SECONDS)
        if not reading.done():  # others use it, or it hangs: its lease ends it
            await link.close()
            await asyncio.wait((reading,))

    async def close(self) -> None:
        """End all of it; answers under way are lost."""
        self._is_closed = True
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait((self._opening,))
        if self._pinging is not None:
            self._pinging.cancel()
        await self.unload()
        self._fail_all(self._lost("was unloaded"))
