"""The pool's decisions: which model is loaded and unloaded, and who is served next.

A state machine without threads, clocks or IO: events go in with the time, what is to be done
goes out through `Effects`. One task owns it (pool.py); `budget.py` says what fits.
"""

from __future__ import annotations

from typing import Protocol

from trueup.errors import BackendError, TrueUpError
from trueup.events import State
from trueup.pool.budget import Budget, shortage
from trueup.pool.event import (
    Event,
    Measured,
    Progressed,
    Released,
    Requested,
    Shutdown,
    Ticket,
    TimePassed,
    WorkerExited,
    WorkerFailed,
    WorkerReady,
)
from trueup.pool.model import Model
from trueup.pool.refusal import (
    closing,
    does_not_fit,
    load_failed,
    queue_full,
    unknown_model,
    worker_died,
)

# A load that failed is tried again after this, doubled with each failure in a row.
FIRST_BACKOFF_SECONDS = 2.0
LONGEST_BACKOFF_SECONDS = 60.0


class Effects(Protocol):
    """What the scheduler has others do. Every method returns at once.

    Of every started worker comes exactly one last word with its load's number: WorkerFailed
    where it never was ready, WorkerExited where it was or was stopped.
    """

    def start_worker(self, model_id: str, load: int) -> None:
        """Begin to start a worker."""

    def stop_worker(self, model_id: str, load: int) -> None:
        """Begin to stop a worker, or give up its start."""

    def grant(self, ticket: Ticket, load: int) -> None:
        """Give the worker to a waiter; `Released` comes back, also from one that has left."""

    def refuse(self, ticket: Ticket, error: TrueUpError) -> None:
        """Tell a waiter that it waits in vain."""

    def changed(self, model_id: str, before: State, after: State, reason: str | None) -> None:
        """A model has another state."""

    def available_bytes(self) -> int | None:
        """Host memory that the system has left, None where unknown."""


