"""The file of facts about many versions of a library, one compressed block for some modules.

What is equal in several versions is stored once, with the versions in which it holds, so that one
question about one version reads a block or a few. `build` makes the bytes; `SymbolIndex` reads.
"""

from __future__ import annotations

import bisect
import functools
import json
import lzma
import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import orjson
from packaging.version import Version

from trueup.environment.symbols.codec import FORMAT
from trueup.environment.symbols.facts import ModuleFacts
from trueup.environment.symbols.versioned import VersionedModule, pairs, variant_at
from trueup.errors import TrueUpError

MAGIC = b"TRUEUP-SYMBOLS\n"
LENGTH = struct.Struct("<I")
BLOCK_BYTES = 200_000
# The dictionary holds any block; a larger one would only cost memory, in reading too.
FILTERS: list[dict[str, int]] = [
    {
        "id": lzma.FILTER_LZMA2,
        "preset": 9 | lzma.PRESET_EXTREME,
        "dict_size": 4 * 1024 * 1024,
        "lc": 4,
        "lp": 0,
        "pb": 0,
    }
]
# Decoded blocks that are kept: their modules are asked for one after the other.
KEPT_BLOCKS = 4

# Module to key to the pairs of payload and versions, the versions as flat [start, end) places.
Table = dict[str, dict[str, list[Any]]]


def build(
    library: str, versions: Sequence[str], facts: Iterable[Mapping[str, Mapping[str, bytes]]]
) -> bytes:
    """The bytes of an index. `facts` has each version's modules: their entries as JSON."""
    blocks, firsts = [], []
    rows = sorted(_merge(facts).items())
    at = 0
    while at < len(rows):
        end, size = at, 0
        while end < len(rows) and (end == at or size + len(rows[end][1]) <= BLOCK_BYTES):
            size += len(rows[end][1])
            end += 1
        text = b",".join(json.dumps(name).encode() + b":" + row for name, row in rows[at:end])
        blocks.append(_compress(b"{" + text + b"}"))
        firsts.append(rows[at][0])
        at = end
    header = _compress(
        orjson.dumps(
            {
                "format": FORMAT,
                "library": library,
                "versions": list(versions),
                "firsts": firsts,
                "lengths": [len(block) for block in blocks],
            }
        )
    )
    return b"".join([MAGIC, LENGTH.pack(len(header)), header, *blocks])


def _merge(facts: Iterable[Mapping[str, Mapping[str, bytes]]]) -> dict[str, bytes]:
    """Each module with everything that it was in any version, as JSON."""
    found: dict[str, dict[str, dict[bytes, list[int]]]] = {}
    for place, modules in enumerate(facts):
        for name, entries in modules.items():
            keys = found.setdefault(name, {})
            for key, payload in entries.items():
                variants = keys.setdefault(key, {})
                variants.setdefault(payload, []).append(place)
    merged: dict[str, bytes] = {}
    for name, keys in found.items():
        always = _spans(sorted(place for places in keys[""].values() for place in places))
        rows = []
        for key in sorted(keys):
            parts = []
            for payload, places in keys[key].items():
                spans = _spans(places)
                is_always = key != "" and spans == always
                parts += [payload, b"0" if is_always else orjson.dumps(spans)]
            rows.append(orjson.dumps(key) + b":[" + b",".join(parts) + b"]")
        merged[name] = b"{" + b",".join(rows) + b"}"
    return merged


def _spans(places: Sequence[int]) -> list[int]:
    spans: list[int] = []
    for place in places:
        if spans and spans[-1] == place:
            spans[-1] = place + 1
        else:
            spans += [place, place + 1]
    return spans


def _compress(text: bytes) -> bytes:
    return lzma.compress(text, format=lzma.FORMAT_RAW, filters=FILTERS)


def _decompress(block: bytes) -> Any:
    return orjson.loads(lzma.decompress(block, format=lzma.FORMAT_RAW, filters=FILTERS))


class DamagedIndexError(TrueUpError):
    """An index file is not what `scripts/build_symbols.py` wrote."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            "this file of TrueUp's own, which holds what the releases of a library offer, is "
            "damaged",
            where=str(path),
            hint="install TrueUp anew: `pip install --force-reinstall --no-deps trueup`",
        )


def _read_header(file: BinaryIO) -> dict[str, Any] | None:
    if file.read(len(MAGIC)) != MAGIC:
        return None
    try:
        (length,) = LENGTH.unpack(file.read(LENGTH.size))
        header: dict[str, Any] = _decompress(file.read(length))
    except (struct.error, lzma.LZMAError, EOFError, ValueError):
        return None
    return header


class SymbolIndex:
    """An index file, opened for reading; blocks are read when they are asked for.

    Raises: DamagedIndexError where the file is none, or one of another format.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with path.open("rb") as file:
            header = _read_header(file)
            start = file.tell()
        if header is None or header.get("format") != FORMAT:
            raise DamagedIndexError(path)
        self.library: str = header["library"]
        self.versions = tuple(Version(text) for text in header["versions"])
        self._firsts: list[str] = header["firsts"]
        self._lengths: list[int] = header["lengths"]
        self._starts = [start]
        for length in self._lengths:
            self._starts.append(self._starts[-1] + length)
        self._modules: dict[str, VersionedModule | None] = {}
        self._block = functools.lru_cache(maxsize=KEPT_BLOCKS)(self._read_block)

    def entries(self, name: str, place: int) -> dict[str, Any] | None:
        """The entries of a module in the version at `place`, None where it was not there."""
        table = self._table(name)
        if table is None or variant_at(pairs(table[""]), place) is None:
            return None
        found = {key: variant_at(pairs(flat), place) for key, flat in table.items()}
        return {key: variant[1] for key, variant in found.items() if variant is not None}

    def module(self, name: str) -> VersionedModule | None:
        """A module in all versions, None where none ever had one of that name."""
        if name not in self._modules:
            table = self._table(name)
            self._modules[name] = None if table is None else VersionedModule(name, table)
        return self._modules[name]

    def _table(self, name: str) -> dict[str, list[Any]] | None:
        block = bisect.bisect_right(self._firsts, name) - 1
        return self._block(block).get(name) if block >= 0 else None

    def names(self) -> list[str]:
        """Every module of every version."""
        return [name for block in range(len(self._firsts)) for name in self._block(block)]

    def _read_block(self, block: int) -> Table:
        with self._path.open("rb") as file:
            file.seek(self._starts[block])
            content = file.read(self._lengths[block])
        try:
            table: Table = _decompress(content)
        except (lzma.LZMAError, EOFError, ValueError) as error:
            raise DamagedIndexError(self._path) from error
        return table


class ShippedModules:
    """The modules of one version in an index."""

    def __init__(self, index: SymbolIndex, place: int) -> None:
        self._index = index
        self._place = place

    def load(self, name: str) -> ModuleFacts | None:
        """The facts of one module, None where the version had none of that name."""
        module = self._index.module(name)
        return None if module is None else module.at(self._place)
