"""A limit on what a command may take to look at a model, whatever its files hold."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator

from trueup.errors import CheckpointError, UsageError

CHECK_SECONDS = 300.0


@contextlib.contextmanager
def time_limit(seconds: float, model: str) -> Iterator[None]:
    """Raise CheckpointError in the main thread when the block takes longer."""
    if not 0 < seconds < 1e6:
        raise UsageError(f"`{seconds:g}` is no time limit: expected seconds", where="--timeout")
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        raise CheckpointError(
            f"looking at the model took more than {seconds:g} s, so it was given up",
            where=model,
            hint="give `trueup check` longer with `--timeout SECONDS`, or look for files that are "
            "no model's",
        )

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before or signal.SIG_DFL)
