"""Room for requests: so many are answered at a time."""

from __future__ import annotations

import asyncio
from collections import deque

from trueup.errors import CapacityError


class Room:
    """Counts the requests that are being answered; whoever may wait has the next free place."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._count = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    def take(self) -> bool:
        """Take a place, to be given back by `leave`; False where there is none."""
        has_place = self._count < self._limit
        self._count += has_place
        return has_place

    async def wait(self, wait_seconds: float) -> None:
        """Take the next place that is given back.

        Raises:
            CapacityError: there was none for so long.
        """
        if wait_seconds:
            place = asyncio.get_running_loop().create_future()
            self._waiting.append(place)
            try:
                await asyncio.wait((place,), timeout=wait_seconds)
            except asyncio.CancelledError:
                if place.done():
                    self.leave()
                raise
            finally:
                if not place.done():
                    self._waiting.remove(place)
            if place.done():
                return
        raise CapacityError(
            f"{self._limit} requests are being answered, which is the limit",
            status=429,
            code="too_many_requests",
            where="server.max_requests",
        )

    def leave(self) -> None:
        """Give a place back, or on to who waits for it."""
        if self._waiting:
            self._waiting.popleft().set_result(None)
        else:
            self._count -= 1
