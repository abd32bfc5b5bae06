"""From a model's name to what answers it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trueup.backends.base import Backend
from trueup.errors import TrueUpError
from trueup.gateway.errors import unknown_model
from trueup.protocol.model import ModelRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """One served name; `plan` is `Plan.as_dict()`, None where others run the model."""

    id: str
    kind: str
    backend: Backend
    plan: Mapping[str, Any] | None = None

    async def row(self) -> ModelRow:
        """The row of /v1/models."""
        health = await self.backend.health()
        return ModelRow(id=self.id, kind=self.kind, state=health.state, plan=self.plan)


class Router:
    """The served names; requests wait until `open` has said that they are all known."""

    def __init__(self) -> None:
        self._served: dict[str, Served] = {}
        self._error: TrueUpError | None = None
        self._is_open = asyncio.Event()

    @property
    def is_open(self) -> bool:
        """Whether all names are known."""
        return self._is_open.is_set()

    def open(self, *served: Served) -> None:
        """Serve these; called once."""
        self._served.update((each.id, each) for each in served)
        self._is_open.set()

    def fail(self, error: TrueUpError) -> None:
        """Tell those who wait that nothing will be served."""
        self._error = error
        self._is_open.set()

    async def all(self) -> tuple[Served, ...]:
        """Everything that is served, in the order of the configuration."""
        await self._opened()
        return tuple(self._served.values())

    async def find(self, name: str) -> Served:
        """What answers to a name.

        Raises:
            RequestError: nothing does; the nearest names are told.
        """
        await self._opened()
        served = self._served.get(name)
        if served is None:
            raise unknown_model(name, self._served)
        return served

    async def _opened(self) -> None:
        await self._is_open.wait()
        if self._error is not None:
            raise self._error
