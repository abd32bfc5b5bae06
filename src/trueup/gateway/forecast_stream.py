"""A streamed forecast on its way through: bars as they are decoded, then the whole.

A stream that broke off is asked for again, with the same seed: what the client has is compared
with what comes, event by event and byte for byte, and only what is beyond it goes on. So nothing of
two different forecasts is ever joined, whoever answers.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import orjson

from trueup.errors import BackendError, TrueUpError
from trueup.gateway.delivery import PRIVATE_KEY, Delivery
from trueup.gateway.json_text import written
from trueup.gateway.refusal import ODD, stated_error, unreadable
from trueup.gateway.sse import EventSplitter
from trueup.gateway.whole import error_in, incomplete
from trueup.protocol.forecast import BAR, FORECAST

# Asked again, it said something else: no fault of the backend's.
DIFFERS = "forecast_differs"


class ForecastDelivery(Delivery):
    """What a client has of a forecast: so many bars, and whether it has the whole.

    `usage` counts the bars of the whole. One for all tries, as of any answer.
    """

    def __init__(self, horizon: int) -> None:
        super().__init__(choices=0, is_chat=False)
        self.horizon = horizon
        self.is_whole = False
        self._bars: list[bytes] = []

    @property
    def is_complete(self) -> bool:
        """The whole was written."""
        return self.is_whole

    @property
    def has_content(self) -> bool:
        """Whether the client has bars that a new forecast would have to begin with."""
        return bool(self._bars)

    @property
    def tokens(self) -> int:
        """Bars delivered so far; of many series, those that were decoded together are one."""
        return len(self._bars)

    def bar(self, position: int, data: bytes) -> bytes:
        """The event of a bar, b"" where the client has it.

        Raises:
            BackendError: the client has another one in its place.
        """
        seen = sha256(data).digest()
        if position < len(self._bars):
            if self._bars[position] != seen:
                raise BackendError(
                    f"asked again, the backend forecast another bar {position} than it had",
                    retryable=False,
                    code=DIFFERS,
                )
            return b""
        self._resumed()
        self._bars.append(seen)
        self.chunks += 1
        return b"data: %b\n\n" % data

    def last(self, shape: dict[str, Any], data: bytes) -> bytes:
        """The event of the whole; tells of repairs where there were any."""
        self._resumed()
        self.is_whole = True
        self.usage = shape.get("usage")
        self.chunks += 1
        if repairs := self.repairs():
            data = written({**shape, PRIVATE_KEY: repairs})
        return b"data: %b\n\n" % data

    def usage_event(self) -> bytes:
        """The whole tells it."""
        return b""

    def stated(self) -> dict[str, Any]:
        """What the whole says of bars."""
        return dict(self.usage or {})

    def broken(self, error: TrueUpError) -> BackendError:
        """The error of a forecast of which only a part was delivered."""
        return BackendError(
            f"the forecast broke off after {self.tokens} events of bars, of a horizon of "
            f"{self.horizon}: {error.cause}",
            retryable=True,
            code="stream_incomplete",
            where=error.where,
            hint="what was sent so far is not the whole forecast: ask again",
        )


class ForecastReading:
    """Reads one try's stream into a delivery (see `relay.Reading`)."""

    def __init__(self, delivery: ForecastDelivery) -> None:
        self.is_over = False
        self.is_cut = False
        self.fault: TrueUpError | None = None
        self.events = 0
        self._delivery = delivery
        self._splitter = EventSplitter()

    @property
    def is_complete(self) -> bool:
        """Nothing but `[DONE]` is to come."""
        return self._delivery.is_complete

    def take(self, piece: bytes) -> bytes:
        """The client's bytes for what the backend sent: whole events, perhaps none."""
        out: list[bytes] = []
        try:
            for data in self._splitter.feed(piece):
                if self.is_complete or data == b"[DONE]":
                    self._end()
                    break
                out.append(self._event(data))
        except TrueUpError as error:
            self.fail(error)
        except ODD as error:
            self.fail(unreadable(error))
        return b"".join(out)

    def end(self, *, is_framed: bool = True) -> bytes:
        """The backend's body has come to its end."""
        if not self.is_over:
            try:
                self._end()
            except TrueUpError as error:
                self.fail(error)
        return b""

    def fail(self, error: TrueUpError) -> bytes:
        """Something broke; what was complete by then stays complete."""
        self.is_over = True
        if self.fault is None and not self.is_complete:
            self.fault = error
        return b""

    def _end(self) -> None:
        self.is_over = True
        if not self.is_complete:
            raise incomplete(
                f"ended its stream without the whole forecast, after {self.events} bars",
                "stream_incomplete",
            )

    def _event(self, data: bytes) -> bytes:
        shape = orjson.loads(data)
        kind = shape.get("object")
        if kind == BAR:
            out = self._delivery.bar(self.events, data)
            self.events += 1
            return out
        if kind == FORECAST:
            if self.events < self._delivery.tokens:
                raise incomplete(f"ended its forecast after {self.events} bars", DIFFERS)
            return self._delivery.last(shape, data)
        if (stated := error_in(shape)) is not None:
            raise stated_error(stated, status=502)
        raise incomplete("sent an event that is no part of a forecast", "stream_malformed")
