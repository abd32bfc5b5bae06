"""Lists, dicts and comprehensions of the walked code."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Any

from trueup.doctor.walk.bounds import MAX_ITEMS
from trueup.doctor.walk.failure import RaisedError
from trueup.doctor.walk.operations import Operations
from trueup.doctor.walk.values import (
    UNKNOWN,
    Const,
    Items,
    Scope,
    Table,
    Value,
)


class Displays(Operations):
    """Evaluates what makes collections."""

    def _sequence(self, kind: Any, nodes: Iterable[ast.expr]) -> Value:
        items: list[Value] | None = []
        for each in nodes:
            if isinstance(each, ast.Starred):
                inner = self.evaluate(each.value)
                known = inner.items if isinstance(inner, Items) else None
                if items is None or known is None or len(items) + len(known) > MAX_ITEMS:
                    items = None
                else:
                    items = items + known
            else:
                value = self.evaluate(each)
                if items is not None:
                    items.append(value)
        return Items(kind, items)

    def _on_tuple(self, node: ast.Tuple) -> Value:
        return self._sequence("tuple", node.elts)

    def _on_list(self, node: ast.List) -> Value:
        return self._sequence("list", node.elts)

    def _on_set(self, node: ast.Set) -> Value:
        return self._sequence("set", node.elts)

    def _on_dict(self, node: ast.Dict) -> Value:
        table = Table({})
        for key, value in zip(node.keys, node.values, strict=True):
            given = self.evaluate(value)
            if key is None:
                if isinstance(given, Table):
                    table.entries.update(given.entries)
                    table.is_open = table.is_open or given.is_open
                else:
                    table.is_open = True
                continue
            named = self.evaluate(key)
            if isinstance(named, Const) and _is_hashable(named.value):
                table.entries[named.value] = given
            else:
                table.is_open = True
        return table

    def assign(self, target: ast.expr, value: Value) -> None:
        """Bind a target."""
        raise NotImplementedError

    def iterated(self, value: Value) -> tuple[list[Value], bool]:
        """What a loop over a value meets, and whether that is all."""
        raise NotImplementedError

    def _comprehended(self, node: Any, parts: list[ast.expr]) -> tuple[list[list[Value]], bool]:
        """The values of a comprehension's parts for each round, and whether these are all."""
        scope: Scope = {}
        call = self.here
        outer = call.scopes
        call.scopes = (*outer, scope)
        rounds: list[list[Value]] = []
        try:
            is_all = self._rounds(node.generators, parts, rounds)
        finally:
            call.scopes = outer
        return rounds, is_all

    def _rounds(
        self, generators: list[ast.comprehension], parts: list[ast.expr], rounds: list[list[Value]]
    ) -> bool:
        if not generators:
            rounds.append([self.evaluate(part) for part in parts])
            return True
        head, *rest = generators
        values, is_all = self.iterated(self.evaluate(head.iter))
        for value in values:
            self.assign(head.target, value)
            truths = [self.truth(self.evaluate(each)) for each in head.ifs]
            if False in truths:
                continue
            if None in truths:
                is_all = False
                try:
                    self._rounds(rest, parts, rounds)
                except RaisedError as raised:
                    self.note_possible(raised.failure)
                continue
            is_all = self._rounds(rest, parts, rounds) and is_all
        return is_all

    def _on_listcomp(self, node: ast.ListComp | ast.GeneratorExp | ast.SetComp) -> Value:
        rounds, is_all = self._comprehended(node, [node.elt])
        values = [each[0] for each in rounds]
        kind: Any = "set" if isinstance(node, ast.SetComp) else "list"
        return Items(kind, values if is_all else None, values[0] if values else UNKNOWN)

    _on_generatorexp = _on_listcomp

    _on_setcomp = _on_listcomp

    def _on_dictcomp(self, node: ast.DictComp) -> Value:
        rounds, is_all = self._comprehended(node, [node.key, node.value])
        table = Table({}, is_open=not is_all)
        for key, value in rounds:
            if isinstance(key, Const) and _is_hashable(key.value):
                table.entries[key.value] = value
            else:
                table.is_open = True
        return table


def _is_hashable(value: Any) -> bool:
    return isinstance(value, str | int | float | bool | bytes | type(None))
