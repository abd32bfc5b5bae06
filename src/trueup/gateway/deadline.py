"""A block that ends when nothing has moved for too long."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from trueup.gateway.cancel_scope import CancelScope


class Deadline(CancelScope):
    """`with` block that is cut when its time is over; `has_passed` tells.

    Every progress sets it anew, which costs a number and no timer: the timer looks at the number
    when it fires. `end_at` (of the loop's clock) is never moved by progress.
    """

    def __init__(self, seconds: float, *, end_at: float | None = None) -> None:
        super().__init__()
        self._end_at = end_at
        self._timer: asyncio.TimerHandle | None = None
        self._is_held = self._is_firm = False
        self._held_at = 0.0
        self.seconds = seconds
        self.has_passed = False
        self._due_at = self._loop.time() + seconds

    def extend(self, seconds: float) -> None:
        """Something moved: this long until the next time."""
        self.seconds = seconds
        self._due_at = self._loop.time() + seconds
        if self._timer is not None and self._timer.when() > self._due_at:
            self._arm()

    def hold(self, *, is_firm: bool = False) -> None:
        """Let no time pass until `go_on`: it is somebody else's turn.

        `is_firm`: nor is anything cut at `end_at`, which moves by as much.
        """
        self._is_held, self._is_firm, self._held_at = True, is_firm, self._loop.time()

    def go_on(self, seconds: float) -> None:
        """End a `hold`; `has_passed` tells where `end_at` had come by then.

        Nothing happens where nothing is held.
        """
        if not self._is_held:
            return
        was_firm, self._is_held, self._is_firm = self._is_firm, False, False
        self.extend(seconds)
        if was_firm and self._task is not None:
            if self._end_at is not None:
                now = self._loop.time()
                self._end_at += now - self._held_at
                self.has_passed |= self._end_at <= now
            self._arm()

    def __enter__(self) -> Self:
        super().__enter__()
        self._arm()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if self._timer is not None:
            self._timer.cancel()
        is_cut = super().__exit__(kind, error, trace)
        self.has_passed |= is_cut
        return is_cut

    @property
    def _may_cut(self) -> bool:
        return not self._is_firm

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        at = self._due_at if self._end_at is None else min(self._due_at, self._end_at)
        self._timer = self._loop.call_at(at, self._look)

    def _look(self) -> None:
        now = self._loop.time()
        if self._is_firm:
            return  # `go_on` arms it again
        if self._is_held:
            self._due_at = now + self.seconds
        if self._due_at > now and (self._end_at is None or self._end_at > now):
            self._arm()
        else:
            self.cut()
