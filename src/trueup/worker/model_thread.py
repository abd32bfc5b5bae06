"""The worker's one model thread: it loads the model, then answers jobs one after another.

First come, first served. Only this thread touches the model; it knows nothing of HTTP.
"""

from __future__ import annotations

import queue
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from trueup.adapt.plan import Plan
from trueup.engines.base import ChatEngine, Step
from trueup.errors import BackendError, TrueUpError
from trueup.protocol.chat import ChatRequest
from trueup.protocol.completion import CompletionRequest
from trueup.protocol.errors import error_body
from trueup.worker.memory import private_bytes
from trueup.worker.pipe import Pipe

# Memory is measured after an answer, at most this often: the kernel walks every page for it.
MEASURE_SECONDS = 5.0

LoadEngine = Callable[[Plan, Callable[[float], None]], ChatEngine]
Report = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A job's prompts are made and its first step is next."""

    prompt_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A job's last item: it went wrong."""

    error: TrueUpError


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A job's last item: every choice is complete."""


Item = Prepared | Step | Failed | Finished


class Job:
    """One request on its way through the model thread."""

    def __init__(self, request: ChatRequest | CompletionRequest, pipe: Pipe[Item]) -> None:
        self.request = request
        self.pipe = pipe
        self._is_cancelled = False

    def cancel(self) -> None:
        """Nobody wants the answer any more; called in any thread."""
        self._is_cancelled = True

    def is_cancelled(self) -> bool:
        """Whether the model thread may leave the job at its next step."""
        return self._is_cancelled


class ModelThread:
    """Loads, then answers; `state`, `progress`, `finding` and `memory_bytes` tell how it is.

    `report` gets every change as a mapping of these names, in the model thread.
    """

    def __init__(self, plan: Plan, load_engine: LoadEngine, report: Report) -> None:
        self.state = "starting"
        self.progress = 0.0
        self.finding: dict[str, Any] | None = None
        self.memory_bytes: int | None = None
        self._plan = plan
        self._load_engine = load_engine
        self._report = report
        self._jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)

    def start(self) -> None:
        """Begin to load."""
        self._thread.start()

    @property
    def queued(self) -> int:
        """How many jobs wait, the running one not counted."""
        return self._jobs.qsize()

    def submit(self, job: Job) -> None:
        """Queue a job; its items come through its pipe."""
        self._jobs.put(job)

    def _run(self) -> None:
        try:
            engine = self._load_engine(self._plan, self._progressed)
        except BaseException as error:
            traceback.print_exc()
            self.finding = error_body(_load_error(self._plan, error))["error"]
            self.state = "failed"
            self._report({"state": "failed", "finding": self.finding})
            return
        self.memory_bytes, self.progress = private_bytes(), 1.0
        self.state = "ready"
        self._report({"state": "ready", "memory_bytes": self.memory_bytes})
        measured_at = time.monotonic()
        while True:
            job = self._jobs.get()
            if not job.is_cancelled():
                _answer(engine, job)
            if self._jobs.empty() and time.monotonic() - measured_at > MEASURE_SECONDS:
                self.memory_bytes, measured_at = private_bytes(), time.monotonic()
                self._report({"state": "ready", "memory_bytes": self.memory_bytes})

    def _progressed(self, progress: float) -> None:
        # In steps of a hundredth: a load tells of every tensor.
        if int(progress * 100) > int(self.progress * 100):
            self.progress = progress
            self._report({"state": "starting", "progress": progress})


def _answer(engine: ChatEngine, job: Job) -> None:
    try:
        prompts = engine.prepare(job.request)
        job.pipe.put(Prepared(prompt_tokens=sum(len(prompt.token_ids) for prompt in prompts)))
        for prompt in prompts:
            for step in engine.generate(prompt, job.request, job.is_cancelled):
                job.pipe.put(step)
            if job.is_cancelled():
                return
    except TrueUpError as error:
        job.pipe.put(Failed(error=error))
    except Exception as error:
        traceback.print_exc()
        job.pipe.put(Failed(error=_engine_error(error)))
    else:
        job.pipe.put(Finished())


def _engine_error(error: Exception) -> TrueUpError:
    return BackendError(
        f"the engine stopped at `{type(error).__name__}: {error}`",
        retryable=True,
        code="engine_failed",
        status=500,
        where=_place(error),
    )


def _load_error(plan: Plan, error: BaseException) -> TrueUpError:
    if isinstance(error, TrueUpError):
        return error
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    return BackendError(
        f"loading `{plan.model.id}` stopped at `{type(error).__name__}: {error}`",
        retryable=False,
        code="model_load_failed",
        status=503,
        where=_place(error),
        hint="pip install torch transformers" if missing in ("torch", "transformers") else None,
    )


def _place(error: BaseException) -> str | None:
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else None
