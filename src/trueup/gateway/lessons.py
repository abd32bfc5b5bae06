"""What backends were learned not to take, kept across restarts for a while.

A lesson is one parameter of one backend with one model in one version: another version may take
it. It is kept once a request without the parameter succeeded.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from trueup.backends.base import Backend
from trueup.state import StateStore

NAMESPACE = "lessons"
KEEP_SECONDS = 7 * 24 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """One parameter that a backend does not take; times are of `time.time`."""

    backend: str
    model: str | None
    version: str | None
    parameter: str
    learned_at: float
    expires_at: float


class Lessons:
    """All lessons; what is asked for with every request is read from memory."""

    def __init__(self, store: StateStore, *, keep_seconds: float = KEEP_SECONDS) -> None:
        self._store = store
        self._keep_seconds = keep_seconds
        self._known: dict[tuple[str, str | None, str | None], dict[str, float]] | None = None

    def of(self, backend: Backend) -> frozenset[str]:
        """The parameters that a backend is known not to take."""
        known = self._loaded().get((backend.name, backend.model, backend.version))
        if not known:
            return frozenset()
        now = time.time()
        return frozenset(name for name, expires_at in known.items() if expires_at > now)

    def learn(self, backend: Backend, parameter: str) -> None:
        """Keep that a backend does not take a parameter."""
        now = time.time()
        value = [backend.name, backend.model, backend.version, parameter, now]
        self._store.put(NAMESPACE, _key(value), value, ttl_seconds=self._keep_seconds)
        place = self._loaded().setdefault((backend.name, backend.model, backend.version), {})
        place[parameter] = now + self._keep_seconds

    def all(self) -> list[Lesson]:
        """Every lesson that still holds."""
        return [
            Lesson(
                backend=backend,
                model=model,
                version=version,
                parameter=parameter,
                learned_at=learned_at,
                expires_at=entry.expires_at or learned_at + self._keep_seconds,
            )
            for entry in self._store.entries(NAMESPACE)
            for backend, model, version, parameter, learned_at in [entry.value]
        ]

    def clear(self, backend: str | None = None) -> int:
        """Forget the lessons of a backend, or all; how many those were."""
        count = 0
        for entry in self._store.entries(NAMESPACE):
            if backend is None or entry.value[0] == backend:
                self._store.remove(NAMESPACE, entry.key)
                count += 1
        self._known = None
        return count

    def _loaded(self) -> dict[tuple[str, str | None, str | None], dict[str, float]]:
        if self._known is None:
            self._known = {}
            for each in self.all():
                place = self._known.setdefault((each.backend, each.model, each.version), {})
                place[each.parameter] = each.expires_at
        return self._known


def _key(value: Sequence[object]) -> str:
    return "\x1f".join(str(part) for part in value[:4])
