"""What a lazy module exports that its own source does not spell out.

Since 4.48 the tables are collected from the files of a package; since 5.0 names of old tokenizers
and image processors are answered by their successors. Files are read through `Files`, so that a
wheel serves as well as an installed package.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Protocol

from trueup.environment.symbols.facts import Export, ModuleFacts
from trueup.environment.symbols.lazy import collected_names

IMPORT_UTILS = "utils.import_utils"
CONVERTERS = "convert_slow_tokenizer"
CONVERTER_ROW = re.compile(rb"""^\s+["'](\w+Tokenizer)["']:\s*(\w+),""", re.MULTILINE)


class Files(Protocol):
    """The files of one library."""

    def below(self, package: str) -> Iterable[tuple[str, bytes]]:
        """Full name and source of the modules below a package that are collected, sorted."""
        ...

    def source(self, name: str) -> bytes | None:
        """The source of a module by its full name."""
        ...


def complete(facts: ModuleFacts, library: str, files: Files) -> ModuleFacts:
    """The lazy module `facts` with everything that it exports."""
    exports = dict(facts.exports)
    for tree in facts.trees:
        for name, source in files.below(tree):
            for export in collected_names(source):
                exports.setdefault(export, Export(kind="import", target=f"{name}.{export}"))
    rules = files.source(f"{library}.{IMPORT_UTILS}") or b""
    if b'endswith("TokenizerFast")' in rules:
        converters = _converters(files.source(f"{library}.{CONVERTERS}") or b"")
        _add_tokenizers(exports, converters if b"SLOW_TO_FAST_CONVERTERS" in rules else {})
    if b'endswith("ImageProcessorFast")' in rules:
        _add_fast(exports, "ImageProcessor")
    return replace(facts, exports=exports)


def _converters(source: bytes) -> dict[str, str]:
    start = source.find(b"SLOW_TO_FAST_CONVERTERS")
    end = source.find(b"\n}", start)
    if start < 0:
        return {}
    rows = CONVERTER_ROW.findall(source, start, end if end > 0 else len(source))
    return {name.decode(): converter.decode() for name, converter in rows}


def _add_tokenizers(exports: dict[str, Export], converters: Mapping[str, str]) -> None:
    """`XTokenizerFast` is `XTokenizer`, and `XTokenizer` one that is converted alike."""
    _add_fast(exports, "Tokenizer")
    groups: dict[str, list[str]] = {}
    for name, converter in converters.items():
        groups.setdefault(converter, []).append(name)
    present = frozenset(exports)
    for name, converter in converters.items():
        alike = [f"{converter.removesuffix('Converter')}Tokenizer", *groups[converter]]
        found = next((other for other in alike if other in present), None)
        for alias in (name, f"{name}Fast"):
            if found is not None:
                exports.setdefault(alias, exports[found])


def _add_fast(exports: dict[str, Export], ending: str) -> None:
    for name in [name for name in exports if name.endswith(ending)]:
        exports.setdefault(f"{name}Fast", exports[name])
