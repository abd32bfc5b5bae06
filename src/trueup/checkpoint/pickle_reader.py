"""Follows a pickle without running anything of it: every global becomes an inert stand-in.

Knows what torch's weights-only loader allows, globals and instructions, and notes the rest.
"""

from __future__ import annotations

import pickle
import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any

from trueup.checkpoint.checkpoint import ProblemKind
from trueup.checkpoint.pickle_names import ALLOWED, DTYPES, INSTRUCTIONS, REBUILDERS, STORAGES

# A tensor takes some thirty reads; a hundred thousand of them are a very large file.
READ_LIMIT = 8_000_000


class PickleError(Exception):
    """A pickled weight file that cannot be read to its end."""

    def __init__(self, kind: ProblemKind, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Storage:
    """Where the numbers of tensors lie, with their type and how many there are."""

    dtype: str
    item_bytes: int
    key: str
    count: int


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor's type and shape."""

    dtype: str
    item_bytes: int
    shape: tuple[int, ...]


class _Inert:
    """Stands for any class or function of the file: calling it gives another one."""

    module = name = ""

    def __new__(cls, *_arguments: Any, **_named: Any) -> _Inert:
        return object.__new__(_Inert)

    def __call__(self, *_arguments: Any) -> _Inert:
        return _Inert()

    def __setstate__(self, _state: Any) -> None:
        pass

    def append(self, _item: Any) -> None:
        """Pickle fills list-like objects by this."""

    def extend(self, _items: Any) -> None:
        """Pickle fills list-like objects by this."""

    def add(self, _item: Any) -> None:
        """Pickle fills set-like objects by this."""

    def __setitem__(self, _key: Any, _value: Any) -> None:
        pass


class _NamedDict(dict[Any, Any]):
    """OrderedDict's stand-in; a state dict carries `_metadata` as an attribute of it."""

    def __setstate__(self, _state: Any) -> None:
        pass


class _Rebuild:
    """A function of torch that makes tensors; as an object, so that no file can change it."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[..., Any]) -> None:
        self._make = make

    def __call__(self, *arguments: Any) -> Any:
        return self._make(*arguments)

    def __setstate__(self, _state: Any) -> None:
        pass


class _Counted:
    """A file that gives out no more pieces than weights need: a pickle can be made of trifles."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._left = READ_LIMIT
        self.readline = file.readline

    def read(self, size: int = -1) -> bytes:
        self._left -= 1
        if self._left < 0:
            raise PickleError("malformed", "not a pickle of weights: too many instructions")
        return self._file.read(size)


# The pure Python unpickler: the C one allocates as much memo as an opcode claims to need.
class Reader(pickle._Unpickler):
    """One pickle; `unsafe` and `odd` grow while it is read, `storages` are what tensors name."""

    stack: list[Any]
    read: Callable[[int], bytes]

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(_Counted(file))
        self.unsafe: set[str] = set()
        self.odd: set[str] = set()
        self.storages: dict[str, Storage] = {}

    def load_frame(self) -> None:
        """Frames only tell how much to read at once: everything is read through the counter."""
        self.odd.add("FRAME")
        self.read(8)

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in of a global."""
        if (module, name) not in ALLOWED:
            self.unsafe.add(f"{module}.{name}")
            return _Inert
        if (module, name) == ("collections", "OrderedDict"):
            return _NamedDict
        if module == "torch._utils" and name in REBUILDERS:
            return _REBUILD.get(name, _Inert)
        if module.startswith("torch") and (name in STORAGES or name in DTYPES):
            return STORAGES.get(name) or DTYPES[name]
        return _Inert

    def get_extension(self, _code: int) -> None:
        """The stand-in of something that this process may have registered under a number."""
        self.unsafe.add("copyreg extension")
        self.stack.append(_Inert)

    def persistent_load(self, pid: Any) -> Any:
        """The storage that a tensor names."""
        try:
            kind, dtype, key, _location, count = pid[:5]
            name, item_bytes = dtype
        except (TypeError, ValueError):
            return _Inert()
        if kind != "storage" or not isinstance(count, int):
            return _Inert()
        storage = Storage(name, item_bytes, str(key), count)
        self.storages[storage.key] = storage
        return storage


def _rebuild_tensor(storage: Any, _offset: Any, size: Any, *_rest: Any) -> Any:
    if not isinstance(storage, Storage) or not _is_shape(size):
        return _Inert()
    return Tensor(storage.dtype, storage.item_bytes, tuple(size))


def _rebuild_tensor_v3(storage: Any, offset: Any, size: Any, *rest: Any) -> Any:
    tensor = _rebuild_tensor(storage, offset, size)
    dtype = rest[3] if len(rest) > 3 else None
    if isinstance(tensor, Tensor) and isinstance(dtype, tuple):
        return Tensor(dtype[0], dtype[1], tensor.shape)
    return tensor


def _rebuild_parameter(data: Any, *_rest: Any) -> Any:
    return data


_REBUILD = {
    "_rebuild_tensor": _Rebuild(_rebuild_tensor),
    "_rebuild_tensor_v2": _Rebuild(_rebuild_tensor),
    "_rebuild_qtensor": _Rebuild(_rebuild_tensor),
    "_rebuild_tensor_v3": _Rebuild(_rebuild_tensor_v3),
    "_rebuild_parameter": _Rebuild(_rebuild_parameter),
    "_rebuild_parameter_with_state": _Rebuild(_rebuild_parameter),
}


def _is_shape(size: Any) -> bool:
    return isinstance(size, tuple | list) and all(
        isinstance(number, int) and number >= 0 for number in size
    )


def read_value(reader: Reader) -> Any:
    """What the pickle holds. Raises: PickleError where it does not hold together."""
    try:
        return reader.load()
    except PickleError:
        if reader.unsafe:
            return {}
        raise
    except EOFError as error:
        raise PickleError("truncated", "the pickle ends before its last instruction") from error
    except RecursionError as error:
        raise PickleError("malformed", "the pickle is nested too deeply to be read") from error
    except Exception as error:  # a broken pickle can raise anything; nothing of it has run
        if reader.unsafe:  # what it names matters more than that it does not hold together
            return {}
        raise PickleError(
            "malformed", f"not a pickle of weights: {type(error).__name__}: {error}"[:200]
        ) from error


def _noting(name: str, follow: Callable[[Any], None]) -> Callable[[Any], None]:
    def noted(reader: Reader) -> None:
        reader.odd.add(name)
        follow(reader)

    return noted


def _instructions() -> dict[int, Callable[[Any], None]]:
    """What the reader does at each instruction: as pickle does, and the odd ones are noted."""
    names = {ord(each.code): each.name for each in pickletools.opcodes}
    table: dict[int, Callable[[Any], None]] = dict(pickle._Unpickler.dispatch)
    for code, follow in table.items():
        if names[code] not in INSTRUCTIONS:
            table[code] = _noting(names[code], follow)
    table[pickle.FRAME[0]] = Reader.load_frame
    return table


Reader.dispatch = _instructions()
