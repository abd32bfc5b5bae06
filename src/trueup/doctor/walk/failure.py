"""What goes wrong on the way: an exception of the walked code, with where and why."""

from __future__ import annotations

import builtins
from dataclasses import dataclass, replace
from typing import Literal

Kind = Literal[
    "import",  # a module or a name of one is not there
    "package",  # a package is not installed
    "attribute",  # an object has no such attribute
    "none",  # None was taken for an object
    "argument",  # a call does not fit the function
    "key",  # a mapping has no such key
    "type",  # an operation that the type does not have
    "name",  # a name is not bound
    "unbound",  # a function's own variable is not bound yet
    "meta",  # data of a tensor that has none yet
    "raised",  # the code itself raises
    "library",  # the library refuses
    "value",  # a value that the library does not take
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A place in the model's own code that is being run."""

    path: str
    line: int
    function: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An exception that the code will meet; `frames` are its own, the deepest last.

    `subject` is the full name of what is not there or not taken, `owner` whose it is. `is_certain`
    is false where whether it happens depends on what cannot be known.
    `is_called_by_library`: it is the library that calls the model's function in this way.
    """

    kind: Kind
    exception: str
    message: str
    frames: tuple[Frame, ...] = ()
    subject: str = ""
    owner: str = ""
    is_certain: bool = True
    is_called_by_library: bool = False

    @property
    def where(self) -> Frame | None:
        """The deepest place in the model's own code."""
        return self.frames[-1] if self.frames else None

    def possible(self) -> Failure:
        """The same, where it is not certain."""
        return replace(self, is_certain=False) if self.is_certain else self


class RaisedError(Exception):
    """The walked code raises; caught where it would catch it."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class ExhaustedError(Exception):
    """The walk took as many steps as it may: nothing more is claimed."""


def is_caught(exception: str, handler: str) -> bool:
    """Whether `except handler` catches an exception of that name."""
    short = handler.rpartition(".")[2]
    if short in (exception, "Exception", "BaseException"):
        return True
    raised, caught = getattr(builtins, exception, None), getattr(builtins, short, None)
    return (
        isinstance(raised, type)
        and isinstance(caught, type)
        and issubclass(raised, BaseException)
        and issubclass(raised, caught)
    )
