"""A block that can be ended from outside, at its next await."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self


class CancelScope:
    """`with` block whose awaits are cancelled by `cut`; the block then just ends.

    `asyncio.timeout` without its timer and its turns of the event loop. A cancellation of the
    task itself passes through.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0
        self._is_cut = False

    def __enter__(self) -> Self:
        task = self._task = asyncio.current_task(self._loop)
        assert task is not None
        self._cancelling = task.cancelling()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        task, self._task = self._task, None
        if task is None or not self._is_cut:
            return False
        is_own = task.uncancel() <= self._cancelling
        return is_own and kind is not None and issubclass(kind, asyncio.CancelledError)

    def cut(self) -> None:
        """End the block; nothing happens where it has ended by then."""
        # Not at once: who calls may be the block itself, which then ends without an await.
        self._loop.call_soon(self._cancel)

    @property
    def _may_cut(self) -> bool:
        return True

    def _cancel(self) -> None:
        if self._may_cut and self._task is not None and not self._is_cut:
            self._is_cut = True
            self._task.cancel()
