"""One answer under way, from the first try to the last byte.

Runs in the task of the request. A client that leaves or stalls and a server that stops end the
answer at its next await.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Awaitable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from trueup.errors import TrueUpError
from trueup.events import FirstTokenSent, emit
from trueup.gateway.account import Account
from trueup.gateway.asked import Asked
from trueup.gateway.asking import Asking
from trueup.gateway.bodies import JSON, TABLE, bytes_of, delivery_of, relay_forecast
from trueup.gateway.chain import Chain
from trueup.gateway.errors import log_bug
from trueup.gateway.exchange import Exchange
from trueup.gateway.farewell import bug, last_bytes, noted_whole, stopped, unended
from trueup.gateway.forecast_stream import ForecastDelivery
from trueup.gateway.interruption import Interruptible
from trueup.gateway.outlet import ClientLimits, Outlet
from trueup.gateway.recovery import Recovery
from trueup.gateway.router import Served
from trueup.gateway.sending import Mode, checked, mode_of, patience_of, request_of
from trueup.gateway.tries import Try
from trueup.gateway.whole import Whole, joined
from trueup.protocol.errors import code_of


class Answering:
    """The answer to one request; `interruption` is how the server ends it early.

    `chain` and `delivery` tell how far it is, `whole` is an answer that is not streamed.
    """

    def __init__(
        self,
        exchange: Exchange,
        asked: Asked,
        served: Sequence[Served],
        chain: Chain,
        limits: ClientLimits,
    ) -> None:
        self.interruption = Interruptible()
        self.began_at = time.monotonic()
        self.first_token_at: float | None = None
        self.asked = asked
        self.chain = chain
        self.delivery = delivery_of(asked)
        self.whole: Whole | None = None
        self._account = Account(chain, self.delivery)
        self.delivery.changes = self._account.changes
        # What is no text: embeddings, a forecast.
        self._body = b""
        # Of an answer that takes several requests, those that came; from one backend.
        self._parts: dict[int, Whole] = {}
        self._parts_of: Served | None = None
        self._exchange = exchange
        self._served = served
        self._progress_at = self.began_at
        self._limits = limits
        if not asked.is_forecast:  # those are compared with what is there, by whoever is asked
            chain.is_begun = lambda: self.delivery.has_content
        self._profile = exchange.profile
        if not asked.choices:  # an error has no place in what is no text
            self._profile = replace(exchange.profile, error_events=True)

    @functools.cached_property
    def _outlet(self) -> Outlet:
        """Where a stream goes; other answers need none."""
        return Outlet(self._exchange, self.interruption, self._limits, self._account.headers)

    def snapshot(self) -> dict[str, Any]:
        """How it is, for people: no prompts, no text."""
        now, current = time.monotonic(), self.chain.current
        return {
            "request_id": self._exchange.request_id,
            "model": self.asked.model,
            "path": self.asked.path,
            "backend": current.backend.name if current else None,
            "is_stream": self.asked.is_stream,
            "age_seconds": round(now - self.began_at, 3),
            "tokens": self.delivery.tokens,
            "last_progress_seconds": round(now - self._progress_at, 3),
            "tries": self.chain.tries,
            "continuations": self.delivery.continuations,
            "phase": "answering" if self.delivery.has_content else "waiting",
        }

    async def run(self) -> None:
        """Answer the client.

        Raises:
            TrueUpError: there is no answer and nothing was sent.
        """
        error = await self._ask()
        exchange = self._exchange
        if self.interruption.reason in ("client left", "client stalled"):
            exchange.outcome = "left"
            if self.interruption.reason == "client stalled":
                exchange.abort()
            return
        if self.interruption.reason == "server stops":
            error = stopped()
        if self.asked.is_stream:  # it was complete when it broke; without an end it is cut
            error = None if self.delivery.is_complete else error or unended()
        if error is not None:
            exchange.outcome, exchange.error_code = "failed", code_of(error)
            exchange.source = self.chain.blamed or exchange.source
        if self.asked.is_stream:
            await self._close_stream(error)
        else:
            await self._close_whole(error)

    async def _ask(self) -> TrueUpError | None:
        """Ask until there is an answer; what went wrong where there is none."""
        try:
            with self.interruption, self._exchange.watching(self._leave):
                if self.asked.is_stream:
                    with self._outlet:
                        await self._stream()
                elif not self.asked.choices:
                    self._body = await self.chain.ask(self._served, self._bytes)
                else:
                    self.whole = await self.chain.ask(self._served, self._try)
        except TrueUpError as error:
            return error
        except Exception as error:
            log_bug(self._exchange, error)
            return bug()
        return None

    async def _stream(self) -> None:
        if isinstance(self.delivery, ForecastDelivery):
            await relay_forecast(self.chain, self._served, self.delivery, self._asking, self)
            return
        try:
            await self.chain.ask(self._served, self._try)
        except TrueUpError as error:
            broken = self.chain.last
            if broken is None or not self.delivery.has_content or self.delivery.is_complete:
                raise
            await Recovery(
                broken=broken,
                error=error,
                served=self._served,
                chain=self.chain,
                delivery=self.delivery,
                asking=self._asking,
                whole=self._whole,
                sink=self,
            ).run()

    async def _try(self, attempt: Try) -> Whole | None:
        """One try at a backend, in the way that suits it."""
        mode = mode_of(attempt, self.asked)
        whole = None
        if mode == "stream":
            whole = await self._asking(attempt, mode).stream(self.delivery, self)
            if whole is None:
                return None
            whole = checked(whole, attempt.adapted)
        else:
            whole = await self._whole(attempt, mode)
        if self.asked.is_stream:
            await self.write(self.delivery.rest(whole))
        return whole

    async def _whole(self, attempt: Try, mode: Mode) -> Whole:
        """An answer that is not sent before it is whole and checked."""
        patience, has_other_way = patience_of(attempt, self.asked)

        def ask(number: int) -> Awaitable[Whole]:
            asking = self._asking(attempt, mode, number=number)
            return (
                asking.assembled()
                if mode == "assembled"
                else asking.whole(first_seconds=patience, has_other_way=has_other_way)
            )

        count = attempt.adapted.requests
        if count == 1:
            return checked(await ask(0), attempt.adapted)
        if self._parts_of is not attempt.served:
            self._parts_of, self._parts = attempt.served, {}

        async def part(number: int) -> None:
            self._parts[number] = checked(await ask(number), attempt.adapted)

        await _all(part(number) for number in range(count) if number not in self._parts)
        return joined([self._parts[number] for number in range(count)])

    async def _bytes(self, attempt: Try) -> bytes:
        return await bytes_of(self._asking(attempt, "whole"), self.asked, self.delivery)

    def _asking(
        self,
        attempt: Try,
        mode: Mode,
        shape: Mapping[str, Any] | None = None,
        number: int = 0,
    ) -> Asking:
        return Asking(
            backend=attempt.backend,
            request=request_of(
                attempt,
                self.asked,
                mode,
                request_id=self._exchange.request_id,
                client=self._exchange.client,
                shape=shape,
                number=number,
            ),
            choices=1 if attempt.adapted.requests > 1 else self.asked.choices,
            is_chat=self.asked.is_chat,
            end_at=attempt.end_at,
            stop=attempt.adapted.stop,
            is_lenient=attempt.number > 1,
            note_progress=self._note_progress,
        )

    def write_now(self, out: bytes) -> bool:
        """Send a piece of the stream where it need not wait; the first one goes the other way."""
        return self.first_token_at is not None and self._outlet.write_now(out)

    async def write(self, out: bytes) -> None:
        """Send a piece of the stream; waits while the client does not read."""
        await self._outlet.write(out)
        if self.first_token_at is None:
            self.first_token_at = time.monotonic()
            emit(
                FirstTokenSent(
                    at_seconds=self.first_token_at,
                    request_id=self._exchange.request_id,
                    model=self.asked.model,
                    seconds=self.first_token_at - self.began_at,
                )
            )

    def keep(self, out: bytes) -> None:
        """Have a piece of the stream sent with its end."""
        self._outlet.keep(out)

    async def _close_stream(self, error: TrueUpError | None) -> None:
        profile = self._profile
        if error is not None and self._exchange.status is None and profile.error_events:
            self._add_headers()
            raise error
        self.delivery.take_head({"model": self.asked.model})  # of a note, where nothing has come
        source = self._exchange.source
        await self._outlet.close(last_bytes(self.delivery, error, source, profile))

    async def _close_whole(self, error: TrueUpError | None) -> None:
        profile, media = self._profile, JSON
        if error is not None and profile.error_events:
            self._add_headers()
            raise error
        if error is not None:
            body = noted_whole(self.asked, error, profile)
        elif self.whole is not None:
            body = self.whole.as_body(is_chat=self.asked.is_chat)
        else:
            body, media = self._body, TABLE if self.asked.is_table else JSON
        await self._exchange.answer(200, body, self._account.headers(), media)

    def _add_headers(self) -> None:
        for name, value in self._account.headers():
            self._exchange.add_header(name, value)

    def _note_progress(self) -> None:
        self._progress_at = time.monotonic()

    def _leave(self) -> None:
        self.interruption.interrupt("client left")


async def _all(parts: Iterable[Coroutine[Any, Any, None]]) -> None:
    """All of them; the first that fails ends those that are not done."""
    tasks = [asyncio.ensure_future(each) for each in parts]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
