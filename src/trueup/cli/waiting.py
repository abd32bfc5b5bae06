"""A note on the terminal while nothing has come yet: the first answer waits for a load."""

from __future__ import annotations

import asyncio
import sys
from types import TracebackType
from typing import Self

GRACE_SECONDS = 1.0
NOTE = "(waiting for the first word; a model that is not loaded yet is being loaded)"
ERASE_LINE = "\r\x1b[K"


class WaitingNote:
    """Shows NOTE on stderr after a grace and removes it at `end`; silent where no one looks."""

    def __init__(self) -> None:
        self._timer: asyncio.TimerHandle | None = None
        self._is_shown = False

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            self._timer = asyncio.get_running_loop().call_later(GRACE_SECONDS, self._show)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()

    def end(self) -> None:
        """Take the note away, if it is there; it does not come back."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._is_shown:
            self._is_shown = False
            print(ERASE_LINE, end="", file=sys.stderr, flush=True)

    def _show(self) -> None:
        self._is_shown = True
        print(NOTE, end="", file=sys.stderr, flush=True)
