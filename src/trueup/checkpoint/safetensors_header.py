"""The header of a safetensors file, checked against the file's size. No tensor is read."""

from __future__ import annotations

import json
import math
import os
from typing import Any, BinaryIO

from trueup.checkpoint.checkpoint import ProblemKind, TensorInfo

# The format's own limit; also what keeps a broken length from being allocated.
HEADER_LIMIT_BYTES = 100_000_000
LENGTH_BYTES = 8
DTYPE_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
    "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32,
    "I64": 64, "U64": 64, "F64": 64, "C64": 64,
}  # fmt: skip


class HeaderError(Exception):
    """A safetensors file whose header does not hold together."""

    def __init__(self, kind: ProblemKind, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail


def read_safetensors_header(file: BinaryIO, name: str) -> tuple[dict[str, TensorInfo], bytes]:
    """The tensors that the open file `name` declares, and the header's bytes.

    Raises: HeaderError where the header is broken or the file is shorter than it says; OSError.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    length = int.from_bytes(file.read(LENGTH_BYTES), "little")
    if size < LENGTH_BYTES:
        raise HeaderError("truncated", f"{size} bytes, shorter than any header")
    if length > HEADER_LIMIT_BYTES:
        raise HeaderError("malformed", f"not safetensors: a header of {length:,} bytes")
    if size < LENGTH_BYTES + length:
        raise HeaderError(
            "truncated", f"{size:,} bytes, its header alone needs {LENGTH_BYTES + length:,}"
        )
    header = file.read(length)
    try:
        shape = json.loads(header.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise HeaderError("malformed", "not safetensors: the header is not JSON") from error
    if not isinstance(shape, dict):
        raise HeaderError("malformed", "not safetensors: the header is no object")
    tensors: dict[str, TensorInfo] = {}
    spans: list[tuple[int, int, str]] = []
    end = 0
    for tensor, entry in shape.items():
        if tensor == "__metadata__":
            continue
        info, tensor_end = _tensor(tensor, entry, name)
        tensors[tensor] = info
        spans.append((tensor_end - info.size_bytes, tensor_end, tensor))
        end = max(end, tensor_end)
    _refuse_holes(spans)
    expected = LENGTH_BYTES + length + end
    if size < expected:
        raise HeaderError(
            "truncated", f"{size:,} bytes of {expected:,}: {expected - size:,} are missing"
        )
    if size > expected:
        raise HeaderError(
            "malformed", f"{size - expected:,} bytes more than the {expected:,} of its header"
        )
    return tensors, header


def _refuse_holes(spans: list[tuple[int, int, str]]) -> None:
    """Raise HeaderError where the tensors do not lie one behind the other, as loaders ask."""
    before = 0
    for start, end, tensor in sorted(spans):
        if start != before:
            how = "overlaps the one before it" if start < before else "leaves a hole before it"
            raise HeaderError("malformed", f"`{tensor[:80]}` begins at byte {start:,} and {how}")
        before = end


def _tensor(tensor: str, entry: Any, file: str) -> tuple[TensorInfo, int]:
    try:
        dtype, shape, (start, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
        bits = DTYPE_BITS.get(dtype)
        ok = all(isinstance(number, int) and number >= 0 for number in (*shape, start, end))
    except (TypeError, KeyError, ValueError) as error:
        raise HeaderError("malformed", f"the entry of `{tensor[:80]!r}` is incomplete") from error
    if not ok or start > end:
        raise HeaderError("malformed", f"the entry of `{tensor[:80]!r}` makes no sense")
    if bits is not None and math.prod(shape) * bits != (end - start) * 8:
        raise HeaderError(
            "malformed",
            f"`{tensor[:80]}` is {dtype} {shape} in {end - start:,} bytes, which does not fit",
        )
    info = TensorInfo(
        name=tensor, dtype=str(dtype), shape=tuple(shape), file=file, size_bytes=end - start
    )
    return info, end
