"""The workers of a pool, each a task from its start to its end, told as events.

It carries out what the scheduler wants; the pool's owner task is its only caller.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from trueup import events
from trueup.adapt.plan import Plan
from trueup.adapt.proof_record import check_proof
from trueup.errors import AdaptError, BackendError, TrueUpError
from trueup.events import FixApplied, LoadProgressed, MemoryMeasured
from trueup.pool.event import (
    Event,
    Measured,
    Progressed,
    WorkerExited,
    WorkerFailed,
    WorkerReady,
)
from trueup.pool.launcher import Launcher
from trueup.pool.process import WorkerProcess, reason_of
from trueup.pool.refusal import NO_ENVIRONMENT

log = logging.getLogger(__name__)


class Workers:
    """Running workers by model and number of the load."""

    def __init__(
        self, launcher: Launcher, post: Callable[[Event], None], *, logs_failures: bool = True
    ) -> None:
        self._launcher = launcher
        self._post = post
        self._logs_failures = logs_failures
        self._runs: dict[tuple[str, int], asyncio.Task[None]] = {}
        # Kept when a worker ends: a lease may be granted before its end is heard of.
        self._latest: dict[str, tuple[int, WorkerProcess]] = {}

    @property
    def is_any(self) -> bool:
        """Whether a worker runs."""
        return bool(self._runs)

    def start(self, model_id: str, load: int, plan: Plan) -> None:
        """Begin to start a worker."""
        self._runs[model_id, load] = asyncio.create_task(self._run(model_id, load, plan))

    def stop(self, model_id: str, load: int) -> None:
        """Begin to stop a worker; one that has ended has told so already."""
        run = self._runs.get((model_id, load))
        if run is not None:
            run.cancel()

    def process(self, model_id: str, load: int) -> WorkerProcess:
        """The worker that has said that it is ready."""
        latest, process = self._latest[model_id]
        if latest != load:
            raise KeyError(f"{model_id}: load {load} is not the latest, {latest}")
        return process

    async def has_ended(self, model_id: str, load: int, seconds: float) -> bool:
        """Whether a worker is at its end within `seconds`; its last event is posted by then."""
        run = self._runs.get((model_id, load))
        if run is None:
            return True
        done, _ = await asyncio.wait((run,), timeout=seconds)
        return bool(done)

    def pid(self, model_id: str, load: int) -> int | None:
        """The number of a worker's process, None where it is not started yet."""
        latest, process = self._latest.get(model_id, (None, None))
        return process.pid if process is not None and latest == load else None

    async def _run(self, model_id: str, load: int, plan: Plan) -> None:
        """One worker's life; its last act is to post the last event."""
        run = _Run(model_id, load, self._post)
        run.fixes = plan.fixes
        process: WorkerProcess | None = None
        try:
            process = await self._launcher.start(model_id, plan)
            self._latest[model_id] = (load, process)
            await asyncio.to_thread(check_proof, plan)  # while the worker loads
            await run.listen(process)
        except asyncio.CancelledError:
            run.is_stopped = True
        except AdaptError as error:
            run.failure = BackendError(
                f"no worker for `{model_id}` can be started: {error.cause}",
                retryable=False,
                code=error.code or NO_ENVIRONMENT,
                status=503,
                where=error.where,
                hint=error.hint,
            )
        except Exception as error:
            log.exception("the worker of %s cannot be started", model_id)
            run.failure = BackendError(
                f"no worker for `{model_id}` can be started: {error}",
                retryable=False,
                code="worker_not_started",
                status=503,
            )
        returncode = await process.end() if process is not None else None
        del self._runs[model_id, load]
        last = run.last_event(process, returncode)
        if run.failure is not None and self._logs_failures:
            lines = (run.failure.cause, run.failure.where, run.failure.hint)
            log.warning("%s", "\n".join(line for line in lines if line))
        self._post(last)


class _Run:
    """What is known of one run so far."""

    def __init__(self, model_id: str, load: int, post: Callable[[Event], None]) -> None:
        self.failure: TrueUpError | None = None
        self.finding: dict[str, Any] | None = None
        self.is_stopped = False
        self.fixes: Sequence[str] = ()
        self._is_ready = False
        self._model_id = model_id
        self._load = load
        self._post = post

    async def listen(self, process: WorkerProcess) -> None:
        """Pass reports on until the process ends or says that it has failed."""
        async for report in process.reports():
            if report["state"] == "failed":
                self.finding = report["finding"]
                return
            self._take(report)

    def last_event(self, process: WorkerProcess | None, returncode: int | None) -> Event:
        """What became of the worker, once its process is gone."""
        reason = "was stopped" if self.is_stopped else reason_of(returncode)
        if process is not None and self.failure is None and not self.is_stopped:
            if self.finding is not None:
                self.failure = process.failure(self.finding)
            elif not self._is_ready:
                self.failure = process.death(returncode)
        if self.failure is not None:
            return WorkerFailed(model_id=self._model_id, load=self._load, error=self.failure)
        return WorkerExited(model_id=self._model_id, load=self._load, reason=reason)

    def _take(self, report: dict[str, Any]) -> None:
        name, load, now = self._model_id, self._load, time.monotonic()
        if report["state"] == "starting":
            progress = report["progress"]
            self._post(Progressed(model_id=name, load=load, progress=progress))
            events.emit(LoadProgressed(at_seconds=now, model_id=name, progress=progress))
            return
        memory_bytes, device_bytes = report["memory_bytes"], report.get("device_bytes")
        measured = {"memory_bytes": memory_bytes, "device_bytes": device_bytes}
        if not self._is_ready:
            self._is_ready = True
            self._post(WorkerReady(model_id=name, load=load, **measured))
            for fix in self.fixes:
                events.emit(FixApplied(at_seconds=now, model_id=name, fix=fix))
        elif memory_bytes is not None:
            self._post(Measured(model_id=name, load=load, **measured))
        if memory_bytes is not None:
            events.emit(MemoryMeasured(at_seconds=now, model_id=name, memory_bytes=memory_bytes))
