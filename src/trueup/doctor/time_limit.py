"""A limit on what looking at a model may take, whatever its files hold and whoever looks."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import TypeVar

from trueup.errors import CheckpointError, UsageError

CHECK_SECONDS = 300.0
Looked = TypeVar("Looked")
_is_limited: ContextVar[bool] = ContextVar("is_limited", default=False)


class _Over(BaseException):
    """Raised wherever the code is; no handler of exceptions is meant by it."""


class Stopped(BaseException):
    """Somebody wanted no more of it."""


class Stoppable:
    """Looks at models in a thread that another one can have given up."""

    def __init__(self) -> None:
        self._thread: int | None = None
        self._lock = threading.Lock()

    def run(self, look: Callable[[], Looked]) -> Looked:
        """Call `look` in this thread.

        Raises: Stopped after `stop`, wherever the code was.
        """
        thread = threading.get_ident()
        with self._lock:
            self._thread = thread
        try:
            return look()
        finally:
            with self._lock:
                self._thread = None

    def stop(self) -> None:
        """End the `run` that goes on, as soon as it is in Python's own code."""
        with self._lock:
            if self._thread is not None:
                _raise_in(self._thread, Stopped)


@contextlib.contextmanager
def time_limit(seconds: float, model: str) -> Iterator[None]:
    """Raise CheckpointError when the block takes longer; for a command, by the alarm signal."""
    if not 0 < seconds < 1e6:
        raise UsageError(f"`{seconds:g}` is no time limit: expected seconds", where="--timeout")
    is_main = threading.current_thread() is threading.main_thread()
    with _limited(seconds, model), _alarm(seconds) if is_main else _timer(seconds):
        yield


@contextlib.contextmanager
def usual_limit(model: str) -> Iterator[None]:
    """The same for whoever has set no limit: in any thread, and without any signal."""
    if _is_limited.get():
        yield
        return
    with _limited(CHECK_SECONDS, model), _timer(CHECK_SECONDS):
        yield


@contextlib.contextmanager
def _limited(seconds: float, model: str) -> Iterator[None]:
    token = _is_limited.set(True)
    try:
        yield
    except _Over:
        raise CheckpointError(
            f"looking at the model took more than {seconds:g} s, so it was given up",
            where=model,
            hint="give `trueup check` longer with `--timeout SECONDS`, or look for files that are "
            "no model's",
        ) from None
    finally:
        _is_limited.reset(token)


@contextlib.contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise _Over

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before or signal.SIG_DFL)


@contextlib.contextmanager
def _timer(seconds: float) -> Iterator[None]:
    """Raises in this thread from another one: a thread cannot be ended in any other way."""
    thread, lock = threading.get_ident(), threading.Lock()
    is_done = has_fired = False

    def fire() -> None:
        nonlocal has_fired
        with lock:
            if not is_done:
                has_fired = True
                _raise_in(thread, _Over)

    timer = threading.Timer(seconds, fire)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        with lock:
            is_done = True
            if has_fired:  # what has not been raised yet no longer is
                _raise_in(thread, None)


def _raise_in(thread: int, kind: type[BaseException] | None) -> None:
    import ctypes  # only where the time is over

    exception = None if kind is None else ctypes.py_object(kind)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), exception)
