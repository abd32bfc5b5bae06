"""Answers on their way from a backend to a client: streamed ones and whole ones.

Moves bytes and watches both ends; what a stream may say is `contract.py`. Runs in the task of
the request; a stream has two companions: one waits for the client to leave, one for silence.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace

from trueup.backends.base import Backend, BackendRequest, BackendResponse
from trueup.errors import BackendError, TrueUpError
from trueup.events import FirstTokenSent, emit
from trueup.gateway.contract import StreamContract
from trueup.gateway.errors import log_bug
from trueup.gateway.exchange import Exchange
from trueup.gateway.interruption import Interruptible
from trueup.gateway.response import check_stream, check_whole, read_all
from trueup.gateway.sse import HEARTBEAT
from trueup.protocol.errors import code_of

CheckWhole = Callable[[BackendResponse, bytes], None]
STREAM_HEADERS = (("content-type", "text/event-stream"), ("cache-control", "no-cache"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long each side may be silent.

    `grace_seconds` is how long an error may still have an HTTP status of its own;
    `between_tokens_seconds` holds for a client that does not read as well.
    """

    grace_seconds: float = 1.0
    heartbeat_seconds: float = 10.0
    first_token_seconds: float = 1800.0
    between_tokens_seconds: float = 300.0
    after_finish_seconds: float = 5.0
    whole_answer_seconds: float = 3600.0


class Answering:
    """One answer under way; `interruption` is how the server ends it early."""

    def __init__(self, exchange: Exchange, backend: Backend, limits: Limits) -> None:
        self.interruption = Interruptible()
        self._exchange = exchange
        self._backend = backend
        self._limits = limits
        self._starting = asyncio.Lock()
        self._is_writing = False
        self._is_sent = False

    async def stream(self, request: BackendRequest, *, choices: int) -> None:
        """Stream the answer to the client.

        Raises:
            TrueUpError: it failed before anything was sent.
        """
        contract = StreamContract(choices=choices, source=self._backend.name)
        try:
            async with self.interruption, self._companions(contract):
                await self._relay(request, contract)
        except TrueUpError as error:
            contract.fail(error)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            log_bug(self._exchange, error)
            contract.fail(_bug())
        if self._client_is_gone():
            return
        if stopped := self._interruption_error():
            contract.fail(stopped)
        await self._close(contract)

    async def whole(self, request: BackendRequest, check: CheckWhole = check_whole) -> None:
        """Send the whole answer to the client, once `check` finds nothing wrong with it.

        Raises:
            TrueUpError: there is none.
        """
        response, body = None, b""
        try:
            async with (
                asyncio.timeout(self._limits.whole_answer_seconds),
                self.interruption,
                _companion(self._watch_client),
                self._backend.open(request) as response,
            ):
                body = await read_all(response)
        except TimeoutError:
            raise self._silent(self._limits.whole_answer_seconds) from None
        if self._client_is_gone():
            return
        if stopped := self._interruption_error():
            raise stopped
        if response is None:
            raise _bug()
        check(response, body)
        await self._exchange.answer(200, body)

    async def _relay(self, request: BackendRequest, contract: StreamContract) -> None:
        request = replace(request, on_sent=self._note_sent)
        async with self._backend.open(request) as response:
            self._note_sent()
            await check_stream(response)
            async for piece in response.body:
                out = contract.take(piece)
                if out:
                    await self._write(out)
                    if not self._exchange.chunks:
                        self._tell_first_token()
                    self._exchange.chunks = contract.chunks
                if contract.is_over:
                    return
            contract.end()

    def _note_sent(self) -> None:
        self._is_sent = True

    async def _close(self, contract: StreamContract) -> None:
        error = contract.error
        if self._exchange.status is None and error is not None:
            raise error
        if error is not None:
            self._exchange.outcome = "failed"
            self._exchange.error_code = code_of(error)
        last = contract.last_bytes()
        with contextlib.suppress(TimeoutError):  # a client that does not read is not waited for
            async with asyncio.timeout(self._limits.between_tokens_seconds):
                await self._start()
                await self._exchange.write(last, more=False)

    async def _start(self) -> None:
        # Two tasks may want to be first: the relay and the heartbeat.
        async with self._starting:
            if self._exchange.status is None:
                await self._exchange.start(200, STREAM_HEADERS)

    async def _write(self, body: bytes) -> None:
        if self._exchange.status is None:
            await self._start()
        self._is_writing = True
        await self._exchange.write(body)
        self._is_writing = False

    @contextlib.asynccontextmanager
    async def _companions(self, contract: StreamContract) -> AsyncIterator[None]:
        async with (
            _companion(self._watch_client),
            _companion(lambda: self._watch_silence(contract)),
        ):
            yield

    async def _watch_client(self) -> None:
        while (await self._exchange.receive())["type"] != "http.disconnect":
            pass
        self.interruption.interrupt("client left")

    async def _watch_silence(self, contract: StreamContract) -> None:
        """Send heartbeats in silence, and end what makes no progress."""
        limits = self._limits
        seen = -1
        progress_at = time.monotonic()
        pause = limits.grace_seconds
        while True:
            await asyncio.sleep(pause)
            pause = min(limits.heartbeat_seconds, self._patience(contract))
            now = time.monotonic()
            is_silent = contract.chunks in (0, seen)
            if contract.chunks != seen or not self._is_sent:
                seen, progress_at = contract.chunks, now
            elif now - progress_at >= self._patience(contract):
                self._end_stalled(contract)
                return
            if is_silent and not self._is_writing:
                await self._beat()

    async def _beat(self) -> None:
        try:
            async with asyncio.timeout(self._limits.between_tokens_seconds):
                await self._write(HEARTBEAT)
        except TimeoutError:
            self.interruption.interrupt("client stalled")

    def _patience(self, contract: StreamContract) -> float:
        if contract.is_complete:
            return self._limits.after_finish_seconds
        if contract.chunks or self._is_writing:
            return self._limits.between_tokens_seconds
        return self._limits.first_token_seconds

    def _end_stalled(self, contract: StreamContract) -> None:
        if self._is_writing:
            self.interruption.interrupt("client stalled")
            return
        contract.fail(self._silent(self._patience(contract)))
        self.interruption.interrupt("backend stalled")

    def _silent(self, seconds: float) -> BackendError:
        return BackendError(
            f"`{self._backend.name}` was silent for {seconds:g} s",
            retryable=True,
            code="backend_silent",
            status=504,
            where=self._backend.name,
            hint="`trueup ps` shows what the model does",
        )

    def _client_is_gone(self) -> bool:
        if self.interruption.reason in ("client left", "client stalled"):
            self._exchange.outcome = "left"
            return True
        return False

    def _interruption_error(self) -> BackendError | None:
        if self.interruption.reason != "server stops":
            return None
        return BackendError(
            "the server is stopping and the answer was not done in time",
            retryable=True,
            code="server_stopping",
            status=503,
            hint="ask again when the server is back",
        )

    def _tell_first_token(self) -> None:
        emit(
            FirstTokenSent(
                at_seconds=time.monotonic(),
                request_id=self._exchange.request_id,
                model=self._exchange.model or "",
                seconds=0.0,
            )
        )


@contextlib.asynccontextmanager
async def _companion(watch: Callable[[], object]) -> AsyncIterator[None]:
    task: asyncio.Task[None] = asyncio.create_task(watch())  # type: ignore[arg-type]
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait((task,))


def _bug() -> BackendError:
    return BackendError(
        "a bug in TrueUp; the server's log tells more",
        retryable=False,
        code="internal_error",
        status=500,
    )
