"""What happens in the server, told as frozen facts to whoever subscribed.

A list of callables, no bus: no metrics, no logging and no decisions here. Events are emitted
and received in the server's one event loop; a subscriber must return at once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

State = Literal["stopped", "starting", "ready", "stopping", "failed"]
Outcome = Literal["answered", "failed", "left"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Anything that happened; `at_seconds` is read from `time.monotonic`."""

    at_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestStarted(Event):
    """A request was parsed and goes to a backend."""

    request_id: str
    model: str
    path: str
    is_stream: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstTokenSent(Event):
    """The first chunk of a streamed answer was handed to the client's connection."""

    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestFinished(Event):
    """A request that had started is over.

    `outcome` is `answered`, `failed` (the client was told) or `left` (the client went away);
    `status` is the HTTP status that was sent, None where the client left before any.
    """

    request_id: str
    model: str
    outcome: Outcome
    status: int | None
    chunks: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelStateChanged(Event):
    """A model was loaded, unloaded or failed; `reason` is the error's cause or why it left."""

    model_id: str
    before: State
    after: State
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadProgressed(Event):
    """A load under way came further; `progress` goes from 0 to 1."""

    model_id: str
    progress: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryMeasured(Event):
    """A worker's memory as the system counts it."""

    model_id: str
    memory_bytes: int


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
        with contextlib.suppress(Exception):
            subscriber(event)
