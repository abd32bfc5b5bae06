"""Values of the walk: what is known of an object while a model's own code is followed.

A value is exact (`Const`, classes, functions), partly known (an instance whose attributes are), or
`UNKNOWN`, of which nothing is ever claimed.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from trueup.doctor.walk.bounds import MAX_ITEMS
from trueup.environment.symbols.facts import ClassFacts, FunctionFacts, ModuleFacts

Scope = dict[str, "Value"]
SequenceKind = Literal["list", "tuple", "set", "modules"]


class Value:
    """Anything that a name may stand for."""

    __slots__ = ()


class Unknown(Value):
    """Nothing is known of it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN = Unknown()


@dataclass(frozen=True, slots=True)
class Const(Value):
    """A number, a text, None, True, a version: known exactly."""

    value: Any


NONE = Const(None)
TRUE = Const(True)
FALSE = Const(False)


class Items(Value):
    """A list, tuple, set or ModuleList; `items` None where their number is not known.

    `element` stands for any of them then. What it holds is changed through `cell`.
    """

    __slots__ = ("cell", "element", "kind")

    def __init__(
        self, kind: SequenceKind, items: list[Value] | None, element: Value = UNKNOWN
    ) -> None:
        self.kind = kind
        if items is not None and len(items) > MAX_ITEMS:
            element = items[0]
            items = None
        self.element = element
        self.cell: dict[str, Any] = {"items": items}

    @property
    def items(self) -> list[Value] | None:
        """What it holds now."""
        found = self.cell["items"]
        return found if isinstance(found, list) else None


class Entries(dict[Any, Value]):
    """What a table holds; it knows whose it is."""

    __slots__ = ("table",)

    table: Table


@dataclass(eq=False, slots=True)
class Table(Value):
    """A dict with constant keys; `is_open`: there may be others."""

    entries: dict[Any, Value]
    is_open: bool = False

    def __post_init__(self) -> None:
        """Take the entries over."""
        entries = Entries(self.entries)
        entries.table = self
        self.entries = entries


@dataclass(eq=False, slots=True)
class Tensor(Value):
    """A tensor; `shape` as far as known, `is_meta`: it has no data while a model is built."""

    shape: tuple[int, ...] | None = None
    is_meta: bool = False
    dtype: Value = UNKNOWN


@dataclass(eq=False, slots=True)
class OwnModule(Value):
    """A Python file of the model's own code, and the names that it bound so far."""

    path: str
    names: Scope = field(default_factory=dict)
    is_running: bool = False
    is_done: bool = False


@dataclass(eq=False, slots=True)
class OwnFunction(Value):
    """A function of the model's own code; `defaults` by parameter name."""

    name: str
    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
    module: OwnModule
    enclosing: tuple[Scope, ...]
    defaults: dict[str, Value]
    owner: OwnClass | None = None

    @property
    def qualified(self) -> str:
        """The name as a traceback's reader knows it."""
        return f"{self.owner.name}.{self.name}" if self.owner is not None else self.name


@dataclass(eq=False, slots=True)
class OwnClass(Value):
    """A class of the model's own code: its bases and what its body bound.

    `order` and `renamed`, the names in its `attribute_map`, are kept when they are asked for.
    """

    name: str
    node: ast.ClassDef
    module: OwnModule
    bases: tuple[Value, ...]
    body: Scope
    is_dataclass: bool = False
    order: tuple[Value, ...] | None = None
    renamed: dict[str, str] | None = None


@dataclass(eq=False, slots=True)
class Wrapped(Value):
    """A function behind `property`, `staticmethod` or `classmethod`."""

    kind: Literal["property", "static", "class"]
    function: Value
    setter: Value | None = None


@dataclass(eq=False, slots=True)
class LibraryName(Value):
    """A name of the library whose facts are known."""

    dotted: str
    found: ClassFacts | FunctionFacts | ModuleFacts | None

    @property
    def facts(self) -> ClassFacts | None:
        """The class, where it is one."""
        return self.found if isinstance(self.found, ClassFacts) else None


@dataclass(frozen=True, slots=True)
class Foreign(Value):
    """A name of a package that is not looked into: torch, einops, the standard library."""

    dotted: str

    @property
    def root(self) -> str:
        """The package."""
        return self.dotted.partition(".")[0]


@dataclass(eq=False, slots=True)
class LibraryMethod(Value):
    """A method that a class of the library gives; `owner` defines it."""

    owner: ClassFacts
    function: FunctionFacts


@dataclass(eq=False, slots=True)
class Bound(Value):
    """A method and its subject."""

    function: Value
    subject: Value


@dataclass(eq=False, slots=True)
class Super(Value):
    """`super()`: the classes of `subject` behind `after`."""

    subject: Value
    after: OwnClass


@dataclass(eq=False, slots=True)
class Instance(Value):
    """An object of a class; `is_open`: it may have attributes that are not known."""

    cls: Value
    attributes: dict[str, Value] = field(default_factory=dict)
    is_open: bool = False

    @property
    def class_name(self) -> str:
        """The class's name."""
        return name_of(self.cls)


@dataclass(frozen=True, slots=True)
class Builtin(Value):
    """A builtin function or class by its name."""

    name: str


def name_of(value: Value) -> str:
    """What a class is called."""
    if isinstance(value, OwnClass | Builtin | OwnFunction):
        return value.name
    if isinstance(value, LibraryName | Foreign):
        return value.dotted.rpartition(".")[2]
    return type(value).__name__


def of_python(value: Any, depth: int = 0) -> Value:
    """The value of something read from JSON."""
    if depth > 20:
        return UNKNOWN
    if isinstance(value, Mapping):
        return Table({key: of_python(each, depth + 1) for key, each in value.items()})
    if isinstance(value, list):
        return Items("list", [of_python(each, depth + 1) for each in value])
    return Const(value)


def to_python(value: Value) -> Any:
    """The Python object of an exact value.

    Raises:
        ValueError: it is not exact.
    """
    return _to_python(value, 0, itertools.count())


def _to_python(value: Value, depth: int, count: Iterator[int]) -> Any:
    # What holds itself many times over is small here, and endless as an object.
    if depth > 20 or next(count) > MAX_ITEMS:
        raise ValueError
    if isinstance(value, Const):
        return value.value
    if isinstance(value, Items) and value.items is not None and value.kind != "modules":
        made = [_to_python(each, depth + 1, count) for each in value.items]
        if value.kind == "set":
            try:
                return set(made)
            except TypeError as error:
                raise ValueError from error
        return tuple(made) if value.kind == "tuple" else made
    if isinstance(value, Table) and not value.is_open:
        return {key: _to_python(each, depth + 1, count) for key, each in value.entries.items()}
    raise ValueError


def joined(first: Value, second: Value) -> Value:
    """What is known of a value that is one or the other."""
    if first is second or (isinstance(first, Const | Foreign) and first == second):
        return first
    if isinstance(first, Tensor) and isinstance(second, Tensor):
        shape = first.shape if first.shape == second.shape else None
        return Tensor(shape, is_meta=first.is_meta and second.is_meta)
    return UNKNOWN
