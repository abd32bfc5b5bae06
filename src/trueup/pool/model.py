"""What the scheduler knows of one model; facts and what follows from them, no decisions."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from trueup.adapt.plan import Plan
from trueup.errors import TrueUpError
from trueup.events import State
from trueup.pool.budget import Reservation, is_on_gpu, needed_bytes
from trueup.pool.event import Ticket


@dataclass(slots=True, kw_only=True)
class Model:
    """One model of a pool. `load` numbers its workers, late word of an earlier one is known by it.

    `idle_since` is set while it is ready and nobody holds a lease. `turns` numbers the last turn
    of each client that still waits. `concurrency` is how many leases it has at a time, None for
    the pool's number.
    """

    id: str
    plan: Plan
    ttl_seconds: float | None
    is_pinned: bool
    concurrency: int | None = None
    state: State = "stopped"
    load: int = 0
    waiters: deque[Ticket] = field(default_factory=deque)
    turns: dict[str, int] = field(default_factory=dict)
    leases: set[Ticket] = field(default_factory=set)
    progress: float = 0.0
    memory_bytes: int | None = None
    device_bytes: int | None = None
    idle_since: float | None = None
    failures: int = 0
    retry_at: float = 0.0
    error: TrueUpError | None = None

    def next_waiter(self) -> Ticket:
        """Take out who is next: the first of the client whose last turn is the longest ago."""
        ticket = min(self.waiters, key=lambda each: self.turns.get(each.client, 0))
        self.waiters.remove(ticket)
        return ticket

    def note_turn(self, client: str) -> None:
        """A client has had a turn; who does not wait is forgotten."""
        turn = max(self.turns.values(), default=0) + 1
        waiting = {each.client for each in self.waiters}
        self.turns = {name: last for name, last in self.turns.items() if name in waiting}
        self.turns[client] = turn

    @property
    def is_held(self) -> bool:
        """Whether it takes memory."""
        return self.state in ("starting", "ready", "stopping")

    @property
    def reservation(self) -> Reservation:
        """What it takes or will take."""
        return Reservation(
            model_id=self.id,
            needed_bytes=needed_bytes(self.plan),
            resident_bytes=self.memory_bytes or 0,
            on_gpu=is_on_gpu(self.plan),
        )

    @property
    def unload_at(self) -> float | None:
        """When its time to live is over, None where it is busy, pinned or not ready."""
        if self.state != "ready" or self.is_pinned or self.ttl_seconds is None:
            return None
        return None if self.idle_since is None else self.idle_since + self.ttl_seconds
