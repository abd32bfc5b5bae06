"""PyTorch's pickled weights, read without torch and without importing what they name.

Both layouts: the zip archive since torch 1.6 and the bare pickles before it. How a pickle is
followed without running anything of it is in `pickle_reader.py`.
"""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import IO, Any

from trueup.checkpoint.checkpoint import TensorInfo
from trueup.checkpoint.pickle_reader import PickleError, Reader, Storage, Tensor, read_value

__all__ = ["PickleContent", "PickleError", "read_pickle_header"]

# A pickle of 100,000 tensors is some 20 MB; the numbers lie beside it.
PICKLE_LIMIT_BYTES = 64 * 1024 * 1024
MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
ZIP_MARK = b"PK\x03\x04"


@dataclass(frozen=True, slots=True, kw_only=True)
class PickleContent:
    """What a weight file holds; `unsafe` are the globals that plain weights do not need.

    `odd` are instructions of pickle that torch's weights-only loader does not know; `is_archive`
    is False for the layout before torch 1.6.
    """

    tensors: Mapping[str, TensorInfo]
    unsafe: tuple[str, ...]
    header: bytes
    is_archive: bool
    odd: tuple[str, ...] = ()


def read_pickle_header(file: IO[bytes], name: str) -> PickleContent:
    """The tensors and the unsafe globals of a pickled weight file, open at its beginning.

    Raises: PickleError where the file is cut short or is neither layout; OSError.
    """
    is_zip = file.read(len(ZIP_MARK)) == ZIP_MARK
    file.seek(0)
    return _read_archive(file, name) if is_zip else _read_legacy(file, name)


def _read_archive(file: IO[bytes], name: str) -> PickleContent:
    try:
        with zipfile.ZipFile(file) as archive:
            entries = {entry.filename: entry for entry in archive.infolist()}
            root, header = _the_pickle(archive)
            unsafe = {"TorchScript"} if any(map(_is_script, entries)) else set()
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        has_no_end = "not a zip file" in str(error)  # which is told of one without its directory
        told = "the end of its zip archive is missing" if has_no_end else f"its archive: {error}"
        raise PickleError("truncated", told) from error
    reader = Reader(io.BytesIO(header))
    state = read_value(reader)
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
        unsafe=tuple(sorted(reader.unsafe | unsafe)),
        header=header,
        is_archive=True,
        odd=tuple(sorted(reader.odd)),
    )


def _the_pickle(archive: zipfile.ZipFile) -> tuple[str, bytes]:
    """The folder and the bytes of `data.pkl`.

    torch looks for the name without regard to case and takes the first, zipfile takes the last:
    an archive with two of them shows different things to different readers.
    """
    inner = [
        entry for entry in archive.infolist() if entry.filename.split("/")[-1].lower() == "data.pkl"
    ]
    if not inner:
        raise PickleError("malformed", "a zip archive without `data.pkl`")
    if len(inner) > 1:
        raise PickleError("malformed", f"a zip archive with {len(inner)} entries `data.pkl`")
    if inner[0].file_size > PICKLE_LIMIT_BYTES:
        raise PickleError(
            "malformed", f"`{inner[0].filename[:80]}` is too large to be names and shapes"
        )
    return inner[0].filename[: -len("data.pkl")], archive.read(inner[0])


def _is_script(name: str) -> bool:
    """Whether an entry of the archive is TorchScript, which is code."""
    return "/code/" in name or name.endswith("/constants.pkl")


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
    odd: set[str] = set()
    storages: dict[str, Storage] = {}
    values: list[Any] = []
    while len(values) < 5:
        reader = Reader(metered)  # type: ignore[arg-type]
        reader.storages = storages
        value = read_value(reader)
        unsafe |= reader.unsafe
        odd |= reader.odd
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
        odd=tuple(sorted(odd)),
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
        if isinstance(name, str) and isinstance(value, Tensor)
    }
