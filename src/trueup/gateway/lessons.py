"""What backends were learned not to take, kept across restarts for a while.

A lesson is one parameter of one backend with one model in one version: another version may take
it. It is kept once a request without the parameter succeeded.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

from trueup.backends.base import Backend
from trueup.state import Entry, StateStore

NAMESPACE = "lessons"
NOTHING: frozenset[str] = frozenset()
KEEP_SECONDS = 7 * 24 * 3600.0
# Clients choose names, too: with more lessons than this of one backend, the oldest goes.
MAX_PARAMETERS = 64


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

    def of(self, backend: Backend, model: str | None = None) -> frozenset[str]:
        """The parameters that a backend is known not to take.

        `model` is what the client calls it, and so the backend where it has no name of its own.
        """
        known = self._loaded().get((backend.name, backend.model or model, backend.version))
        if not known:
            return NOTHING
        now = time.time()
        return frozenset([name for name, expires_at in known.items() if expires_at > now])

    def learn(self, backend: Backend, parameter: str, model: str | None = None) -> None:
        """Keep that a backend does not take a parameter."""
        now = time.time()
        about = (backend.name, backend.model or model, backend.version)
        known = self._loaded().setdefault(about, {})
        known.pop(parameter, None)
        while len(known) >= MAX_PARAMETERS:
            oldest = min(known, key=known.__getitem__)
            del known[oldest]
            self._store.remove(NAMESPACE, _key(*about, oldest))
        known[parameter] = now + self._keep_seconds
        self._store.put(
            NAMESPACE,
            _key(*about, parameter),
            [*about, parameter, now],
            ttl_seconds=self._keep_seconds,
        )

    def all(self) -> list[Lesson]:
        """Every lesson that still holds."""
        return [lesson for entry in self._store.entries(NAMESPACE) if (lesson := _lesson(entry))]

    def clear(self, backend: str | None = None) -> int:
        """Forget the lessons of a backend, or all; how many those were."""
        count = 0
        for entry in self._store.entries(NAMESPACE):
            lesson = _lesson(entry)
            if backend is None or (lesson is not None and lesson.backend == backend):
                self._store.remove(NAMESPACE, entry.key)
                count += lesson is not None
        self._known = None
        return count

    def _loaded(self) -> dict[tuple[str, str | None, str | None], dict[str, float]]:
        if self._known is None:
            self._known = {}
            for each in self.all():
                place = self._known.setdefault((each.backend, each.model, each.version), {})
                place[each.parameter] = each.expires_at
        return self._known


def _lesson(entry: Entry) -> Lesson | None:
    """What was kept; None for what another version of TrueUp may have kept."""
    value = entry.value
    if not isinstance(value, list) or len(value) != 5 or entry.expires_at is None:
        return None
    backend, model, version, parameter, learned_at = value
    if not isinstance(backend, str) or not isinstance(parameter, str):
        return None
    if not isinstance(learned_at, int | float):
        return None
    return Lesson(
        backend=backend,
        model=model if isinstance(model, str) else None,
        version=version if isinstance(version, str) else None,
        parameter=parameter,
        learned_at=learned_at,
        expires_at=entry.expires_at,
    )


def _key(*parts: str | None) -> str:
    return json.dumps(parts)
