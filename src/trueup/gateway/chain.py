"""One request along a chain of backends: one after another, until one has answered.

Knows nothing of streams: what a try is, its caller says. Stops as soon as something of an answer
was delivered: from then on only a continuation is allowed.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from trueup.backends.base import Backend
from trueup.config.settings import ClientProfile
from trueup.errors import TrueUpError
from trueup.events import FallbackTaken, ParameterDropped, RetryStarted, emit
from trueup.gateway.asked import Asked
from trueup.gateway.breaker import Breakers
from trueup.gateway.lessons import Lessons
from trueup.gateway.retry import RetryPolicy
from trueup.gateway.router import Served
from trueup.gateway.tries import Failure, Tries, Try
from trueup.protocol.errors import code_of

Result = TypeVar("Result")


@dataclass(slots=True, kw_only=True)
class Chain:
    """The way of one request; `tries`, `dropped`, `current` and `last` tell how far it is.

    `is_begun` says whether something of an answer was delivered, `is_again` that this is no request
    of its own but another try of one. `blamed` is the backend whose
    error is told, None where the request was refused before anybody was asked.
    """

    asked: Asked
    request_id: str
    profile: ClientProfile
    is_strict: bool
    breakers: Breakers
    lessons: Lessons
    policy: RetryPolicy
    is_begun: Callable[[], bool] = lambda: False
    is_again: bool = False
    began_at: float = field(default_factory=time.monotonic)
    tries: int = 0
    dropped: tuple[str, ...] = ()
    current: Served | None = None
    last: Try | None = None
    blamed: str | None = None
    _told: set[tuple[str, str]] = field(default_factory=set)

    async def ask(
        self,
        served: Sequence[Served],
        attempt: Callable[[Try], Awaitable[Result]],
        *,
        has_others: bool = False,
    ) -> Result:
        """Try one after another until one has answered; nobody is waited for if it `has_others`.

        Raises:
            TrueUpError: what the client can mend, or else what the first one said, where nobody
                answered; or what broke an answer that had begun.
        """
        failures: list[Failure] = []
        order = self._in_order(served)
        for position, each in enumerate(order):
            tries = self.tries
            try:
                return await self._here(
                    each,
                    attempt,
                    is_alone=len(order) == 1,
                    is_last=position == len(order) - 1 and not has_others,
                    before=failures[-1] if failures else None,
                )
            except TrueUpError as error:
                if self.is_begun():
                    raise
                asked = self.tries > tries
                failures.append(Failure(each, error, was_asked=asked, dropped=self.dropped))
                if failures[-1].is_everywhere:
                    break
        told = min(failures, key=lambda each: (each.rank, served.index(each.served)))
        self.dropped = told.dropped
        self.current = told.served if told.was_asked else None
        self.blamed = told.served.backend.name if told.was_asked else None
        raise told.error

    def _in_order(self, served: Sequence[Served]) -> list[Served]:
        """Those whose breaker lets them first; nobody is left out."""
        if len(served) == 1:
            return list(served)
        admitted = [each for each in served if self.breakers.of(each.backend.name).admits]
        return [*admitted, *(each for each in served if each not in admitted)]

    async def _here(
        self,
        served: Served,
        attempt: Callable[[Try], Awaitable[Result]],
        *,
        is_alone: bool,
        is_last: bool,
        before: Failure | None,
    ) -> Result:
        breaker = self.breakers.of(served.backend.name)
        if not self.is_again:
            breaker.budget.note_request()
        tries = Tries(self, served, breaker, is_last=is_last, before=before)
        if breaker.state == "closed":
            return await tries.run(attempt)
        # Who fails anyway is not waited for where somebody else was asked or will be.
        tries.is_single = not (is_alone or breaker.admits)
        async with breaker.turn():
            return await tries.run(attempt)

    def is_over(self, pause_seconds: float) -> bool:
        """Whether the client's patience ends before the next try would begin."""
        spent = time.monotonic() - self.began_at + pause_seconds
        return spent > self.profile.patience_seconds

    def tell_fallback(self, before: Failure, after: Served) -> None:
        """Tell that the next one is asked."""
        emit(
            FallbackTaken(
                at_seconds=time.monotonic(),
                request_id=self.request_id,
                before=before.served.backend.name,
                after=after.backend.name,
                code=code_of(before.error),
            )
        )

    def tell_retry(self, backend: Backend, error: TrueUpError) -> None:
        """Tell that the same one is asked again."""
        emit(
            RetryStarted(
                at_seconds=time.monotonic(),
                request_id=self.request_id,
                backend=backend.name,
                code=code_of(error),
            )
        )

    def tell_dropped(self, backend: Backend, parameter: str) -> None:
        """Tell, once, what was left out."""
        if (backend.name, parameter) in self._told:
            return
        self._told.add((backend.name, parameter))
        emit(
            ParameterDropped(
                at_seconds=time.monotonic(),
                request_id=self.request_id,
                backend=backend.name,
                parameter=parameter,
            )
        )
