"""A module as it is stored for many versions, and its facts in one of them.

The facts of a version are views: what is asked for is looked up and decoded, nothing is copied,
so that one question about 150 versions costs little more than one about a single version.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from trueup.environment.symbols.codec import (
    decode_class,
    decode_export,
    decode_import,
    full_name,
    imported_name,
)
from trueup.environment.symbols.facts import ClassFacts, Export, ExportKind, ModuleFacts
from trueup.environment.symbols.function_codec import decode_function

T = TypeVar("T")
# Where a payload holds ([start, end) places in one row; 0 for wherever the module is), and it.
Variant = tuple[Sequence[int] | int, Any]
Rows = dict[str, list[Variant]]


def variant_at(variants: Sequence[Variant], place: int) -> Variant | None:
    """The variant that holds in the version at `place`."""
    for variant in variants:
        spans = variant[0]
        if isinstance(spans, int) or bisect.bisect_right(spans, place) % 2:
            return variant
    return None


def pairs(flat: Sequence[Any]) -> list[Variant]:
    """The variants of a row as it is stored: payload, spans, payload, spans."""
    return [(flat[at + 1], flat[at]) for at in range(0, len(flat), 2)]


class VersionedModule:
    """One module in all indexed versions."""

    def __init__(self, name: str, table: Mapping[str, Sequence[Any]]) -> None:
        self._name = name
        self._heads = pairs(table[""])
        self._stated: Rows = {}
        self._imports: list[tuple[str, list[Variant]]] = []
        self.defined: dict[str, Rows] = {"c": {}, "f": {}, "v": {}}
        self._methods: dict[str, Rows] = {}
        for key, flat in table.items():
            kind, _, rest = key.partition(":")
            if kind == "i":
                self._imports.append((full_name(rest, name), pairs(flat)))
            elif kind == "x":
                self._stated.setdefault(rest, []).extend(pairs(flat))
            elif kind == "m":
                owner, _, method = rest.partition(".")
                self._methods.setdefault(owner, {})[method] = pairs(flat)
            elif kind:
                self.defined[kind][rest] = pairs(flat)

    def stated(self, name: str) -> Sequence[Variant]:
        """What is stated of a name: its imports are looked for among those of the module."""
        found = [
            (spans, (source, word))
            for source, variants in self._imports
            for spans, words in variants
            if name in words
            for word in words.split()
            if imported_name(word) == name
        ]
        return [*found, *self._stated.get(name, ())]

    def names(self, place: int) -> set[str]:
        """Every name of the module in the version at `place`."""
        imported = {
            imported_name(word)
            for _, variants in self._imports
            for spans, words in variants
            if variant_at([(spans, None)], place)
            for word in words.split()
        }
        rows = itertools.chain(self._stated.items(), *map(dict.items, self.defined.values()))
        return imported.union(name for name, row in rows if variant_at(row, place))

    def at(self, place: int) -> ModuleFacts | None:
        """The facts in the version at `place`, None where the module was not there."""
        head = variant_at(self._heads, place)
        if head is None:
            return None
        flags, stars, public, trees, aliases = head[1]
        defined = self.defined
        return ModuleFacts(
            name=self._name,
            is_package="p" in flags,
            exports=_Exports(self, place),
            classes=_View(defined["c"], place, lambda key, text: self._class(key, text, place)),
            functions=_View(defined["f"], place, decode_function),
            values=_View(defined["v"], place, lambda _, text: text),
            stars=tuple(stars),
            public=None if public is None else tuple(public),
            is_lazy="l" in flags,
            has_bodies="s" not in flags,
            is_opaque="o" in flags,
            trees=tuple(trees),
            aliases=aliases,
        )

    def _class(self, name: str, payload: Any, place: int) -> ClassFacts:
        methods = _View(self._methods.get(name, {}), place, lambda _, text: text)
        return decode_class(self._name, name, payload, methods)


class _View(Mapping[str, T]):
    """What holds in one version, decoded when it is asked for."""

    __slots__ = ("_decode", "_decoded", "_place", "_rows")

    def __init__(self, rows: Rows, place: int, decode: Callable[[str, Any], T]) -> None:
        self._rows = rows
        self._place = place
        self._decode = decode
        self._decoded: dict[str, T] = {}

    def __getitem__(self, key: str) -> T:
        if key not in self._decoded:
            variant = variant_at(self._rows.get(key, ()), self._place)
            if variant is None:
                raise KeyError(key)
            self._decoded[key] = self._decode(key, variant[1])
        return self._decoded[key]

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and bool(variant_at(self._rows.get(key, ()), self._place))

    def __iter__(self) -> Iterator[str]:
        return (key for key, row in self._rows.items() if variant_at(row, self._place))

    def __len__(self) -> int:
        return sum(1 for _ in self)


class _Exports(Mapping[str, Export]):
    """Every name of a module: what is stated of it, else what its definition tells."""

    __slots__ = ("_found", "_module", "_place")
    KINDS: tuple[tuple[str, ExportKind], ...] = (("c", "class"), ("f", "function"), ("v", "value"))

    def __init__(self, module: VersionedModule, place: int) -> None:
        self._module = module
        self._place = place
        self._found: dict[str, Export | None] = {}

    def __getitem__(self, key: str) -> Export:
        if key not in self._found:
            self._found[key] = self._look_up(key)
        found = self._found[key]
        if found is None:
            raise KeyError(key)
        return found

    def _look_up(self, key: str) -> Export | None:
        stated = variant_at(self._module.stated(key), self._place)
        if stated is not None:
            text = stated[1]
            return decode_export(text) if isinstance(text, str) else decode_import(*text)
        for letter, kind in self.KINDS:
            if variant_at(self._module.defined[letter].get(key, ()), self._place):
                return Export(kind=kind)
        return None

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._module.names(self._place)))

    def __len__(self) -> int:
        return sum(1 for _ in self)