class Scheduler:
    """States, waiters and leases of all models of a pool."""

    def __init__(
        self,
        effects: Effects,
        *,
        concurrency: int = 1,
        queue_limit: int = 64,
        budget: Budget | None = None,
        is_private: bool = False,
    ) -> None:
        self.models: dict[str, Model] = {}
        self._effects = effects
        self._concurrency = concurrency
        self._queue_limit = queue_limit
        self._budget = budget or Budget()
        self._is_private = is_private
        self._is_closing = False

    def add(self, model: Model) -> None:
        """Make a model known; it stays unloaded."""
        self.models[model.id] = model

    @property
    def is_finished(self) -> bool:
        """Whether the pool is closing and no worker is left."""
        return self._is_closing and all(
            model.state in ("stopped", "failed") for model in self.models.values()
        )

    def deadline(self) -> float | None:
        """When `TimePassed` is needed next."""
        times = [when for model in self.models.values() if (when := model.unload_at) is not None]
        return min(times, default=None)

    def handle(self, event: Event, now: float) -> None:
        """Take one event; `now` never goes back."""
        match event:
            case Requested():
                self._requested(event.ticket, now)
            case Released():
                self._released(event.ticket, now)
            case WorkerReady() | WorkerFailed() | WorkerExited() | Progressed() | Measured():
                model = self.models[event.model_id]
                # Word of an earlier worker of this model is late and means nothing.
                if event.load == model.load:
                    self._worker(model, event, now)
            case TimePassed():
                self._time_passed(now)
            case Shutdown():
                self._shutdown(event)

    def _requested(self, ticket: Ticket, now: float) -> None:
        """Decide about a new waiter.

        1. It has left already: nothing, it can never start a load.
        2. Nobody serves such a model: refused.
        3. The server is going down: refused.
        4. The last load failed and the back-off is not over: refused with that failure.
        5. The worker is ready, has a free place and nobody waits: granted.
        6. The queue is full: refused.
        7. The model is not loaded and does not fit: refused with the numbers.
        8. It waits; a model that is not loaded is started.
        """
        if ticket.is_abandoned:  # 1
            return
        model = self.models.get(ticket.model_id)
        if model is None:  # 2
            self._effects.refuse(ticket, unknown_model(ticket.model_id))
            return
        if self._is_closing:  # 3
            self._effects.refuse(ticket, closing())
            return
        if model.state == "failed" and now < model.retry_at:  # 4
            self._effects.refuse(ticket, self._load_failed(model, model.retry_at - now))
            return
        if self._has_place(model) and not model.waiters:  # 5
            self._grant(model, ticket)
            return
        if len(model.waiters) >= self._queue_limit:  # 6
            self._effects.refuse(ticket, queue_full(model))
            return
        if model.state in ("stopped", "failed"):
            refusal = self._refusal(model)
            if refusal is not None:  # 7
                self._effects.refuse(ticket, refusal)
                return
            self._start(model)  # 8
        model.waiters.append(ticket)

    def _released(self, ticket: Ticket, now: float) -> None:
        model = self.models.get(ticket.model_id)
        if model is None:
            return
        if ticket in model.waiters:
            model.waiters.remove(ticket)
        elif ticket in model.leases:
            model.leases.discard(ticket)
            self._serve_waiters(model, now)

    def _worker(self, model: Model, event: Event, now: float) -> None:
        match event:
            case Progressed() if model.state == "starting":
                model.progress = event.progress
            case Measured():
                model.memory_bytes, model.device_bytes = event.memory_bytes, event.device_bytes
            case WorkerReady() if model.state == "starting":
                model.memory_bytes, model.device_bytes = event.memory_bytes, event.device_bytes
                model.progress, model.failures, model.error = 1.0, 0, None
                self._change(model, "ready")
                self._serve_waiters(model, now)
            case WorkerFailed() if model.state == "starting":
                self._failed(model, event.error, now)
            case WorkerFailed() if model.state == "stopping":
                self._exited(model, event.error.cause, now)
            case WorkerExited() if model.is_held:
                self._exited(model, event.reason, now)

    def _failed(self, model: Model, error: TrueUpError, now: float) -> None:
        """Whoever waits is refused, but for the first time that a load was killed from outside.

        That says nothing about the model; a second time may be the system's lack of memory.
        """
        model.failures += 1
        if model.failures == 1 and isinstance(error, BackendError) and error.retryable:
            model.error, model.retry_at = error, now
            self._gone(model, "failed", error.cause)
            self._start_anew(model)
            return
        pause = min(LONGEST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2 ** (model.failures - 1))
        model.error, model.retry_at = error, now + pause
        self._gone(model, "failed", error.cause)
        while model.waiters:
            self._effects.refuse(model.waiters.popleft(), self._load_failed(model, pause))

    def _load_failed(self, model: Model, seconds: float) -> TrueUpError:
        return load_failed(model, seconds, is_private=self._is_private)

    def _exited(self, model: Model, reason: str, now: float) -> None:
        """Whoever waits is served by a new worker; who held the lost one sees it break."""
        if model.state == "stopping":
            self._gone(model, "stopped", None)
        else:
            model.error, model.retry_at = worker_died(model, reason), now
            self._gone(model, "failed", reason)
        self._start_anew(model)

    def _start_anew(self, model: Model) -> None:
        if not model.waiters:
            return
        refusal = closing() if self._is_closing else self._refusal(model)
        if refusal is None:
            self._start(model)
            return
        while model.waiters:
            self._effects.refuse(model.waiters.popleft(), refusal)

    def _time_passed(self, now: float) -> None:
        for model in self.models.values():
            when = model.unload_at
            if when is not None and when <= now:
                self._stop(model, f"idle for {model.ttl_seconds:g} s")

    def _shutdown(self, event: Shutdown) -> None:
        self._is_closing = True
        for model in self.models.values():
            while model.waiters:
                self._effects.refuse(model.waiters.popleft(), closing())
            if model.state == "starting" or (
                model.state == "ready" and (event.is_forced or not model.leases)
            ):
                self._stop(model, "the server is shutting down")

    def _serve_waiters(self, model: Model, now: float) -> None:
        while model.waiters and self._has_place(model):
            self._grant(model, model.next_waiter())
        if model.state != "ready" or model.leases:
            return
        model.idle_since = now
        if self._is_closing:
            self._stop(model, "the server is shutting down")

    def _has_place(self, model: Model) -> bool:
        limit = model.concurrency or self._concurrency
        return model.state == "ready" and len(model.leases) < limit

    def _grant(self, model: Model, ticket: Ticket) -> None:
        model.idle_since = None
        model.leases.add(ticket)
        model.note_turn(ticket.client)
        self._effects.grant(ticket, model.load)

    def _refusal(self, model: Model) -> TrueUpError | None:
        """Why the model cannot be started now; room is not made by evicting others."""
        missing = shortage(
            model.plan,
            [each.reservation for each in self.models.values() if each.is_held],
            budget=self._budget,
            available_bytes=self._effects.available_bytes(),
        )
        return None if missing is None else does_not_fit(model, missing)

    def _start(self, model: Model) -> None:
        model.load += 1
        model.progress, model.memory_bytes, model.device_bytes = 0.0, None, None
        self._change(model, "starting")
        self._effects.start_worker(model.id, model.load)

    def _stop(self, model: Model, reason: str) -> None:
        self._change(model, "stopping", reason)
        self._effects.stop_worker(model.id, model.load)

    def _gone(self, model: Model, state: State, reason: str | None) -> None:
        model.leases.clear()
        model.memory_bytes = model.device_bytes = model.idle_since = None
        model.progress = 0.0
        self._change(model, state, reason)

    def _change(self, model: Model, state: State, reason: str | None = None) -> None:
        before, model.state = model.state, state
        self._effects.changed(model.id, before, state, reason)
