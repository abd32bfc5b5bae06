"""The header of a GGUF file: what the model is, how it is quantised, its context.

Reads no tensor; steps over values by their lengths, within limits of bytes and entries.
"""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import dataclass
from typing import Any, BinaryIO

from trueup.checkpoint.checkpoint import GgufHeader

MAGIC = b"GGUF"
VERSIONS = (2, 3)
ENTRIES_LIMIT, TENSOR_LIMIT = 10_000, 100_000
LENGTH_LIMIT, ITEMS_LIMIT = 16 * 1024 * 1024, 4_000_000
STRING, ARRAY = 8, 9
# struct's letters for the format's numbers of types.
NUMBERS = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    7: "?",
    10: "Q",
    11: "q",
    12: "d",
}
TENSOR_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 8: "Q8_0", 9: "Q8_1",
    10: "Q2_K", 11: "Q3_K", 12: "Q4_K", 13: "Q5_K", 14: "Q6_K", 15: "Q8_K", 16: "IQ2_XXS",
    17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S", 20: "IQ4_NL", 21: "IQ3_S", 22: "IQ2_S", 23: "IQ4_XS",
    24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64", 29: "IQ1_M", 30: "BF16", 34: "TQ1_0",
    35: "TQ2_0", 39: "MXFP4",
}  # fmt: skip


class GgufError(Exception):
    """A GGUF file whose header cannot be read; `is_short` where it ends too early."""

    def __init__(self, detail: str, *, is_short: bool = False) -> None:
        super().__init__(detail)
        self.detail = detail
        self.is_short = is_short


@dataclass(slots=True)
class _Reader:
    file: BinaryIO

    def bytes(self, count: int) -> bytes:
        found = self.file.read(count)
        if len(found) < count:
            raise GgufError("the file ends within its header", is_short=True)
        return found

    def number(self, letter: str) -> Any:
        return struct.unpack(f"<{letter}", self.bytes(struct.calcsize(letter)))[0]

    def text(self) -> str:
        return self.bytes(self.length()).decode("utf-8", "replace")

    def length(self) -> int:
        length: int = self.number("Q")
        if length > LENGTH_LIMIT:
            raise GgufError(f"a text of {length:,} bytes in the header")
        return length

    def value(self, kind: int) -> Any:
        """A value; None for an array, which is stepped over."""
        if kind == STRING:
            return self.text()
        if kind == ARRAY:
            self.skip_array()
            return None
        if kind not in NUMBERS:
            raise GgufError(f"a value of the unknown type {kind}")
        return self.number(NUMBERS[kind])

    def skip_array(self) -> None:
        kind, count = self.number("I"), self.number("Q")
        if count > ITEMS_LIMIT:
            raise GgufError(f"an array of {count:,} values in the header")
        if kind == STRING:
            for _ in range(count):
                self.bytes(self.length())
        elif kind in NUMBERS:
            self.bytes(struct.calcsize(NUMBERS[kind]) * count)
        else:
            raise GgufError(f"an array of the type {kind}")


def read_gguf_header(file: BinaryIO) -> GgufHeader:
    """What the open file says of its model.

    Raises: GgufError where it is no GGUF file or a damaged one; OSError.
    """
    reader = _Reader(file)
    if reader.bytes(4) != MAGIC:
        raise GgufError("not GGUF: it does not begin with `GGUF`")
    version = reader.number("I")
    if version not in VERSIONS:
        raise GgufError(f"version {version} of GGUF, expected 2 or 3")
    tensors, entries = reader.number("Q"), reader.number("Q")
    if tensors > TENSOR_LIMIT or entries > ENTRIES_LIMIT:
        raise GgufError(f"{tensors:,} tensors and {entries:,} settings, which cannot be")
    found: dict[str, Any] = {}
    for _ in range(entries):
        key = reader.text()
        found[key] = reader.value(reader.number("I"))
    kinds: Counter[str] = Counter()
    for _ in range(tensors):
        reader.text()
        dimensions = reader.number("I")
        if dimensions > 8:
            raise GgufError(f"a tensor of {dimensions} dimensions")
        size = 1
        for _ in range(dimensions):
            size *= reader.number("Q")
        kind, _ = reader.number("I"), reader.number("Q")
        kinds[TENSOR_TYPES.get(kind, f"type {kind}")] += size
    return _header(found, kinds, tensors)


def _header(found: dict[str, Any], kinds: Counter[str], tensors: int) -> GgufHeader:
    architecture = found.get("general.architecture")
    start = architecture if isinstance(architecture, str) else ""

    def number(key: str) -> int | None:
        value = found.get(f"{start}.{key}")
        return value if type(value) is int else None

    name = found.get("general.name")
    return GgufHeader(
        architecture=start or None,
        name=name if isinstance(name, str) else None,
        quantisation=kinds.most_common(1)[0][0] if kinds else None,
        context_tokens=number("context_length"),
        layers=number("block_count"),
        tensor_count=tensors,
    )
