"""What happens in the server, told as facts to whoever subscribed; nobody changes one.

A list of callables, no bus: no metrics, no logging and no decisions here. Events are emitted
and received in the server's one event loop; a subscriber must return at once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

# Not frozen: making a frozen one takes three times as long, and each request tells of several.
State = Literal["stopped", "starting", "ready", "stopping", "failed"]
Outcome = Literal["answered", "failed", "left"]


@dataclass(slots=True, kw_only=True)
class Event:
    """Anything that happened; `at_seconds` is read from `time.monotonic`."""

    at_seconds: float


@dataclass(slots=True, kw_only=True)
class RequestStarted(Event):
    """A request was parsed and goes to a backend; `model` is the name that was asked for."""

    request_id: str
    model: str
    path: str
    is_stream: bool


@dataclass(slots=True, kw_only=True)
class FirstTokenSent(Event):
    """The first chunk of a streamed answer was handed to the client's connection.

    `seconds` is since the request started.
    """

    request_id: str
    model: str
    seconds: float


@dataclass(slots=True, kw_only=True)
class RequestFinished(Event):
    """A request that had started is over.

    `outcome` is `answered`, `failed` (the client was told) or `left` (the client went away);
    `status` is the HTTP status that was sent, None where the client left before any.
    `backend` answered, None where nobody did. Of tokens None is not known; `chunks` are those
    of a stream. `finish_reasons` has one for each complete choice. `bars_in` and `bars_out` are
    those of a forecast.
    """

    request_id: str
    model: str
    outcome: Outcome
    status: int | None
    chunks: int
    seconds: float
    path: str = ""
    backend: str | None = None
    code: str | None = None
    tries: int = 0
    continuations: int = 0
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    first_token_seconds: float | None = None
    finish_reasons: tuple[str, ...] = ()
    bars_in: int | None = None
    bars_out: int | None = None


@dataclass(slots=True, kw_only=True)
class RequestRefused(Event):
    """A request was answered with an error before it went to a backend.

    `request_id` is empty for what was no HTTP, or more of it than is read.
    """

    request_id: str
    status: int
    code: str


@dataclass(slots=True, kw_only=True)
class RetryStarted(Event):
    """A backend is asked again after `code`; nothing of its answer was sent to the client."""

    request_id: str
    backend: str
    code: str


@dataclass(slots=True, kw_only=True)
class FallbackTaken(Event):
    """The next backend of a chain is asked because `before` gave up with `code`."""

    request_id: str
    before: str
    after: str
    code: str


@dataclass(slots=True, kw_only=True)
class ContinuationStarted(Event):
    """An answer that broke off is continued: by token ids, by a prefix, or asked for again."""

    request_id: str
    backend: str
    how: Literal["token_ids", "prefix", "asked_again"]


@dataclass(slots=True, kw_only=True)
class ParameterDropped(Event):
    """A parameter of a request was left out or translated for a backend."""

    request_id: str
    backend: str
    parameter: str


@dataclass(slots=True, kw_only=True)
class BreakerChanged(Event):
    """The circuit breaker of a backend is `closed`, `open` or `half-open` now."""

    backend: str
    state: Literal["closed", "open", "half-open"]


@dataclass(slots=True, kw_only=True)
class ModelStateChanged(Event):
    """A model was loaded, unloaded or failed; `reason` is the error's cause or why it left."""

    model_id: str
    before: State
    after: State
    reason: str | None = None


@dataclass(slots=True, kw_only=True)
class LoadProgressed(Event):
    """A load under way came further; `progress` goes from 0 to 1."""

    model_id: str
    progress: float


@dataclass(slots=True, kw_only=True)
class MemoryMeasured(Event):
    """A worker's memory as the system counts it."""

    model_id: str
    memory_bytes: int


@dataclass(slots=True, kw_only=True)
class FixApplied(Event):
    """A named fix is part of a model that is ready; `fix` is its name and version."""

    model_id: str
    fix: str


Subscriber = Callable[[Event], None]

_subscribers: list[Subscriber] = []


def subscribe(subscriber: Subscriber) -> Callable[[], None]:
    """Call `subscriber` with every later event; returns the function that ends that."""
    _subscribers.append(subscriber)

    def unsubscribe() -> None:
        with contextlib.suppress(ValueError):
            _subscribers.remove(subscriber)

    return unsubscribe


def emit(event: Event) -> None:
    """Tell every subscriber, in the order of their subscription.

    An exception in one of them is its own affair: emitting never fails.
    """
    for subscriber in tuple(_subscribers):
        try:  # noqa: SIM105  `suppress` costs more than all that is done here
            subscriber(event)
        except Exception:
            pass
