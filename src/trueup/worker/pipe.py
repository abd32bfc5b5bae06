"""Items from the model thread to a request's task in the event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Pipe(Generic[Item]):
    """A queue with one writing thread and one reading task.

    While the loop is behind, further items cost no further wake-up: the reader gets all that
    have come.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._items: deque[Item] = deque()
        self._is_waking = False
        self._is_closed = False
        self._waiter: asyncio.Future[None] | None = None

    def put(self, item: Item) -> None:
        """Add an item; called in the writing thread, returns at once."""
        self._items.append(item)
        if not self._is_waking:
            self._is_waking = True
            self._loop.call_soon_threadsafe(self._wake)

    def close(self) -> None:
        """Wake the reader for the last time; called in the event loop."""
        self._is_closed = True
        self._wake()

    async def take(self) -> list[Item]:
        """All items that have come, at least one; none once the pipe is closed."""
        while not self._is_closed:
            # Cleared before the items are taken: one that comes in between wakes again.
            self._is_waking = False
            if self._items:
                return [self._items.popleft() for _ in range(len(self._items))]
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return []

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
