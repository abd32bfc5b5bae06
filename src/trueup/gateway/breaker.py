"""Circuit breakers: a backend that fails again and again is passed over for a while.

An open breaker sends requests elsewhere. Where there is no elsewhere they are let through, a few
at a time: refusing them would make sure of what is only likely.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Literal

from trueup.events import BreakerChanged, emit
from trueup.gateway.retry import RetryBudget

State = Literal["closed", "open", "half-open"]

FAILURES_TO_OPEN = 5
FIRST_OPEN_SECONDS = 5.0
LONGEST_OPEN_SECONDS = 60.0
LET_THROUGH = 4
TURN_SECONDS = 1.0


@dataclass(slots=True)
class Breaker:
    """One backend's: `failures` in a row opened it, one success closes it.

    `has_answered`: it was well once. `failing_since` is when the first of `failures` was,
    `answered_at` when it answered last.
    """

    backend: str
    clock: Callable[[], float] = time.monotonic
    state: State = "closed"
    failures: int = 0
    has_answered: bool = False
    failing_since: float = 0.0
    answered_at: float = -math.inf
    open_seconds: float = FIRST_OPEN_SECONDS
    probe_at: float = 0.0
    budget: RetryBudget = field(default_factory=RetryBudget)
    few: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(LET_THROUGH))

    @property
    def admits(self) -> bool:
        """Whether a request that could go elsewhere may go here."""
        return self.state == "closed" or self.clock() >= self.probe_at

    @property
    def failing_seconds(self) -> float:
        """For how long it has been failing."""
        return self.clock() - self.failing_since if self.failures else 0.0

    def begin(self) -> None:
        """A request goes here: after an open breaker's time it is the probe that decides."""
        if self.state != "closed" and self.admits:
            # Nobody else until the probe has told, or was lost.
            self.probe_at = self.clock() + self.open_seconds
            self._change("half-open")

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """A place among the few that an open breaker lets through, or a short wait for one.

        Nobody is refused or kept: who hangs in front must not decide about those behind.
        """
        has_place = False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TURN_SECONDS):
                has_place = await self.few.acquire()
        try:
            yield
        finally:
            if has_place:
                self.few.release()

    def succeeded(self) -> None:
        """It answered, be it that a request is wrong."""
        self.failures = 0
        self.has_answered = True
        self.answered_at = self.clock()
        if self.state != "closed":
            self.open_seconds = FIRST_OPEN_SECONDS
            self._change("closed")

    def failed(self) -> None:
        """It did not answer, for reasons of its own."""
        if not self.failures:
            self.failing_since = self.clock()
        self.failures += 1
        if self.state == "half-open":
            self.open_seconds = min(LONGEST_OPEN_SECONDS, 2 * self.open_seconds)
        elif self.state == "open" or self.failures < FAILURES_TO_OPEN:
            return
        self.probe_at = self.clock() + self.open_seconds
        self._change("open")

    def _change(self, state: State) -> None:
        if state != self.state:
            self.state = state
            emit(BreakerChanged(at_seconds=time.monotonic(), backend=self.backend, state=state))


class Breakers:
    """The breakers of a server's backends, by name."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._breakers: dict[str, Breaker] = {}

    def of(self, backend: str) -> Breaker:
        """A backend's breaker."""
        breaker = self._breakers.get(backend)
        if breaker is None:
            breaker = self._breakers[backend] = Breaker(backend, self._clock)
        return breaker

    def admits(self, backend: str) -> bool:
        """Whether a request that could go elsewhere may go to a backend."""
        return self.of(backend).admits

    def state(self, backend: str) -> State:
        """How a backend's breaker is now."""
        return self.of(backend).state
