"""Embedding requests of many clients, merged into batches; runs in the model thread.

A turn takes what has come, keeps every lane busy with a batch, waits for the first one to end
and answers the requests that are complete. Requests that come meanwhile are in the next turn;
long ones are tokenized apart.
"""

from __future__ import annotations

import queue
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from trueup.engines.batching import Batcher, Row
from trueup.engines.embedding import EmbeddingEngine
from trueup.engines.embedding_input import Rows
from trueup.engines.encoder import Vectors
from trueup.errors import TrueUpError
from trueup.protocol.embedding import EmbeddingRequest
from trueup.worker.faults import engine_error
from trueup.worker.job import Embedded, Failed, Job

# Clients that ask at the same time come within this; alone, nobody waits longer for it.
MERGE_SECONDS = 0.002
# Tokenizing takes seconds for a megabyte; up to so much of it is done between two batches.
LONG_CHARACTERS = 2**15


@dataclass(slots=True, eq=False)
class _Pending:
    """A request whose rows are not all computed."""

    job: Job
    rows: Rows
    missing: int
    vectors: list[Vectors | None] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Read:
    """A long request whose rows are made."""

    job: Job
    rows: Rows


def _read(prepare: Callable[[EmbeddingRequest], Rows], job: Job) -> Rows | None:
    """The rows of a request; None where it was answered with an error."""
    try:
        return prepare(job.request)
    except TrueUpError as error:
        job.pipe.put(Failed(error=error))
    except Exception as error:
        job.pipe.put(Failed(error=engine_error(error)))
    return None


def _characters(request: EmbeddingRequest) -> int:
    return sum(map(len, request.inputs))


class EmbeddingTurns:
    """The requests under way for one engine; `jobs` is where they come from."""

    def __init__(self, engine: EmbeddingEngine, jobs: queue.SimpleQueue[Any]) -> None:
        self._engine = engine
        # Jobs, and those that were read apart.
        self._jobs = jobs
        self._batcher = Batcher(engine.budget_tokens)
        self._pending: dict[int, _Pending] = {}
        self._number = 0
        self._lanes = ThreadPoolExecutor(engine.lanes, thread_name_prefix="encode")
        self._running: dict[Future[Vectors], list[Row]] = {}
        self._again: deque[list[Row]] = deque()
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="read")

    def take(self) -> None:
        """One turn; waits for a request where none is under way."""
        try:
            self._turn()
        except Exception as error:  # a bug of ours: nobody is left waiting for it
            self._abandon(engine_error(error))

    def _turn(self) -> None:
        if not self._pending:
            self._add(self._jobs.get())
            self._gather(time.monotonic() + MERGE_SECONDS)
        else:
            self._gather(0.0)
        self._leave_cancelled()
        self._start()
        if self._running:
            done, _ = wait(self._running, return_when=FIRST_COMPLETED)
            for each in done:
                self._end(each, self._running.pop(each))

    def _start(self) -> None:
        """Give a batch to every free lane; one that is alone gets the threads of all lanes."""
        while len(self._running) < self._engine.lanes and (self._again or len(self._batcher)):
            batch = self._again.popleft() if self._again else self._batcher.next_batch()
            is_alone = not self._running and not self._again and not len(self._batcher)
            started = self._lanes.submit(
                self._engine.encode,
                [row.token_ids for row in batch],
                threads=self._engine.lanes if is_alone else 1,
            )
            self._running[started] = batch

    def _gather(self, until: float) -> None:
        while True:
            pause = until - time.monotonic()
            try:
                self._add(self._jobs.get(timeout=pause) if pause > 0 else self._jobs.get_nowait())
            except queue.Empty:
                return

    def _add(self, item: Job | _Read) -> None:
        if isinstance(item, _Read):
            self._enlist(item.job, item.rows)
        elif item.is_cancelled():
            return
        elif _characters(item.request) > LONG_CHARACTERS:
            self._reader.submit(self._read_apart, item)
        elif (rows := _read(self._engine.prepare, item)) is not None:
            self._enlist(item, rows)

    def _read_apart(self, job: Job) -> None:
        """Tokenize a long request in a thread of its own: seconds, which nobody else waits for."""
        rows = None if job.is_cancelled() else _read(self._engine.prepare_apart, job)
        if rows is not None:
            self._jobs.put(_Read(job, rows))

    def _enlist(self, job: Job, rows: Rows) -> None:
        self._number += 1
        count = len(rows.token_ids)
        self._pending[self._number] = _Pending(job, rows, count, [None] * count)
        self._batcher.add(self._number, rows.token_ids)

    def _leave_cancelled(self) -> None:
        for number in [n for n, each in self._pending.items() if each.job.is_cancelled()]:
            self._batcher.drop(number)
            del self._pending[number]

    def _end(self, ended: Future[Vectors], batch: list[Row]) -> None:
        owners = {row.owner for row in batch}
        try:
            vectors = ended.result()
        except Exception as error:
            if len(owners) > 1:  # one of them is to blame: each by itself
                self._again += [[row for row in batch if row.owner == each] for each in owners]
                return
            fault = engine_error(error)
            for number in owners:
                self._fail(number, fault)
            return
        for row, vector in zip(batch, vectors, strict=True):
            pending = self._pending.get(row.owner)
            if pending is not None:  # else it has left, or failed by another batch
                pending.vectors[row.position] = vector
                pending.missing -= 1
        for number in owners:
            pending = self._pending.get(number)
            if pending is not None and not pending.missing:
                del self._pending[number]
                self._finish(pending)

    def _fail(self, number: int, error: TrueUpError) -> None:
        self._batcher.drop(number)
        pending = self._pending.pop(number, None)
        if pending is not None:
            pending.job.pipe.put(Failed(error=error))

    def _abandon(self, error: TrueUpError) -> None:
        """Answer everybody with an error, and begin anew."""
        for number in tuple(self._pending):
            self._fail(number, error)
        self._batcher = Batcher(self._engine.budget_tokens)
        self._again.clear()
        self._running.clear()

    def _finish(self, pending: _Pending) -> None:
        rows, job = pending.rows, pending.job
        try:
            vectors = self._engine.finish(rows, np.stack(pending.vectors), job.request)  # type: ignore[arg-type]
        except TrueUpError as error:
            job.pipe.put(Failed(error=error))
            return
        except Exception as error:
            job.pipe.put(Failed(error=engine_error(error)))
            return
        notes = {"truncated": rows.truncated, "windows": rows.windowed}
        job.pipe.put(Embedded(vectors=vectors, prompt_tokens=rows.prompt_tokens, notes=notes))
