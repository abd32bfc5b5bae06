"""The tries of one request at one backend: what is asked, again, and with what left out."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import KW_ONLY, dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from trueup.backends.base import Backend
from trueup.errors import CapacityError, RequestError, TrueUpError
from trueup.gateway.blame import blamed_on
from trueup.gateway.breaker import Breaker
from trueup.gateway.learning import WHOLE, Learning
from trueup.gateway.parameters import Adapted, adapt
from trueup.gateway.retry import HEALTHY_CODES, RESTARTING_CODES, SlowAnswerError, is_unhealthy
from trueup.gateway.router import Served
from trueup.protocol.errors import code_of

if TYPE_CHECKING:
    from trueup.gateway.chain import Chain

Result = TypeVar("Result")

# What a client can mend of its request, rather than who serves it.
AT_FAULT = frozenset({400, 413, 422})
TOO_MANY = 429
# So often a backend may fail, answer others and fail again while one request waits for it.
MAX_SPELLS = 3
# How an answer is asked for is not the parameters' affair.
NO_PARAMETERS = frozenset({"stream", WHOLE})
# Refusals that are one backend's: another one may take the request as it is.
OF_ONE_BACKEND = frozenset({"unsupported_parameter", "context_length_exceeded",
                            "unsupported_content"})  # fmt: skip


@dataclass(slots=True, kw_only=True)
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

    @property
    def was_silent(self) -> bool:
        """Whether the try before it ended in silence."""
        return self.before is not None and code_of(self.before) == "backend_silent"


@dataclass(frozen=True, slots=True)
class Failure:
    """A backend that did not answer; `was_asked` is false where it was not worth asking."""

    served: Served
    error: TrueUpError
    was_asked: bool
    dropped: tuple[str, ...] = ()

    @property
    def is_at_fault(self) -> bool:
        """Whether the error says what the client is to change."""
        return isinstance(self.error, RequestError) and self.error.status in AT_FAULT

    @property
    def rank(self) -> int:
        """Which of several is told: the lowest.

        1. What the client is to change.
        2. What speaks of a server, or of what it cannot do.
        3. What one server cannot do and was not asked for: another one may have been able to.
        """
        if self.is_at_fault:
            if code_of(self.error) not in OF_ONE_BACKEND:
                return 1
            return 2 if self.was_asked else 3
        return 2

    @property
    def is_everywhere(self) -> bool:
        """Whether nobody had to be asked to see that the request cannot be meant."""
        is_general = self.is_at_fault and code_of(self.error) not in OF_ONE_BACKEND
        # Our own workers read more strictly than the rest of the world.
        return is_general and not self.was_asked and not self.served.backend.capabilities.queues


@dataclass(slots=True)
class Tries:
    """The tries of one request at one backend; `is_single` allows no second one."""

    chain: Chain
    served: Served
    breaker: Breaker
    _: KW_ONLY
    is_last: bool
    before: Failure | None
    is_single: bool = False
    _failing_since: float | None = None
    _spells: int = 0

    async def run(self, attempt: Callable[[Try], Awaitable[Result]]) -> Result:
        """Try until there is an answer, or nothing to be gained by another try."""
        chain, backend, clock = self.chain, self.served.backend, asyncio.get_running_loop().time
        began, number, before = clock(), 0, None
        taught: TrueUpError | None = None
        end_at = began + backend.capabilities.limits.total_seconds
        unsupported = backend.capabilities.accepts.unsupported
        learning = Learning(
            chain.asked.shape,
            backend,
            chain.lessons,
            profile=chain.profile,
            is_strict=chain.is_strict,
        )
        while True:
            try:
                adapted = self._adapt(learning)
            except RequestError as refused:
                if taught is None:
                    raise
                # It is the server that does not take it: its words say more.
                taught.hint = refused.hint
                raise taught from refused
            number += 1
            attempted = Try(
                served=self.served,
                adapted=adapted,
                number=number,
                end_at=end_at,
                before=before,
                unsupported=unsupported | known if (known := learning.known) else unsupported,
            )
            self._note_asked(attempted)
            try:
                result = await attempt(attempted)
            except TrueUpError as raised:
                error = blamed_on(raised, backend)
                if not chain.is_begun() and learning.mend(error, adapted.shape):
                    self.breaker.succeeded()  # it was understood, whatever its status was
                    number, taught = number - 1, error
                    continue
                self._note_health(error)
                if chain.is_begun():
                    raise error from raised
                seconds = clock() - began
                pause = self._pause_seconds(error, number, seconds)
                if pause is None or clock() + pause >= end_at:
                    raise error from raised
                chain.tell_retry(backend, error)
                before = error
                await asyncio.sleep(pause)
            else:
                self.breaker.succeeded()
                learning.keep()
                return result

    def _adapt(self, learning: Learning) -> Adapted:
        chain, backend, shape = self.chain, self.served.backend, learning.shape
        adapted = adapt(
            chain.asked.path,
            shape,
            backend,
            lessons=known - NO_PARAMETERS if (known := learning.known) else known,
            profile=chain.profile,
            is_strict=chain.is_strict,
        )
        if shape is not chain.asked.shape and adapted.shape is None:
            adapted = replace(adapted, shape=dict(shape))
        backend.check(chain.asked.path, shape if adapted.shape is None else adapted.shape)
        chain.dropped = adapted.dropped
        for parameter in adapted.dropped:
            chain.tell_dropped(backend, parameter)
        return adapted

    def _note_asked(self, attempted: Try) -> None:
        chain = self.chain
        if self.before is not None:
            chain.tell_fallback(self.before, self.served)
            self.before = None
        self.breaker.begin()
        chain.tries += 1
        chain.current, chain.last = self.served, attempted
        chain.blamed = self.served.backend.name

    def _note_health(self, error: TrueUpError) -> None:
        if is_unhealthy(error):
            if code_of(error) not in RESTARTING_CODES or self.chain.is_begun():
                self.breaker.has_answered = True
            self.breaker.failed()
        elif isinstance(error, RequestError) or _was_answered(error):
            self.breaker.succeeded()

    def _is_waited_for(self, error: TrueUpError, seconds: float) -> bool:
        breaker, chain = self.breaker, self.chain
        if not self.is_last:
            return False
        now = breaker.clock()
        if self._failing_since is None or breaker.answered_at >= self._failing_since:
            # Who answers others is not down: it may be this request that it cannot bear.
            self._failing_since = now
            self._spells += 1
        return self._spells <= MAX_SPELLS and chain.policy.waits(
            error,
            seconds=seconds,
            failing_seconds=breaker.failing_seconds,
            was_well=breaker.has_answered,
            recovery_seconds=self.served.backend.capabilities.recovery_seconds,
            retry_seconds=chain.profile.retry_seconds,
        )

    def _pause_seconds(self, error: TrueUpError, number: int, seconds: float) -> float | None:
        """How long to wait before the next try here; None where there is none."""
        if isinstance(error, SlowAnswerError):
            return 0.0
        policy = self.chain.policy
        where = policy.where_next(
            error,
            tries=number,
            capabilities=self.served.backend.capabilities,
            is_last=self.is_last,
            is_waited_for=self._is_waited_for(error, seconds),
        )
        pause = policy.pause_seconds(error, number, random.random())
        if self.is_single or where == "elsewhere" or self.chain.is_over(pause):
            return None
        return pause if self.breaker.budget.take() else None


def _was_answered(error: TrueUpError) -> bool:
    """Whether a server that is well said it: that it is full, or an answer that is no use."""
    is_full = isinstance(error, CapacityError) and error.status == TOO_MANY
    return is_full or code_of(error) in HEALTHY_CODES - {"too_many_files"}
