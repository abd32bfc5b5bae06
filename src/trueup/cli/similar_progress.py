"""One line on a terminal that says how far long work is; nothing where nobody looks."""

from __future__ import annotations

import shutil
import sys
import time

from trueup.cli.waiting import ERASE_LINE

INTERVAL_SECONDS = 0.1


class ProgressLine:
    """Replaces its line at most ten times a second; `last` is what it was told last.

    `is_seen` says whether there is a terminal.
    """

    def __init__(self) -> None:
        self.is_seen = sys.stderr.isatty()
        self._shown_at = 0.0
        self.last = ""

    def show(self, text: str) -> None:
        """Say how far the work is."""
        self.last = text
        now = time.monotonic()
        if self.is_seen and now - self._shown_at >= INTERVAL_SECONDS:
            self._shown_at = now
            width = shutil.get_terminal_size().columns - 1
            print(f"{ERASE_LINE}{text[:width]}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Take the line away."""
        if self.is_seen and self._shown_at:
            self._shown_at = 0.0
            print(ERASE_LINE, end="", file=sys.stderr, flush=True)
