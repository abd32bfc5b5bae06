"""What is done for an answer that broke off after something of it was delivered.

The stream contract's three steps. Text of two different answers is never joined: what goes on is
either made from what the client has, or begins with exactly that.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from trueup.errors import BackendError, CapacityError, TrueUpError
from trueup.events import ContinuationStarted, emit
from trueup.gateway.asking import Asking
from trueup.gateway.blame import blamed_on
from trueup.gateway.chain import Chain
from trueup.gateway.continuation import continued_shape, is_at_limit
from trueup.gateway.delivery import Delivery, How
from trueup.gateway.finish import CUT
from trueup.gateway.relay import Sink
from trueup.gateway.restart import RESTARTED
from trueup.gateway.retry import RESTARTING_CODES, is_unhealthy
from trueup.gateway.router import Served
from trueup.gateway.sending import STREAM_TRIES, Mode
from trueup.gateway.tries import Try
from trueup.gateway.whole import Whole
from trueup.protocol.errors import code_of

# Continuations in a row that brought nothing, and in all.
MAX_BARREN = 3
MAX_CONTINUATIONS = 20

MakeAsking = Callable[[Try, Mode, Mapping[str, Any] | None], Asking]
AskWhole = Callable[[Try, Mode], Awaitable[Whole]]


@dataclass(slots=True, kw_only=True)
class Recovery:
    """One broken answer; `broken` is the try that broke, `error` how."""

    broken: Try
    error: TrueUpError
    served: Sequence[Served]
    chain: Chain
    delivery: Delivery
    asking: MakeAsking
    whole: AskWhole
    sink: Sink

    async def run(self) -> None:
        """Bring the answer to its end.

        Raises:
            BackendError: code `stream_incomplete`, says how far it got.
        """
        is_over = asyncio.get_running_loop().time() >= self.broken.end_at
        if not is_over and (await self._continue() or await self._ask_again()):
            return
        raise BackendError(
            f"the answer broke off after {self.delivery.tokens} tokens: {self.error.cause}",
            retryable=True,
            code="stream_incomplete",
            where=self.broken.backend.name,
            hint="what was sent so far is not the whole answer: ask again",
        )

    async def _continue(self) -> bool:
        """Step 1: the same model goes on after what the client has."""
        backend, delivery = self.broken.backend, self.delivery
        capabilities = backend.capabilities
        how: How = "token_ids" if capabilities.continuation == "token_ids" else "prefix"
        breaker, policy = self.chain.breakers.of(backend.name), self.chain.policy
        barren = restarts = 0
        stalled_at = breaker.clock()
        is_alone = len(self.served) == 1
        while barren < MAX_BARREN and delivery.continuations < MAX_CONTINUATIONS:
            sent = self.broken.adapted.shape or self.chain.asked.shape
            shape = continued_shape(self.chain.asked.path, sent, delivery, capabilities)
            if shape is None:
                return False
            if how == "prefix" and is_at_limit(sent, delivery):
                await self.sink.write(delivery.finish(0, CUT))
                return True
            if not breaker.budget.take():
                return False
            tokens = delivery.tokens
            self._tell(backend.name, how, is_exact=capabilities.is_exact)
            try:
                asking = self.asking(self._again(), "stream", shape)
                if how == "prefix":
                    asking.after = "".join(delivery.choices[0].text)
                # Of a whole answer nobody knows whether it is the rest or all of it: step 2 asks.
                is_whole = await asking.stream(delivery, self.sink) is None
                breaker.succeeded()
                return is_whole
            except TrueUpError as error:
                if code_of(error) == RESTARTED:
                    return False  # it cannot
                if not is_unhealthy(error) and not isinstance(error, CapacityError):
                    return False  # it cannot
                self.error = blamed_on(error, backend)
            if delivery.tokens > tokens:
                barren = restarts = 0
                stalled_at = breaker.clock()
            elif (
                is_alone
                and code_of(self.error) in RESTARTING_CODES
                and policy.waits(
                    self.error,
                    seconds=breaker.clock() - stalled_at,
                    failing_seconds=breaker.failing_seconds,
                    was_well=breaker.has_answered,
                    recovery_seconds=capabilities.recovery_seconds,
                    retry_seconds=0.0,
                )
            ):
                breaker.failed()
                restarts += 1
            else:
                barren += 1
            pause = policy.pause_seconds(self.error, max(1, barren + restarts), random.random())
            if pause > policy.longest_retry_after_seconds:
                return False  # the next step may bring it sooner
            await asyncio.sleep(pause)
        return False

    async def _ask_again(self) -> bool:
        """Step 2: whoever gives the same answer again gives the rest of it."""
        for position, served in enumerate(self._order()):
            if not served.backend.capabilities.asks_again:
                continue
            if not self.chain.breakers.of(served.backend.name).budget.take():
                continue
            self._tell(served.backend.name, "asked_again", is_exact=True)
            # Nothing is delivered by these tries: all of the chain's ways are open to them, and
            # the client's patience with them begins now.
            chain = replace(
                self.chain, is_begun=lambda: False, began_at=time.monotonic(), is_again=True
            )
            try:
                has_others = position < len(self.served) - 1
                whole = await chain.ask([served], self._whole, has_others=has_others)
            except TrueUpError:
                continue
            finally:
                self.chain.tries = chain.tries
            if self.delivery.differs(whole):
                continue
            self.chain.current, self.chain.dropped = served, chain.dropped
            await self.sink.write(self.delivery.rest(whole))
            return True
        return False

    def _order(self) -> list[Served]:
        """Who broke off first, as it may say the same again; last where it is not even there."""
        first = self.broken.served
        others = [each for each in self.served if each is not first]
        is_gone = code_of(self.error) in RESTARTING_CODES
        return [*others, first] if is_gone else [first, *others]

    async def _whole(self, attempt: Try) -> Whole:
        is_last_way = attempt.number > STREAM_TRIES or attempt.was_silent
        mode: Mode = "whole"
        if is_last_way and attempt.backend.capabilities.streams:
            mode = "assembled"
        return await self.whole(attempt, mode)

    def _again(self) -> Try:
        self.chain.tries += 1
        return replace(self.broken)

    def _tell(self, backend: str, how: How, *, is_exact: bool) -> None:
        tell_continuation(self.chain, self.delivery, backend, how, is_exact=is_exact)


def tell_continuation(
    chain: Chain, delivery: Delivery, backend: str, how: How, *, is_exact: bool = True
) -> None:
    """Tell that an answer is to go on from what was delivered."""
    delivery.resume(how, is_exact=is_exact)
    emit(
        ContinuationStarted(
            at_seconds=time.monotonic(), request_id=chain.request_id, backend=backend, how=how
        )
    )
