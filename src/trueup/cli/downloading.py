"""Downloads of models as a person sees them: a line that moves on a terminal, else lines."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable

from trueup.checkpoint.hub.watch import Watch
from trueup.checkpoint.source import is_here
from trueup.cli.similar_progress import ProgressLine

# Between the lines where nobody looks; downloads of less than this have one in their middle.
STEP_PERCENT, SMALL_STEP_PERCENT = 10, 50
LARGE_BYTES = 10**9
MINUTE_SECONDS = 60
HOUR_SECONDS = 3600
SCALES = (("GB", 10**9), ("MB", 10**6), ("kB", 10**3), ("bytes", 1))


class DownloadLine(Watch):
    """Says on stderr how far a download is; is told by several threads.

    `began` is told in words of each download that begins.
    """

    def __init__(self, began: Callable[[str], None] = lambda _: None) -> None:
        super().__init__()
        self._began_words = began
        self._line = ProgressLine()
        self._lock = threading.Lock()
        self._what: str | None = None
        self._total = self._done = self._present = 0
        self._told_percent = 0
        self._began = 0.0

    def note(self, text: str) -> None:
        """See Watch."""
        with self._lock:
            self._say(f"note: {text}")

    def asking(self, what: str) -> None:
        """See Watch."""
        with self._lock:
            self._line.show(f"(asking {what})")

    def answered(self) -> None:
        """See Watch."""
        with self._lock:
            self._line.clear()

    def started(self, what: str, *, files: int, total_bytes: int, present_bytes: int) -> None:
        """See Watch."""
        with self._lock:
            self._what = what
            self._total, self._done, self._present = total_bytes, present_bytes, present_bytes
            self._told_percent = self._percent()
            self._began = time.monotonic()
            count = "1 file" if files == 1 else f"{files} files"
            before = f", {_size(present_bytes)} are here from before" if present_bytes else ""
            told = f"downloading `{what}`: {count}, {_size(total_bytes)}{before}"
            self._say(told)
            self._began_words(told)

    def advanced(self, count: int) -> None:
        """See Watch."""
        with self._lock:
            if self._what is None:
                return
            self._done += count
            percent = self._percent()
            if self._line.is_seen:
                self._line.show(self._text(percent))
            else:
                self._tell(percent)

    def ended(self) -> None:
        """See Watch."""
        with self._lock:
            self._line.clear()
            if self._what is not None and self._done >= self._total:
                self._say(f"downloaded `{self._what}`")
            self._what = None

    def _tell(self, percent: int) -> None:
        step = STEP_PERCENT if self._total >= LARGE_BYTES else SMALL_STEP_PERCENT
        if percent >= self._told_percent + step and percent < 100:
            self._told_percent = percent - percent % step
            self._say(f"`{self._what}`: {self._told_percent} % of {_size(self._total)}")

    def _percent(self) -> int:
        return 100 * self._done // self._total if self._total else 100

    def _text(self, percent: int) -> str:
        parts = [f"{self._what}: {_size(self._done)} of {_size(self._total)}", f"{percent} %"]
        elapsed = time.monotonic() - self._began
        rate = (self._done - self._present) / elapsed if elapsed > 0 else 0.0
        if rate > 0:
            parts += [f"{_size(round(rate))}/s", f"{_time((self._total - self._done) / rate)} left"]
        return ", ".join(parts)

    def _say(self, text: str) -> None:
        self._line.clear()
        print(text, file=sys.stderr, flush=True)


async def fetched(model: str, revision: str | None = None) -> None:
    """Have all of `model` here, if it is to be had and anything can run it.

    A cancellation stops a download, and what came is kept.

    Raises: CheckpointError.
    """
    if is_here(model, revision, is_whole=True):
        return
    from trueup.adapt.planning import plan_model

    watch = DownloadLine()
    try:
        await asyncio.to_thread(plan_model, model, revision=revision, watch=watch)
    except asyncio.CancelledError:
        watch.stop.set()
        raise


def _size(count: int) -> str:
    unit, scale = next(each for each in SCALES if count >= each[1] or each[1] == 1)
    return f"{count / scale:.1f} {unit}" if scale > 1 else f"{count} {unit}"


def _time(seconds: float) -> str:
    if seconds < MINUTE_SECONDS:
        return f"{seconds:.0f} s"
    if seconds < HOUR_SECONDS:
        return f"{seconds / MINUTE_SECONDS:.0f} min"
    return f"{seconds / HOUR_SECONDS:.1f} h"
