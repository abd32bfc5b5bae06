"""The state of a walk: frames, an undo log, what may fail, and how far it may go.

Where a condition is not known both ways are walked on the same state: what the first one changed is
undone before the second begins, and what they leave differently is joined.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from packaging.version import Version

from trueup.checkpoint.checkpoint import RemoteModule
from trueup.doctor.walk.failure import ExhaustedError, Failure, Frame, Kind, RaisedError
from trueup.doctor.walk.values import UNKNOWN, OwnModule, Scope, Value, joined
from trueup.environment.symbols.symbols import Symbols

MAX_STEPS = 400_000
# After so many steps it is asked whether the time is over.
LOOKS_EVERY = 512
MAX_DEPTH = 40
FIRST_V5 = Version("5.0.0")
ABSENT = object()
# Where, under which key, and what was there.
Write = tuple[dict[Any, Any], Any, Any]


@dataclass(frozen=True, slots=True)
class Flow:
    """How a block ended, where it did not run to its end."""

    kind: str  # return, break, continue
    value: Value = UNKNOWN


@dataclass(slots=True)
class Call:
    """A function that is being run; `returned` are values of returns that may have happened."""

    name: str
    module: OwnModule
    line: int = 0
    scopes: tuple[Scope, ...] = ()
    returned: list[Value] = field(default_factory=list)
    globals_named: set[str] = field(default_factory=set)
    node: ast.AST | None = None


@dataclass(slots=True, kw_only=True)
class World:
    """What the code runs in: the library's names, installed packages, its own files.

    `is_over` says that it took long enough. `goes_on`: what is behind a failure is met too.
    `compared` keeps what was asked of the version itself.
    """

    symbols: Symbols
    version: Version
    packages: Mapping[str, str]
    modules: Mapping[str, RemoteModule]
    files: frozenset[str] = frozenset()
    mended: frozenset[tuple[str, int]] = frozenset()
    is_over: Callable[[], bool] = lambda: False
    goes_on: bool = True
    compared: dict[str, Any] = field(default_factory=dict)

    def is_at_least(self, version: Version) -> bool:
        """Whether the library is that release or a newer one."""
        key = f">={version}"
        if key not in self.compared:
            self.compared[key] = Version(self.version.base_version) >= version
        return bool(self.compared[key])

    def is_release(self, version: Version) -> bool:
        """Whether the library is that very release."""
        key = f"=={version}"
        if key not in self.compared:
            self.compared[key] = Version(self.version.base_version) == version
        return bool(self.compared[key])

    def version_text(self) -> str:
        """The version as the library tells it."""
        self.compared["text"] = str(self.version)
        return str(self.version)


class Machine:
    """State only; how expressions, statements and calls run is added by the classes below it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.own: dict[str, OwnModule] = {}
        self.calls: list[Call] = []
        self.possible: list[Failure] = []
        self.steps = 0
        self.is_building_on_meta = False
        # Statements that failed before and are passed over, so that what is behind them is met.
        self.mended: set[tuple[str, int]] = set(world.mended)
        self._log: list[Write] | None = None

    # What the layers add.
    def evaluate(self, node: ast.expr) -> Value:
        """The value of an expression."""
        raise NotImplementedError

    def execute(self, body: list[ast.stmt]) -> Flow | None:
        """Run a block."""
        raise NotImplementedError

    def call(
        self, function: Value, arguments: list[Value], keywords: dict[str, Value], **more: Any
    ) -> Value:
        """Call a value."""
        raise NotImplementedError

    def attribute(self, value: Value, name: str) -> Value:
        """An attribute of a value."""
        raise NotImplementedError

    def import_own(self, path: str) -> OwnModule | None:
        """Run a module of the model's own."""
        raise NotImplementedError

    @property
    def here(self) -> Call:
        """The function that runs."""
        return self.calls[-1]

    def step(self, node: ast.expr | ast.stmt) -> None:
        """Count, and note the line.

        Raises:
            ExhaustedError: it was enough.
        """
        self.steps = steps = self.steps + 1
        if steps % LOOKS_EVERY == 0 and (steps > MAX_STEPS or self.world.is_over()):
            raise ExhaustedError
        if self.calls:
            self.calls[-1].line = node.lineno

    def frames(self) -> tuple[Frame, ...]:
        """The own code that is being run, the deepest last."""
        return tuple(
            Frame(path=call.module.path, line=call.line, function=call.name) for call in self.calls
        )

    def fail(
        self, kind: Kind, exception: str, message: str, *, subject: str = "", owner: str = ""
    ) -> NoReturn:
        """The code raises here.

        Raises:
            RaisedError: always.
        """
        raise RaisedError(
            Failure(
                kind=kind,
                exception=exception,
                message=message,
                frames=self.frames(),
                subject=subject,
                owner=owner,
            )
        )

    def is_mended(self, failure: Failure) -> bool:
        """Whether the statement that runs is what failed, and is to be passed over."""
        place = failure.where
        is_here = place is not None and len(failure.frames) == len(self.calls)
        return is_here and place is not None and (place.path, place.line) in self.mended

    def put(self, place: dict[Any, Any], key: Any, value: Any) -> None:
        """Write, so that it can be undone."""
        if self._log is not None:
            self._log.append((place, key, place.get(key, ABSENT)))
        place[key] = value

    def recorded(self, run: Callable[[], Flow | None]) -> tuple[Flow | None, list[Write]]:
        """Run, and tell what was written."""
        outer, self._log = self._log, []
        try:
            flow = run()
        finally:
            writes = self._log
            if outer is not None:
                outer.extend(writes)
            self._log = outer
        return flow, writes

    def remove(self, place: dict[Any, Any], key: Any) -> None:
        """Delete, so that it can be undone."""
        if key in place:
            if self._log is not None:
                self._log.append((place, key, place[key]))
            del place[key]

    def note_possible(self, failure: Failure) -> None:
        """Something that fails on one of several ways."""
        self.possible.append(failure.possible())

    def fork(
        self, first: Callable[[], Flow | None], second: Callable[[], Flow | None]
    ) -> Flow | None:
        """Walk two ways of which one is taken, nobody knows which.

        Raises:
            RaisedError: both fail.
        """
        outer, flows = self._log, list[Flow | RaisedError | None]()
        changes: list[dict[tuple[int, Any], tuple[dict[Any, Any], Any]]] = []
        for run in (first, second):
            self._log = []
            depth, marks = len(self.calls), len(self.here.returned) if self.calls else 0
            try:
                flow: Flow | RaisedError | None = run()
            except RaisedError as raised:
                del self.calls[depth:]
                flow = raised
            del marks
            changes.append(self._undo())
            flows.append(flow)
        self._log = outer
        one, two = flows
        if isinstance(one, RaisedError) and isinstance(two, RaisedError):
            raise one
        if isinstance(one, RaisedError):
            self.note_possible(one.failure)
            return self._take(changes[1], two)
        if isinstance(two, RaisedError):
            self.note_possible(two.failure)
            return self._take(changes[0], one)
        return self._joined(changes, one, two)

    def _undo(self) -> dict[tuple[int, Any], tuple[dict[Any, Any], Any]]:
        """Take back what was written since the fork; what it had come to."""
        ends: dict[tuple[int, Any], tuple[dict[Any, Any], Any]] = {}
        for place, key, _ in self._log or ():
            ends[id(place), key] = place, place.get(key, ABSENT)
        for place, key, old in reversed(self._log or ()):
            if old is ABSENT:
                place.pop(key, None)
            else:
                place[key] = old
        return ends

    def _take(
        self,
        changes: dict[tuple[int, Any], tuple[dict[Any, Any], Any]],
        flow: Flow | RaisedError | None,
    ) -> Flow | None:
        for (_, key), (place, value) in changes.items():
            self._write(place, key, value)
        return flow if isinstance(flow, Flow) else None

    def _joined(
        self,
        changes: list[dict[tuple[int, Any], tuple[dict[Any, Any], Any]]],
        one: Flow | RaisedError | None,
        two: Flow | RaisedError | None,
    ) -> Flow | None:
        returns = [flow for flow in (one, two) if isinstance(flow, Flow) and flow.kind == "return"]
        if len(returns) == 2:
            self._join_states(changes)
            return Flow("return", joined(returns[0].value, returns[1].value))
        if returns:
            # The rest of the function is walked as if it had not returned.
            self.here.returned.append(returns[0].value)
            rest = changes[1] if isinstance(one, Flow) and one.kind == "return" else changes[0]
            other = two if isinstance(one, Flow) and one.kind == "return" else one
            return self._take(rest, other)
        self._join_states(changes)
        if isinstance(one, Flow) and isinstance(two, Flow) and one.kind == two.kind:
            return one
        return None

    def _join_states(
        self, changes: list[dict[tuple[int, Any], tuple[dict[Any, Any], Any]]]
    ) -> None:
        for spot in dict.fromkeys((*changes[0], *changes[1])):
            place = (changes[0].get(spot) or changes[1][spot])[0]
            old = place.get(spot[1], ABSENT)
            ends = [each[spot][1] if spot in each else old for each in changes]
            if ends[0] is ABSENT and ends[1] is ABSENT:
                self._write(place, spot[1], ABSENT)
            elif ABSENT in ends:
                self._write(place, spot[1], UNKNOWN)
            elif isinstance(ends[0], Value) and isinstance(ends[1], Value):
                self._write(place, spot[1], joined(ends[0], ends[1]))
            else:
                self._write(place, spot[1], ends[0] if ends[0] == ends[1] else UNKNOWN)

    def _write(self, place: dict[Any, Any], key: Any, value: Any) -> None:
        if value is ABSENT:
            self.remove(place, key)
        else:
            self.put(place, key, value)
