"""Several jobs at once, in threads that a stop, an interrupt or a time limit leaves behind.

The caller's thread waits in short steps, so that Ctrl-C is seen whatever the network does.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from trueup.checkpoint.hub.watch import Watch
from trueup.errors import HubError

STEP_SECONDS = 0.2
TRIES = 3
FIRST_WAIT_SECONDS = 1.0
WORTH_ANOTHER_TRY = ("network", "busy")
THREADS = 8
Job = Callable[[threading.Event], None]
Answer = TypeVar("Answer")


def in_parallel(
    jobs: Sequence[Job],
    watch: Watch,
    *,
    limit_seconds: float | None = None,
    threads: int = THREADS,
) -> None:
    """Do all jobs; the first one that fails ends it.

    A job is given an event: once it is set nobody waits for the job any more.

    Raises: what a job raises; HubError when it is stopped or takes longer than the limit.
    """
    waiting: queue.SimpleQueue[Job] = queue.SimpleQueue()
    for job in jobs:
        waiting.put(job)
    done: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
    given_up = threading.Event()

    def work() -> None:
        while not given_up.is_set():
            try:
                job = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                job(given_up)
            except BaseException as error:  # handed to the caller's thread
                done.put(error)
                return
            done.put(None)

    for number in range(min(threads, len(jobs))):
        threading.Thread(target=work, name=f"hub-{number}", daemon=True).start()
    deadline = None if limit_seconds is None else time.monotonic() + limit_seconds
    try:
        for _ in jobs:
            failed = _next(done, watch, deadline, limit_seconds)
            if failed is not None:
                raise failed
    finally:
        given_up.set()


def with_tries(job: Callable[[], Answer]) -> Answer:
    """What a job answers, at most at its third try where another one may succeed.

    Raises: what the job raises.
    """
    for tried in range(TRIES):
        try:
            return job()
        except HubError as error:
            if error.kind not in WORTH_ANOTHER_TRY or tried == TRIES - 1:
                raise
            time.sleep(FIRST_WAIT_SECONDS * 2**tried)
    raise AssertionError("unreachable")


def _next(
    done: queue.SimpleQueue[BaseException | None],
    watch: Watch,
    deadline: float | None,
    limit_seconds: float | None,
) -> BaseException | None:
    while True:
        if watch.stop.is_set():
            raise HubError("the download was stopped; what came so far is kept", kind="stopped")
        try:
            return done.get(timeout=STEP_SECONDS)
        except queue.Empty:
            if deadline is not None and time.monotonic() > deadline:
                raise HubError(
                    f"the hub's answers took more than {limit_seconds:.0f} seconds",
                    kind="network",
                    hint="the same command goes on with what came so far",
                ) from None
