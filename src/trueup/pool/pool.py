"""The pool: models that are loaded when somebody wants them and unloaded when nobody does.

One task takes all events, one after another; the scheduler decides, this file carries out.
Everything here runs in the server's event loop, and nothing waits inside a handler.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from trueup import events
from trueup.adapt.plan import Plan
from trueup.environment.hardware import host_memory
from trueup.errors import TrueUpError
from trueup.events import ModelStateChanged, State
from trueup.pool.budget import Budget
from trueup.pool.event import (
    Event,
    Released,
    Requested,
    Shutdown,
    Ticket,
    TimePassed,
)
from trueup.pool.launcher import Launcher, ProcessLauncher
from trueup.pool.model import Model
from trueup.pool.refusal import closing
from trueup.pool.scheduler import Scheduler
from trueup.pool.workers import Workers

# Between a connection that is lost and word of its process's end.
END_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """A leased worker: HTTP as in `trueup.worker.app` on a Unix socket.

    `load` tells it from earlier and later workers of its model.
    """

    model_id: str
    socket_path: Path
    load: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelState:
    """How one model is, for people: no decision may be made from it."""

    id: str
    state: State
    progress: float
    memory_bytes: int | None
    queued: int
    leases: int
    idle_seconds: float | None
    pid: int | None
    last_error: TrueUpError | None
    device_bytes: int | None = None


class Pool:
    """Use it as an async context manager, or `start` it and `close` it.

    `concurrency` is how many leases a worker has at a time, `queue_limit` how many callers may
    wait for one model. Of an `is_private` pool whoever asks is who runs the server: a failed load
    is told to him whole, and not in the log as well.
    """

    def __init__(
        self,
        *,
        concurrency: int = 1,
        queue_limit: int = 64,
        budget: Budget | None = None,
        launcher: Launcher | None = None,
        clock: Callable[[], float] = time.monotonic,
        available_bytes: Callable[[], int | None] | None = None,
        is_private: bool = False,
    ) -> None:
        self._launcher = launcher or ProcessLauncher()
        self._clock = clock
        self._available_bytes = available_bytes or (lambda: host_memory()[1])
        self._queue: asyncio.Queue[Event] = asyncio.Queue()
        self._scheduler = Scheduler(
            self,
            concurrency=concurrency,
            queue_limit=queue_limit,
            budget=budget,
            is_private=is_private,
        )
        self._workers = Workers(self._launcher, self.post, logs_failures=not is_private)
        self._promises: dict[Ticket, asyncio.Future[Worker]] = {}
        self._finished = asyncio.Event()
        self._owner: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Pool:
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def start(self) -> None:
        """Begin to take requests; called in the event loop."""
        if self._owner is None:
            self._owner = asyncio.create_task(self._own())

    def add(
        self,
        model_id: str,
        plan: Plan,
        *,
        ttl_seconds: float | None = None,
        pin: bool = False,
        concurrency: int | None = None,
    ) -> None:
        """Make a model known; it is loaded at its first lease.

        Idle for `ttl_seconds` it is unloaded, never where that is None or `pin` is set.
        `concurrency` is how many leases it has at a time, None for the pool's number.
        """
        self._scheduler.add(
            Model(
                id=model_id,
                plan=plan,
                ttl_seconds=ttl_seconds,
                is_pinned=pin,
                concurrency=concurrency,
            )
        )

    def warm_up(self) -> None:
        """Do the workers' imports in the background, before the first request needs them."""
        self._launcher.warm_up()

    @asynccontextmanager
    async def lease(self, model_id: str, *, client: str = "") -> AsyncIterator[Worker]:
        """A worker to ask, as long as the context is open; waits for the load and for a place.

        Clients that wait take turns, so that one with many requests does not hold up others.

        Raises:
            CapacityError: the queue is full (429), the model does not fit, or the pool closes.
            BackendError: the model did not load (503) or is not known (404).
        """
        if self._owner is None:
            raise closing()
        ticket = Ticket(model_id=model_id, client=client)
        promise = self._promises[ticket] = asyncio.get_running_loop().create_future()
        self.post(Requested(ticket=ticket))
        try:
            yield await promise
        finally:
            ticket.is_abandoned = True
            self._promises.pop(ticket, None)
            self.post(Released(ticket=ticket))

    async def has_ended(self, worker: Worker) -> bool:
        """Whether the worker has ended, or does so within a few seconds.

        Where it has, the next lease is another worker's.
        """
        return await self._workers.has_ended(worker.model_id, worker.load, END_SECONDS)

    def snapshot(self) -> tuple[ModelState, ...]:
        """How every model is now, in the order in which they were added."""
        now = self._clock()
        return tuple(
            ModelState(
                id=model.id,
                state=model.state,
                progress=model.progress,
                memory_bytes=model.memory_bytes,
                device_bytes=model.device_bytes,
                queued=len(model.waiters),
                leases=len(model.leases),
                idle_seconds=None if model.idle_since is None else now - model.idle_since,
                pid=self._workers.pid(model.id, model.load) if model.is_held else None,
                last_error=model.error,
            )
            for model in self._scheduler.models.values()
        )

    async def close(self, drain_seconds: float = 0.0) -> None:
        """Take no more requests, wait for answers under way, end every worker.

        After `drain_seconds` workers are ended in mid-answer.
        """
        if self._owner is not None:
            self.post(Shutdown())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._finished.wait(), drain_seconds)
            self.post(Shutdown(is_forced=True))
            await self._finished.wait()
            self._owner.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._owner
            self._owner = None
        if self._timer is not None:
            self._timer.cancel()
        await self._launcher.close()

    def post(self, event: Event) -> None:
        """Queue an event for the owner task; called in the event loop."""
        self._queue.put_nowait(event)

    async def _own(self) -> None:
        while True:
            event = await self._queue.get()
            if isinstance(event, Requested):
                # Cancelled in this very turn of the loop: its task has not run to say so.
                event.ticket.is_abandoned |= self._has_left(event.ticket)
            self._scheduler.handle(event, self._clock())
            if self._queue.empty():
                self._set_timer()
            if self._scheduler.is_finished and not self._workers.is_any:
                self._finished.set()

    def _has_left(self, ticket: Ticket) -> bool:
        promise = self._promises.get(ticket)
        return promise is None or promise.cancelled()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self._scheduler.deadline()
        if deadline is not None:
            pause = max(0.0, deadline - self._clock())
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(pause, self.post, TimePassed())

    # The scheduler's effects.

    def start_worker(self, model_id: str, load: int) -> None:
        """Begin to start a worker."""
        self._workers.start(model_id, load, self._scheduler.models[model_id].plan)

    def stop_worker(self, model_id: str, load: int) -> None:
        """Begin to stop a worker."""
        self._workers.stop(model_id, load)

    def grant(self, ticket: Ticket, load: int) -> None:
        """Give the worker to a waiter."""
        promise = self._promises.get(ticket)
        if promise is not None and not promise.done():
            process = self._workers.process(ticket.model_id, load)
            worker = Worker(model_id=ticket.model_id, socket_path=process.socket_path, load=load)
            promise.set_result(worker)

    def refuse(self, ticket: Ticket, error: TrueUpError) -> None:
        """Tell a waiter that it waits in vain."""
        promise = self._promises.get(ticket)
        if promise is not None and not promise.done():
            promise.set_exception(error)

    def changed(self, model_id: str, before: State, after: State, reason: str | None) -> None:
        """Tell of a model's new state."""
        events.emit(
            ModelStateChanged(
                at_seconds=time.monotonic(),
                model_id=model_id,
                before=before,
                after=after,
                reason=reason,
            )
        )

    def available_bytes(self) -> int | None:
        """Host memory that the system has left."""
        return self._available_bytes()
