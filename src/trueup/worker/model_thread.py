"""The worker's one model thread: it loads the model, then answers jobs.

Chats, completions and forecasts one after another, first come, first served; embeddings in batches
of many requests. Only this thread touches the model; it knows nothing of HTTP.
"""

from __future__ import annotations

import queue
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from trueup.adapt.plan import Plan
from trueup.engines.base import ChatEngine, Work
from trueup.errors import TrueUpError
from trueup.protocol.errors import error_body
from trueup.worker.faults import engine_error, load_error
from trueup.worker.job import Bar, Failed, Finished, Forecasted, Job, Prepared
from trueup.worker.memory import device_bytes, private_bytes

if TYPE_CHECKING:
    from trueup.engines.forecast import ForecastEngine

# Memory is measured after an answer, at most this often: the kernel walks every page for it.
MEASURE_SECONDS = 5.0

# A ChatEngine, an EmbeddingEngine or a ForecastEngine, as the plan's kind says.
Engine = Any
LoadEngine = Callable[[Plan, Callable[[float], None]], Engine]
Report = Callable[[Mapping[str, Any]], None]


class ModelThread:
    """Loads, then answers; `state`, `progress`, `finding`, `memory_bytes` tell how it is.

    `memory_bytes` is the host's, `device_bytes` the GPUs'.

    `work` counts what an engine has computed, but for embeddings. `report` gets every change of the
    others as a mapping of their names, in the model thread.
    """

    def __init__(self, plan: Plan, load_engine: LoadEngine, report: Report) -> None:
        self.state = "starting"
        self.progress = 0.0
        self.finding: dict[str, Any] | None = None
        self.memory_bytes: int | None = None
        self.device_bytes: int | None = None
        self.work = Work()
        self.kind = plan.kind
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
            self.finding = error_body(load_error(self._plan, error))["error"]
            self.state = "failed"
            self._report({"state": "failed", "finding": self.finding})
            return
        measured_at = self._measure()
        self.progress, self.state = 1.0, "ready"
        self._tell_memory()
        take_turn = self._turns(engine)
        while True:
            take_turn()
            if self._jobs.empty() and time.monotonic() - measured_at > MEASURE_SECONDS:
                measured_at = self._measure()
                self._tell_memory()

    def _measure(self) -> float:
        self.memory_bytes, self.device_bytes = private_bytes(), device_bytes()
        return time.monotonic()

    def _tell_memory(self) -> None:
        report: dict[str, Any] = {"state": "ready", "memory_bytes": self.memory_bytes}
        if self.device_bytes is not None:
            report["device_bytes"] = self.device_bytes
        self._report(report)

    def _turns(self, engine: Engine) -> Callable[[], None]:
        """What answers the next request or the next batch of several."""
        if self.kind == "embedding":
            # numpy is imported by then: an engine of embeddings is loaded.
            from trueup.worker.embedding_turns import EmbeddingTurns

            return EmbeddingTurns(engine, self._jobs).take
        self.work = engine.work
        answer = _forecast if self.kind == "forecast" else _answer
        return lambda: answer(engine, self._jobs.get())

    def _progressed(self, progress: float) -> None:
        # In steps of a hundredth: a load tells of every tensor.
        if int(progress * 100) > int(self.progress * 100):
            self.progress = progress
            self._report({"state": "starting", "progress": progress})


def _answer(engine: ChatEngine, job: Job) -> None:
    if job.is_cancelled():
        return
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
        job.pipe.put(Failed(error=engine_error(error)))
    else:
        job.pipe.put(Finished())


def _forecast(engine: ForecastEngine, job: Job) -> None:
    if job.is_cancelled():
        return
    on_bar = (lambda shape: job.pipe.put(Bar(shape=shape))) if job.request.stream else None
    try:
        shape = engine.forecast(job.request, on_bar, job.is_cancelled)
    except TrueUpError as error:
        job.pipe.put(Failed(error=error))
    except Exception as error:
        job.pipe.put(Failed(error=engine_error(error)))
    else:
        if shape is not None:  # else it was cancelled: nobody reads
            job.pipe.put(Forecasted(shape=shape))
