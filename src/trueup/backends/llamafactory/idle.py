"""When a model that nobody asks is unloaded."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable


class Idle:
    """Calls `unload` when the model was not used for `seconds`; None never does.

    Between the end of that time and the unloading somebody may ask: `is_used` is looked at last.
    `settle` waits for what stands in the way of unloading, such as a host that is away.
    """

    def __init__(
        self,
        seconds: float | None,
        *,
        is_used: Callable[[], bool],
        settle: Callable[[], Awaitable[None]],
        unload: Callable[[], Awaitable[None]],
    ) -> None:
        self.since: float | None = None
        self._seconds = seconds
        self._is_used = is_used
        self._settle = settle
        self._unload = unload
        self._timer: asyncio.TimerHandle | None = None
        self._unloading: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """It is used: it is not idle."""
        self.since = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def rest(self) -> None:
        """Idle from now on, where nobody else uses it."""
        if self._is_used():
            return
        self.wake()
        self.since = time.monotonic()
        if self._seconds is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._seconds, self._out)

    def _out(self) -> None:
        self._timer = None
        if self._unloading is None or self._unloading.done():
            self._unloading = asyncio.create_task(self._unload_unused())

    async def _unload_unused(self) -> None:
        await self._settle()
        if self._timer is None and not self._is_used():
            await self._unload()

    async def close(self) -> None:
        """Unload no more; what is being unloaded is waited for."""
        self.wake()
        if self._unloading is not None:
            await asyncio.wait((self._unloading,))
