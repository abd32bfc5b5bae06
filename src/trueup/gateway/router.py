"""From the name that a client asks for to what answers it: a model, a role or an alias."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from trueup.backends.base import Backend
from trueup.errors import TrueUpError
from trueup.gateway.errors import unknown_model
from trueup.protocol.model import ModelRow

Admits = Callable[[str], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """One served model; `plan` is `Plan.as_dict()`, None where others run the model.

    `current_plan` gives a plan that gains facts while the model is served.
    """

    id: str
    kind: str
    backend: Backend
    plan: Mapping[str, Any] | None = None
    current_plan: Callable[[], Mapping[str, Any]] | None = None

    async def in_turn(self) -> Sequence[Served]:
        """Itself alone."""
        return (self,)

    async def row(self, admits: Admits = lambda name: True) -> ModelRow:
        """The row of /v1/models."""
        health = await self.backend.health()
        plan = self.current_plan() if self.current_plan else self.plan
        return ModelRow(id=self.id, kind=self.kind, state=health.state, plan=plan)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedRole:
    """A name for what is done; its chain holds one or more models or backends of one kind.

    `acceptance` is told in /v1/models and nothing else.
    """

    id: str
    chain: tuple[Served, ...]
    acceptance: Mapping[str, Any] = field(default_factory=dict)

    async def in_turn(self) -> Sequence[Served]:
        """The chain in the order in which it is asked: who has failed comes last."""
        # Of others' servers the breakers know better: a look at one may just have been late.
        failed = [
            each
            for each in self.chain
            if each.backend.capabilities.queues and (await each.backend.health()).state == "failed"
        ]
        return (*(each for each in self.chain if each not in failed), *failed)

    async def row(self, admits: Admits = lambda name: True) -> ModelRow:
        """The row of /v1/models; `admits` is the breakers' word on a backend's name."""
        order = await self.in_turn()
        answering = next((each for each in order if admits(each.backend.name)), order[0])
        role = {
            "chain": [each.id for each in self.chain],
            "answers": answering.id,
            "acceptance": dict(self.acceptance),
        }
        health = await answering.backend.health()
        return ModelRow(id=self.id, kind=answering.kind, state=health.state, role=role)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedAlias:
    """Another name for a model or a role."""

    id: str
    target: Served | ServedRole

    async def in_turn(self) -> Sequence[Served]:
        """What answers for its target."""
        return await self.target.in_turn()

    async def row(self, admits: Admits = lambda name: True) -> ModelRow:
        """The row of /v1/models."""
        row = await self.target.row(admits)
        return ModelRow(id=self.id, kind=row.kind, state=row.state, alias_of=self.target.id)


Name = Served | ServedRole | ServedAlias


class Router:
    """The served names; requests wait until `open` has said that they are all known.

    What takes longer than a client waits is told instead (`put_off`).
    """

    def __init__(self) -> None:
        self._models: tuple[Served, ...] = ()
        self._names: dict[str, Name] = {}
        self._error: TrueUpError | None = None
        self._is_open = False
        # Whether there is something to say to who waits.
        self._is_told = asyncio.Event()

    @property
    def is_open(self) -> bool:
        """Whether all names are known."""
        return self._is_open

    def open(self, *models: Served, roles: Iterable[ServedRole | ServedAlias] = ()) -> None:
        """Serve these, each by a name of its own; called once."""
        self._models = models
        self._names.update((each.id, each) for each in (*models, *roles))
        self._is_open, self._error = True, None
        self._is_told.set()

    def put_off(self, error: TrueUpError) -> None:
        """Tell those who wait, and who comes until `open`, that they shall ask again later."""
        if not self._is_open:
            self._error = error
            self._is_told.set()

    def fail(self, error: TrueUpError) -> None:
        """Tell those who wait that nothing will be served."""
        self._is_open, self._error = True, error
        self._is_told.set()

    async def all(self) -> tuple[Served, ...]:
        """Every model that is served, once each, in the order of the configuration."""
        await self._opened()
        return self._models

    async def names(self) -> Sequence[Name]:
        """Everything that a client may ask for: models, then roles and aliases."""
        await self._opened()
        return tuple(self._names.values())

    async def named(self, name: str) -> Name:
        """The model, role or alias of a name.

        Raises:
            RequestError: there is none; the nearest names are told.
        """
        found = self._names.get(name) if self._is_open and not self._error else None
        if found is not None:
            return found
        await self._opened()
        found = self._names.get(name)
        if found is None:
            raise unknown_model(name, self._names)
        return found

    async def chain(self, name: str) -> Sequence[Served]:
        """Who answers to a name, in the order in which they are asked.

        Raises:
            RequestError: nothing does; the nearest names are told.
        """
        return await (await self.named(name)).in_turn()

    async def _opened(self) -> None:
        await self._is_told.wait()
        if self._error is not None:
            raise self._error
