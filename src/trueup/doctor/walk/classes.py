"""Classes: their order of bases, and who gives a name."""

from __future__ import annotations

from collections.abc import Iterator

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

    def is_closed(self, cls: OwnClass) -> bool:
        """Whether all that its objects can have is known."""
        return all(
            isinstance(base, OwnClass)
            or (isinstance(base, LibraryName) and base.facts is not None)
            or (isinstance(base, Foreign) and (is_torch_module(base.dotted) or _is_plain(base)))
            or (isinstance(base, Builtin) and base.name == "object")
            for base in self.mro(cls)
        )

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
            if isinstance(each, OwnClass) and name in each.body:
                return each, each.body[name]
            if isinstance(each, LibraryName) and each.facts is not None:
                facts = each.facts
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
        if not isinstance(value.cls, OwnClass):
            return name
        if value.cls.renamed is None:
            value.cls.renamed = self._renamed(value.cls)
        return value.cls.renamed.get(name, name)

    def _renamed(self, cls: OwnClass) -> dict[str, str]:
        found = self.in_class(self.mro(cls), "attribute_map")
        if found is None or not isinstance(found[1], Table):
            return {}
        return {
            str(name): target.value
            for name, target in found[1].entries.items()
            if isinstance(target, Const) and isinstance(target.value, str)
        }

    def dotted_of(self, cls: Value) -> str:
        """The class of the library that a class is or is nearest to."""
        for each in self._order(cls):
            if isinstance(each, LibraryName):
                return each.dotted
        return name_of(cls)


def _is_plain(base: Foreign) -> bool:
    return base.dotted in ("abc.ABC", "typing.Generic", "collections.OrderedDict", "object")


def _merged(lines: list[list[int]]) -> list[int]:
    texts = merge([[str(each) for each in line] for line in lines])
    return [int(each) for each in texts]
