"""Loops of the walked code: a few rounds stand for all of them."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

from trueup.doctor.walk.definitions import Definitions
from trueup.doctor.walk.machine import Flow, Write
from trueup.doctor.walk.values import UNKNOWN, Entries, Value, joined

# The second round meets what the first one left.
ROUNDS = 2


class Loops(Definitions):
    """Runs loops."""

    def _do_for(self, node: ast.For | ast.AsyncFor) -> Flow | None:
        values, is_all = self.iterated(self.evaluate(node.iter))
        if not values:
            if is_all:
                return self.execute(node.orelse)
            return self.fork(lambda: self._few(node, [UNKNOWN]), lambda: None)
        if is_all and len(values) <= ROUNDS + 1:
            flow = self._rounds_of(node, values)
        else:
            flow = self._few(node, values[:ROUNDS])
        if flow is not None and flow.kind == "return":
            return flow
        return self.execute(node.orelse) if flow is None else None

    _do_asyncfor = _do_for

    def _few(self, node: ast.For | ast.AsyncFor, values: Sequence[Value]) -> Flow | None:
        """Some rounds of more: what they leave is not all that the loop leaves."""
        flow, writes = self.recorded(lambda: self._rounds_of(node, values))
        self._forget(writes)
        return flow

    def _rounds_of(self, node: ast.For | ast.AsyncFor, values: Sequence[Value]) -> Flow | None:
        for value in values:
            self.assign(node.target, value)
            flow = self.execute(node.body)
            if flow is not None and flow.kind != "continue":
                return flow
        return None

    def _do_while(self, node: ast.While) -> Flow | None:
        flow, writes = self.recorded(lambda: self._turns(node))
        if flow is None or flow.kind != "done":
            self._forget(writes)
        return flow if flow is not None and flow.kind == "return" else None

    def _turns(self, node: ast.While) -> Flow | None:
        for _ in range(ROUNDS):
            truth = self.truth(self.evaluate(node.test))
            if truth is False:
                return self.execute(node.orelse) or Flow("done")
            if truth is None:
                flow = self.fork(lambda: self.execute(node.body), lambda: None)
            else:
                flow = self.execute(node.body)
            if flow is not None and flow.kind != "continue":
                return flow
        return None

    def _forget(self, writes: Sequence[Write]) -> None:
        """More rounds write more: what grew has more in it, what changed goes on changing."""
        seen: set[tuple[int, Any]] = set()
        for place, key, old in writes:
            was_written, now = (id(place), key) in seen, place.get(key)
            seen.add((id(place), key))
            if isinstance(place, Entries):
                place.table.is_open = True
            elif key == "items" and isinstance(now, list):
                self.put(place, key, None)
            elif was_written and isinstance(old, Value) and isinstance(now, Value):
                self.put(place, key, joined(old, now))
