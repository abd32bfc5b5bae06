"""Classes: their order of bases, and who gives a name."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator, Mapping
from typing import Any

from trueup.doctor.walk.imports import Imports
from trueup.doctor.walk.torch_names import is_torch_module
from trueup.doctor.walk.values import (
    Builtin,
    Const,
    Foreign,
    Instance,
    LibraryMethod,
    LibraryName,
    OwnClass,
    Table,
    Value,
    name_of,
)
from trueup.environment.symbols.facts import ClassFacts
from trueup.environment.symbols.lookup import merge

ORDERED_DICT = "collections.OrderedDict"


class Classes(Imports):
    """Finds names in classes."""

    def mro(self, cls: OwnClass) -> tuple[Value, ...]:
        """The class and its bases in Python's order: own ones, the library's, foreign ones."""
        if cls.order is None:
            lines: list[list[int]] = []
            seen: dict[int, Value] = {}
            direct: list[int] = []
            for base in cls.bases:
                line = self._line(base)
                for each in line:
                    seen.setdefault(self._key(each), each)
                lines.append([self._key(each) for each in line])
                direct += lines[-1][:1]
            order = _merged([*lines, direct])
            cls.order = (cls, *(seen[key] for key in order))
        return cls.order

    def _key(self, value: Value) -> int:
        if isinstance(value, LibraryName | Foreign):
            return hash(value.dotted)
        return id(value)

    def _line(self, base: Value) -> list[Value]:
        if isinstance(base, OwnClass):
            return list(self.mro(base))
        if isinstance(base, LibraryName) and base.facts is not None:
            symbols = self.world.symbols
            line: list[Value] = [
                LibraryName(each.dotted, each) for each in symbols.mro(base.facts.dotted)
            ]
            line += [Foreign(each) for each in symbols.unknown_bases(base.facts.dotted)]
            return line
        return [base]

    def is_closed(self, cls: Value) -> bool:
        """Whether all that its objects can have is known."""
        return all(
            isinstance(base, OwnClass)
            or (isinstance(base, LibraryName) and base.facts is not None)
            or (isinstance(base, Foreign) and (is_torch_module(base.dotted) or _is_plain(base)))
            or (isinstance(base, Builtin) and base.name == "object")
            for base in self._order(cls)
        )

    def is_dict(self, cls: Value) -> bool:
        """Whether its objects are dicts, as the library's outputs are."""
        order = self._order(cls)
        return any(isinstance(each, Foreign) and each.dotted == ORDERED_DICT for each in order)

    def is_module(self, cls: Value) -> bool:
        """Whether its objects are torch modules."""
        if isinstance(cls, OwnClass):
            return any(
                isinstance(each, Foreign) and each.dotted.startswith("torch.nn")
                for each in self.mro(cls)
            )
        if isinstance(cls, LibraryName) and cls.facts is not None:
            bases = self.world.symbols.unknown_bases(cls.facts.dotted)
            return any(each.startswith("torch.nn") for each in bases)
        return isinstance(cls, Foreign) and cls.dotted.startswith("torch.nn")

    def in_class(
        self, order: Iterator[Value] | tuple[Value, ...], name: str
    ) -> tuple[Value, Value] | None:
        """Who gives a name to a class of that order, and what it is."""
        for each in order:
            if isinstance(each, OwnClass):
                if name in each.body:
                    return each, each.body[name]
                continue
            facts = each.found if isinstance(each, LibraryName) else None
            if isinstance(facts, ClassFacts):
                if name in facts.methods:
                    return each, LibraryMethod(facts, facts.methods[name])
                if name in facts.attributes:
                    return each, self._class_value(facts, name)
        return None

    def _class_value(self, facts: ClassFacts, name: str) -> Value:
        from trueup.doctor.walk.imports import _literal

        return _literal(facts.attributes[name])

    def _order(self, cls: Value) -> tuple[Value, ...]:
        if isinstance(cls, OwnClass):
            return self.mro(cls)
        return tuple(self._line(cls))

    def mapped(self, value: Instance, name: str) -> str:
        """The name behind a config's `attribute_map`."""
        if isinstance(value.cls, LibraryName):
            return self._renamed(value.cls).get(name, name)
        if not isinstance(value.cls, OwnClass):
            return name
        if value.cls.renamed is None:
            value.cls.renamed = self._renamed(value.cls)
        return value.cls.renamed.get(name, name)

    def _renamed(self, cls: Value) -> dict[str, str]:
        for each in self._order(cls):
            if isinstance(each, OwnClass) and "attribute_map" in each.body:
                table = each.body["attribute_map"]
                return _texts(table.entries) if isinstance(table, Table) else {}
            facts = each.facts if isinstance(each, LibraryName) else None
            if facts is not None and "attribute_map" in facts.attributes:
                return _literal_map(facts.attributes["attribute_map"])
        return {}

    def dotted_of(self, cls: Value) -> str:
        """The class of the library that a class is or is nearest to."""
        for each in self._order(cls):
            if isinstance(each, LibraryName):
                return each.dotted
        return name_of(cls)


def _texts(entries: Mapping[Any, Value]) -> dict[str, str]:
    return {
        str(name): target.value
        for name, target in entries.items()
        if isinstance(target, Const) and isinstance(target.value, str)
    }


@functools.lru_cache(maxsize=256)
def _literal_map(source: str | None) -> dict[str, str]:
    try:
        found = ast.literal_eval(source or "{}")
    except (ValueError, SyntaxError):
        return {}
    return found if isinstance(found, dict) else {}


def _is_plain(base: Foreign) -> bool:
    return base.dotted in ("abc.ABC", "typing.Generic", ORDERED_DICT, "object")


def _merged(lines: list[list[int]]) -> list[int]:
    texts = merge([[str(each) for each in line] for line in lines])
    return [int(each) for each in texts]
