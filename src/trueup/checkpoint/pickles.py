"""PyTorch's pickled weights, read without torch and without importing what they name.

Both layouts: the zip archive since torch 1.6 and the bare pickles before it. Every global
becomes an inert stand-in, so nothing of the file runs; tensors are known by their shapes.
"""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import IO, Any

from trueup.checkpoint.checkpoint import ProblemKind, TensorInfo
from trueup.checkpoint.pickle_names import ALLOWED, DTYPES, REBUILDERS, STORAGES

# A pickle of 100,000 tensors is some 20 MB; the numbers lie beside it.
PICKLE_LIMIT_BYTES = 64 * 1024 * 1024
MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
ZIP_MARK = b"PK\x03\x04"


class PickleError(Exception):
    """A pickled weight file that cannot be read to its end."""

    def __init__(self, kind: ProblemKind, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class PickleContent:
    """What a weight file holds; `unsafe` are the globals that plain weights do not need.

    `is_archive` is False for the layout before torch 1.6.
    """

    tensors: Mapping[str, TensorInfo]
    unsafe: tuple[str, ...]
    header: bytes
    is_archive: bool


def read_pickle_header(file: IO[bytes], name: str) -> PickleContent:
    """The tensors and the unsafe globals of a pickled weight file, open at its beginning.

    Raises: PickleError where the file is cut short or is neither layout; OSError.
    """
    is_zip = file.read(len(ZIP_MARK)) == ZIP_MARK
    file.seek(0)
    return _read_archive(file, name) if is_zip else _read_legacy(file, name)


@dataclass(frozen=True, slots=True)
class _Storage:
    dtype: str
    item_bytes: int
    key: str
    count: int


@dataclass(frozen=True, slots=True)
class _Tensor:
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


# The pure Python unpickler: the C one allocates as much memo as an opcode claims to need.
class _Reader(pickle._Unpickler):
    stack: list[Any]

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file)
        self.unsafe: set[str] = set()
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
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
        self.unsafe.add("copyreg extension")
        self.stack.append(_Inert)

    def persistent_load(self, pid: Any) -> Any:
        try:
            kind, dtype, key, _location, count = pid[:5]
            name, item_bytes = dtype
        except (TypeError, ValueError):
            return _Inert()
        if kind != "storage" or not isinstance(count, int):
            return _Inert()
        storage = _Storage(name, item_bytes, str(key), count)
        self.storages[storage.key] = storage
        return storage


def _rebuild_tensor(storage: Any, _offset: Any, size: Any, *_rest: Any) -> Any:
    if not isinstance(storage, _Storage) or not _is_shape(size):
        return _Inert()
    return _Tensor(storage.dtype, storage.item_bytes, tuple(size))


def _rebuild_tensor_v3(storage: Any, offset: Any, size: Any, *rest: Any) -> Any:
    tensor = _rebuild_tensor(storage, offset, size)
    dtype = rest[3] if len(rest) > 3 else None
    if isinstance(tensor, _Tensor) and isinstance(dtype, tuple):
        return _Tensor(dtype[0], dtype[1], tensor.shape)
    return tensor


def _rebuild_parameter(data: Any, *_rest: Any) -> Any:
    return data


_REBUILD = {
    "_rebuild_tensor": _rebuild_tensor,
    "_rebuild_tensor_v2": _rebuild_tensor,
    "_rebuild_qtensor": _rebuild_tensor,
    "_rebuild_tensor_v3": _rebuild_tensor_v3,
    "_rebuild_parameter": _rebuild_parameter,
    "_rebuild_parameter_with_state": _rebuild_parameter,
}


def _is_shape(size: Any) -> bool:
    return isinstance(size, tuple | list) and all(
        isinstance(number, int) and number >= 0 for number in size
    )


def _load(reader: _Reader) -> Any:
    try:
        return reader.load()
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


def _read_archive(file: IO[bytes], name: str) -> PickleContent:
    try:
        with zipfile.ZipFile(file) as archive:
            entries = {entry.filename: entry for entry in archive.infolist()}
            inner = [entry for entry in entries if entry.split("/")[-1] == "data.pkl"]
            if not inner:
                raise PickleError("malformed", "a zip archive without `data.pkl`")
            if entries[inner[0]].file_size > PICKLE_LIMIT_BYTES:
                raise PickleError("malformed", f"`{inner[0]}` is too large to be names and shapes")
            header = archive.read(inner[0])
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise PickleError("truncated", f"a zip archive cut short: {error}") from error
    reader = _Reader(io.BytesIO(header))
    state = _load(reader)
    root = inner[0].removesuffix("data.pkl")
    for storage in reader.storages.values():
        entry = entries.get(f"{root}data/{storage.key}")
        if entry is None or entry.file_size < storage.count * storage.item_bytes:
            found = 0 if entry is None else entry.file_size
            raise PickleError(
                "truncated",
                f"storage `{storage.key[:40]}` has {found:,} bytes of "
                f"{storage.count * storage.item_bytes:,}",
            )
    return PickleContent(
        tensors=_tensors(state, name),
        unsafe=tuple(sorted(reader.unsafe)),
        header=header,
        is_archive=True,
    )


class _Metered(io.RawIOBase):
    """Gives out the first bytes of a file and keeps them, up to the limit."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.taken = bytearray()

    def readable(self) -> bool:
        return True

    def _keep(self, content: bytes) -> bytes:
        self.taken += content
        if len(self.taken) > PICKLE_LIMIT_BYTES:
            raise PickleError("malformed", "not a pickle of weights: too large for names")
        return content

    def read(self, size: int = -1) -> bytes:
        return self._keep(self._file.read(min(size, PICKLE_LIMIT_BYTES) if size >= 0 else size))

    def readline(self, size: int | None = -1) -> bytes:
        return self._keep(self._file.readline(PICKLE_LIMIT_BYTES))


def _read_legacy(file: IO[bytes], name: str) -> PickleContent:
    """Five pickles (magic number, protocol, system, state, storage keys), then the numbers."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    metered = _Metered(file)
    unsafe: set[str] = set()
    storages: dict[str, _Storage] = {}
    values: list[Any] = []
    while len(values) < 5:
        reader = _Reader(metered)  # type: ignore[arg-type]
        reader.storages = storages
        value = _load(reader)
        unsafe |= reader.unsafe
        if not values and value != MAGIC_NUMBER:  # an object pickled without torch.save
            values = [None, None, None, value, []]
            break
        values.append(value)
    position = len(metered.taken)
    content = PickleContent(
        tensors=_tensors(values[3], name),
        unsafe=tuple(sorted(unsafe)),
        header=bytes(metered.taken),
        is_archive=False,
    )
    needed = sum(8 + each.count * each.item_bytes for each in storages.values())
    if not unsafe and size - position < needed:
        raise PickleError(
            "truncated", f"{size:,} bytes of {position + needed:,}: the numbers are cut short"
        )
    if not unsafe and values[0] is None and not content.tensors:
        raise PickleError("malformed", "a pickle, but not of weights")
    return content


def _tensors(state: Any, file: str) -> dict[str, TensorInfo]:
    """Name to tensor for a flat state dict; whatever else the file holds has no names."""
    if not isinstance(state, dict):
        return {}
    return {
        name: TensorInfo(
            name=name,
            dtype=value.dtype,
            shape=value.shape,
            file=file,
            size_bytes=prod(value.shape) * value.item_bytes,
        )
        for name, value in state.items()
        if isinstance(name, str) and isinstance(value, _Tensor)
    }
