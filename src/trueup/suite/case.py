"""Test cases of a suite and what became of them; data only.

A case's id is stable: `subject/key`. `planning.py` makes the cases, `run.py` carries them out,
the renderers show their results.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from trueup.errors import TrueUpError
from trueup.suite.service import Service

State = Literal["passed", "failed", "skipped", "not_run"]
Unit = Literal["s", "bytes", "share", "cosine", "count"]
STATES: tuple[State, ...] = ("passed", "failed", "skipped", "not_run")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """Something that was measured; `limit` is the most, or the least where `is_floor`."""

    name: str
    value: float
    unit: Unit
    limit: float | None = None
    is_floor: bool = False

    @property
    def is_met(self) -> bool:
        """Whether the value keeps to its limit; true where there is none."""
        if self.limit is None:
            return True
        return self.value >= self.limit if self.is_floor else self.value <= self.limit

    def as_dict(self) -> dict[str, Any]:
        """The figure in the report's shape."""
        return {**asdict(self), "is_met": self.is_met}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where to look: words for people, and the file and line where there is one."""

    text: str
    path: str | None = None
    line: int | None = None

    @classmethod
    def in_file(cls, text: str) -> Place:
        """The place of a key, stated as `file:line: key`."""
        path, _, rest = text.partition(":")
        line = rest.partition(":")[0]
        return cls(text=text, path=path, line=int(line) if line.isdecimal() else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why a case failed."""

    cause: str
    where: Place | None = None
    hint: str | None = None

    @classmethod
    def of(cls, error: TrueUpError) -> Problem:
        """The problem that an expected error states."""
        where = None if error.where is None else Place(text=error.where)
        return cls(cause=error.cause, where=where, hint=error.hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a case found; it failed where there is a problem.

    `more` are problems beside the first one. `unable` says why it could not be judged. `details`
    is plain data for the report: what was asked, what was answered.
    """

    problem: Problem | None = None
    more: tuple[Problem, ...] = ()
    figures: tuple[Figure, ...] = ()
    notes: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    unable: Problem | None = None


Body = Callable[[Service], Awaitable[Verdict]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One thing to be shown; `needs` are ids of cases without which it means nothing.

    `follows` are ids of cases whose measurement it judges, passed or not.
    A static case needs no server and loads nothing: its verdict is there already.
    """

    id: str
    subject: str
    title: str
    needs: tuple[str, ...] = ()
    follows: tuple[str, ...] = ()
    body: Body | None = None
    verdict: Verdict | None = None
    seconds: float = 0.0

    @property
    def is_static(self) -> bool:
        """Whether nothing is loaded for it."""
        return self.body is None

    @property
    def key(self) -> str:
        """The id without the subject."""
        return self.id.removeprefix(f"{self.subject}/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of a case.

    `because` says why one was skipped or not run, `needed` which case it waited for in vain;
    `instead` is what could take the place of what failed.
    """

    case: Case
    state: State
    seconds: float = 0.0
    verdict: Verdict = Verdict()
    because: str | None = None
    needed: str | None = None
    instead: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is tested: a model, another's server, a role, a member of its chain, or two of them.

    `name` is what the server is asked for, `role` the role by whose acceptance it is judged.
    """

    id: str
    type: Literal["model", "backend", "role", "member", "comparison"]
    name: str
    kind: str | None
    role: str | None = None
    source: str | None = None
    plan: Mapping[str, Any] | None = None
    place: str | None = None
    is_ours: bool = False
    chain: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """How people call it."""
        if self.type == "role":
            return f"the role {self.name}"
        if self.type == "comparison":
            return " and ".join(self.chain)
        return f"{self.name} as {self.role}" if self.type == "member" else self.name
