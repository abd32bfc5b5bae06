"""What happens to a pool: the events that its one task takes, one after another."""

from __future__ import annotations

from dataclasses import dataclass

from trueup.errors import TrueUpError


@dataclass(slots=True, kw_only=True, eq=False)
class Ticket:
    """One caller's wish for a lease; `is_abandoned` is set the moment the caller leaves.

    Clients take turns: tickets of one `client` are served one after another.
    """

    model_id: str
    client: str = ""
    is_abandoned: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Requested:
    """A caller wants a lease."""

    ticket: Ticket


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """A caller gives its lease back or no longer waits for it."""

    ticket: Ticket


@dataclass(frozen=True, slots=True, kw_only=True)
class Progressed:
    """A load came further, from 0 to 1."""

    model_id: str
    load: int
    progress: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A worker measured its memory."""

    model_id: str
    load: int
    memory_bytes: int
    device_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerReady:
    """A worker has loaded its model."""

    model_id: str
    load: int
    memory_bytes: int | None = None
    device_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerFailed:
    """A worker said why it cannot load its model; its process is gone."""

    model_id: str
    load: int
    error: TrueUpError


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerExited:
    """A worker's process is gone; `reason` reads like `was ended by SIGKILL`."""

    model_id: str
    load: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TimePassed:
    """The time that `Scheduler.deadline` named may have come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shutdown:
    """No more requests; `is_forced` also ends the workers that are answering."""

    is_forced: bool = False


Event = (
    Requested
    | Released
    | Progressed
    | Measured
    | WorkerReady
    | WorkerFailed
    | WorkerExited
    | TimePassed
    | Shutdown
)
