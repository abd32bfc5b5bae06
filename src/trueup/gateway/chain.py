"""One request along a chain of backends: tries here, then elsewhere; what was learned meanwhile.

Knows nothing of streams: what a try is, its caller says. Stops as soon as something of an answer
was delivered: from then on only a continuation is allowed.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from trueup.backends.base import Backend
from trueup.config.settings import ClientProfile
from trueup.errors import RequestError, TrueUpError
from trueup.events import FallbackTaken, ParameterDropped, RetryStarted, emit
from trueup.gateway.asked import Asked
from trueup.gateway.breaker import Breakers
from trueup.gateway.lessons import Lessons
from trueup.gateway.parameters import Adapted, adapt
from trueup.gateway.retry import RetryPolicy, is_unhealthy
from trueup.gateway.router import Served
from trueup.gateway.teaching import lesson_of, value_limit
from trueup.protocol.errors import code_of

Result = TypeVar("Result")

# What servers say that answer whole, always or with tools.
NO_STREAMS = re.compile(
    r"\bstream(ing)?\b(?!_options)[^.]*\b(not|un)\W?\s?(supported|implemented|allowed)", re.I
)

# A server that rejects one parameter after another is believed this often.
MAX_LESSONS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """What a try is to do: ask `served` with the adapted request; its number at this backend.

    `end_at` is when this backend's time is over; `before` is the error of the try before it.
    `unsupported` are parameters that the backend is known not to take.
    """

    served: Served
    adapted: Adapted
    number: int
    end_at: float
    before: TrueUpError | None = None
    unsupported: frozenset[str] = frozenset()

    @property
    def backend(self) -> Backend:
        """Who is asked."""
        return self.served.backend


@dataclass(slots=True, kw_only=True)
class Chain:
    """The way of one request; `tries`, `dropped`, `current` and `last` tell how far it is.

    `is_begun` says whether something of an answer was delivered. `blamed` is the backend whose
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
    began_at: float = field(default_factory=time.monotonic)
    tries: int = 0
    dropped: tuple[str, ...] = ()
    current: Served | None = None
    last: Try | None = None
    blamed: str | None = None
    _told: set[tuple[str, str]] = field(default_factory=set)

    async def ask(
        self, served: Sequence[Served], attempt: Callable[[Try], Awaitable[Result]]
    ) -> Result:
        """Try one after another until one has answered.

        Raises:
            TrueUpError: what the first one said where nobody answered, or what broke an answer
                that had begun.
        """
        errors: list[tuple[Served, TrueUpError]] = []
        blamed: list[str | None] = []
        order = self._in_order(served)
        for position, each in enumerate(order):
            if errors:
                self._tell_fallback(errors[-1], each)
            is_last = position == len(order) - 1
            try:
                return await self._here(each, attempt, is_last=is_last)
            except TrueUpError as error:
                if self.is_begun():
                    raise
                errors.append((each, error))
                blamed.append(self.blamed)
        self.blamed = blamed[0]
        self.current, first = errors[0]
        raise first

    def _in_order(self, served: Sequence[Served]) -> list[Served]:
        """Those whose breaker lets them first; nobody is left out."""
        if len(served) == 1:
            return list(served)
        admitted = [each for each in served if self.breakers.of(each.backend.name).admits()]
        return [*admitted, *(each for each in served if each not in admitted)]

    async def _here(
        self, served: Served, attempt: Callable[[Try], Awaitable[Result]], *, is_last: bool
    ) -> Result:
        breaker = self.breakers.of(served.backend.name)
        breaker.budget.note_request()
        if breaker.state == "closed":
            return await self._tries(served, attempt, is_last=is_last)
        async with breaker.turn():
            return await self._tries(served, attempt, is_last=is_last)

    async def _tries(
        self, served: Served, attempt: Callable[[Try], Awaitable[Result]], *, is_last: bool
    ) -> Result:
        backend, clock = served.backend, asyncio.get_running_loop().time
        breaker = self.breakers.of(backend.name)
        began, number, before = clock(), 0, None
        end_at = began + backend.capabilities.limits.total_seconds
        shape, learned = self.asked.shape, set[str]()
        while True:
            adapted = self._adapt(served, shape, learned)
            number += 1
            self.tries += 1
            self.last = Try(
                served=served,
                adapted=adapted,
                number=number,
                end_at=end_at,
                before=before,
                unsupported=self._unsupported(backend, learned),
            )
            self.blamed = backend.name
            try:
                result = await attempt(self.last)
            except TrueUpError as error:
                if is_unhealthy(error):
                    breaker.failed()
                if self.is_begun():
                    raise
                if better := self._mended(error, shape, learned, served):
                    shape, number = better, number - 1
                    continue
                seconds, capabilities = clock() - began, backend.capabilities
                where = self.policy.where_next(
                    error, tries=number, seconds=seconds, capabilities=capabilities, is_last=is_last
                )
                pause = self.policy.pause_seconds(error, number, random.random())
                if where == "elsewhere" or clock() + pause >= end_at or self._is_over(pause):
                    raise
                if not breaker.budget.take():
                    raise
                self._tell_retry(backend, error)
                before = error
                await asyncio.sleep(pause)
            else:
                breaker.succeeded()
                for parameter in learned:
                    # Who does not stream with tools may stream without.
                    if parameter != "stream" or not shape.get("tools"):
                        self.lessons.learn(backend, parameter)
                return result

    def _is_over(self, pause_seconds: float) -> bool:
        """Whether the client's patience ends before the next try would begin."""
        spent = time.monotonic() - self.began_at + pause_seconds
        return spent > self.profile.patience_seconds

    def _adapt(self, served: Served, shape: Mapping[str, Any], learned: set[str]) -> Adapted:
        backend = served.backend
        self.current, self.blamed = served, None
        adapted = adapt(
            self.asked.path,
            shape,
            backend,
            # How an answer is asked for is not the parameters' affair.
            lessons=self._lessons(backend, learned) - {"stream"},
            profile=self.profile,
            is_strict=self.is_strict,
        )
        if shape is not self.asked.shape and adapted.shape is None:
            adapted = replace(adapted, shape=dict(shape))
        backend.check(self.asked.path, shape if adapted.shape is None else adapted.shape)
        self.dropped = adapted.dropped
        for parameter in adapted.dropped:
            self._tell_dropped(backend, parameter)
        return adapted

    def _lessons(self, backend: Backend, learned: set[str]) -> frozenset[str]:
        known = self.lessons.of(backend)
        return known | learned if learned else known

    def _unsupported(self, backend: Backend, learned: set[str]) -> frozenset[str]:
        return backend.capabilities.accepts.unsupported | self._lessons(backend, learned)

    def _mended(
        self, error: TrueUpError, shape: Mapping[str, Any], learned: set[str], served: Served
    ) -> Mapping[str, Any] | None:
        """The request to ask again with, where the error says what was wrong with it."""
        if self.is_strict or len(learned) >= MAX_LESSONS:
            return None
        sent = self.last.adapted.shape if self.last and self.last.adapted.shape else shape
        # A stream may have been asked for its usage by us.
        sent = {"stream_options": None, **sent}
        if code_of(error) == "choices_missing":
            lesson: str | None = "n"
        elif isinstance(error, RequestError) and NO_STREAMS.search(error.cause):
            lesson = "stream"
        else:
            lesson = lesson_of(error, sent)
        if lesson is not None and lesson not in learned:
            learned.add(lesson)
            return shape
        limit = value_limit(error) if self.profile.clamps_max_tokens else None
        name = "max_completion_tokens" if "max_completion_tokens" in shape else "max_tokens"
        if limit is None or shape.get(name) == limit or not isinstance(error, RequestError):
            return None
        return {**shape, name: limit}

    def _tell_fallback(self, failed: tuple[Served, TrueUpError], after: Served) -> None:
        before, error = failed
        emit(
            FallbackTaken(
                at_seconds=time.monotonic(),
                request_id=self.request_id,
                before=before.backend.name,
                after=after.backend.name,
                code=code_of(error),
            )
        )

    def _tell_retry(self, backend: Backend, error: TrueUpError) -> None:
        emit(
            RetryStarted(
                at_seconds=time.monotonic(),
                request_id=self.request_id,
                backend=backend.name,
                code=code_of(error),
            )
        )

    def _tell_dropped(self, backend: Backend, parameter: str) -> None:
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
