"""Statements of the walked code."""

from __future__ import annotations

import ast
import functools

from trueup.doctor.walk.failure import RaisedError, is_caught
from trueup.doctor.walk.loops import Loops
from trueup.doctor.walk.machine import Flow
from trueup.doctor.walk.values import (
    UNKNOWN,
    Const,
    Instance,
    Items,
    OwnClass,
    Table,
    Tensor,
    Value,
    name_of,
)


@functools.cache
def _method_for(kind: str) -> str:
    return f"_do_{kind.lower()}"


class Statements(Loops):
    """Runs blocks."""

    def execute(self, body: list[ast.stmt]) -> Flow | None:
        """Run a block; how it ended where it did not reach its end.

        Raises:
            RaisedError: it fails.
        """
        for statement in body:
            self.step(statement)
            method = getattr(self, _method_for(type(statement).__name__), None)
            try:
                flow = method(statement) if method is not None else None
            except RaisedError as raised:
                if not self.is_mended(raised.failure):
                    raise
                flow = self._passed_over(statement)
            if flow is not None:
                return flow  # type: ignore[no-any-return]
        return None

    def _passed_over(self, statement: ast.stmt) -> Flow | None:
        """Go on behind a statement that fails, as if it had done something that is not known."""
        if isinstance(statement, ast.Return):
            return Flow("return", UNKNOWN)
        if isinstance(statement, ast.Import | ast.ImportFrom):
            for alias in statement.names:
                name = alias.asname or alias.name.partition(".")[0]
                if name != "*":
                    self._bind(name, UNKNOWN)
        for target in getattr(statement, "targets", [getattr(statement, "target", None)]):
            if isinstance(target, ast.expr):
                self.assign(target, UNKNOWN)
        return None

    def _do_expr(self, node: ast.Expr) -> None:
        self.evaluate(node.value)

    def _do_return(self, node: ast.Return) -> Flow:
        value = self.evaluate(node.value) if node.value is not None else Const(None)
        return Flow("return", value)

    def _do_break(self, node: ast.Break) -> Flow:
        return Flow("break")

    def _do_continue(self, node: ast.Continue) -> Flow:
        return Flow("continue")

    def _do_global(self, node: ast.Global) -> None:
        self.here.globals_named.update(node.names)

    def _do_assign(self, node: ast.Assign) -> None:
        value = self.evaluate(node.value)
        for target in node.targets:
            self.assign(target, value)

    def _do_annassign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.assign(node.target, self.evaluate(node.value))

    def _do_augassign(self, node: ast.AugAssign) -> None:
        old = self.evaluate(_loaded(node.target))
        value = self.operate(node.op, old, self.evaluate(node.value))
        self.assign(node.target, value)

    def _do_delete(self, node: ast.Delete) -> None:
        for target in node.targets:
            if isinstance(target, ast.Name):
                for scope in (*reversed(self.here.scopes), self.here.module.names):
                    if target.id in scope:
                        self.remove(scope, target.id)
                        break
            elif isinstance(target, ast.Attribute):
                value = self.evaluate(target.value)
                if isinstance(value, Instance):
                    self.remove(value.attributes, target.attr)
            elif isinstance(target, ast.Subscript):
                value, key = self.evaluate(target.value), self.evaluate(target.slice)
                if isinstance(value, Table) and isinstance(key, Const):
                    self.remove(value.entries, key.value)

    def assign(self, target: ast.expr, value: Value) -> None:
        """Bind a target.

        Raises:
            RaisedError: it cannot be bound.
        """
        if isinstance(target, ast.Name):
            call = self.here
            is_global = not call.scopes or target.id in call.globals_named
            scope = call.module.names if is_global else call.scopes[-1]
            self.put(scope, target.id, value)
        elif isinstance(target, ast.Attribute):
            self.set_attribute(self.evaluate(target.value), target.attr, value)
        elif isinstance(target, ast.Subscript):
            self._set_item(self.evaluate(target.value), self.evaluate(target.slice), value)
        elif isinstance(target, ast.Starred):
            self.assign(target.value, Items("list", None))
        elif isinstance(target, ast.Tuple | ast.List):
            self._unpack(target, value)

    def _unpack(self, target: ast.Tuple | ast.List, value: Value) -> None:
        if value == Const(None):
            self.fail("none", "TypeError", "cannot unpack non-iterable NoneType object")
        wanted = len(target.elts)
        has_star = any(isinstance(each, ast.Starred) for each in target.elts)
        known = value.items if isinstance(value, Items) else None
        if isinstance(value, Tensor) and value.shape:
            known = [Tensor(value.shape[1:], is_meta=value.is_meta)] * value.shape[0]
        if isinstance(value, Items) and known is None:
            known = [value.element] * wanted
        elif isinstance(value, Const) and isinstance(value.value, tuple | str):
            known = [Const(each) for each in value.value]
        if known is not None and len(known) != wanted and not has_star:
            few = len(known) < wanted
            message = (
                f"not enough values to unpack (expected {wanted}, got {len(known)})"
                if few
                else f"too many values to unpack (expected {wanted})"
            )
            is_text = isinstance(value, Const) and isinstance(value.value, str)
            self.fail("value", "ValueError", message, owner="str" if is_text else "")
        for index, each in enumerate(target.elts):
            is_known = known is not None and not has_star
            self.assign(each, known[index] if is_known and known is not None else UNKNOWN)

    def _set_item(self, value: Value, key: Value, new: Value) -> None:
        if isinstance(value, Table):
            if isinstance(key, Const) and isinstance(key.value, str | int | float | bool):
                self.put(value.entries, key.value, new)
            else:
                value.is_open = True
        elif isinstance(value, Items) and value.items is not None:
            index = key.value if isinstance(key, Const) else None
            items = list(value.items)
            if isinstance(index, int) and -len(items) <= index < len(items):
                items[index] = new
                self.put(value.cell, "items", items)
            elif not isinstance(index, int):
                self.put(value.cell, "items", [UNKNOWN] * len(items))
        elif value == Const(None):
            message = "'NoneType' object does not support item assignment"
            self.fail("none", "TypeError", message)

    def _do_if(self, node: ast.If) -> Flow | None:
        truth = self.truth(self.evaluate(node.test))
        if truth is not None:
            return self.execute(node.body if truth else node.orelse)
        return self.fork(lambda: self.execute(node.body), lambda: self.execute(node.orelse))

    def _do_with(self, node: ast.With | ast.AsyncWith) -> Flow | None:
        for each in node.items:
            self.evaluate(each.context_expr)
            if each.optional_vars is not None:
                self.assign(each.optional_vars, UNKNOWN)
        return self.execute(node.body)

    _do_asyncwith = _do_with

    def _do_raise(self, node: ast.Raise) -> None:
        name, message = "Exception", ""
        if node.exc is not None:
            called = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            value = self.evaluate(node.exc)
            name = _exception_name(called, value)
            if isinstance(node.exc, ast.Call) and node.exc.args:
                told = self.evaluate(node.exc.args[0])
                message = str(told.value) if isinstance(told, Const) else ""
        self.step(node)
        self.fail("raised", name, message)

    def _do_assert(self, node: ast.Assert) -> None:
        if self.truth(self.evaluate(node.test)) is False:
            told = self.evaluate(node.msg) if node.msg is not None else Const("")
            message = str(told.value) if isinstance(told, Const) else ""
            self.fail("raised", "AssertionError", message)

    def _do_try(self, node: ast.Try) -> Flow | None:
        mark, depth = len(self.possible), len(self.calls)
        try:
            flow = self.execute(node.body)
        except RaisedError as raised:
            del self.calls[depth:]
            handler = self._handler(node, raised.failure.exception)
            if handler is None:
                self.execute(node.finalbody)
                raise
            self._forget_caught(node, mark)
            if handler.name:
                self._bind(handler.name, UNKNOWN)
            flow = self._after(node, handler.body, raised)
            self.execute(node.finalbody)
            return flow
        self._forget_caught(node, mark)
        if flow is None:
            flow = self.execute(node.orelse)
        ended = self.execute(node.finalbody)
        return ended if ended is not None else flow

    def _after(self, node: ast.Try, body: list[ast.stmt], raised: RaisedError) -> Flow | None:
        if len(body) == 1 and isinstance(body[0], ast.Raise) and body[0].exc is None:
            raise raised
        return self.execute(body)

    def _handler(self, node: ast.Try, exception: str) -> ast.ExceptHandler | None:
        for handler in node.handlers:
            if handler.type is None:
                return handler
            kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
            if any(is_caught(exception, ast.unparse(kind)) for kind in kinds):
                return handler
        return None

    def _forget_caught(self, node: ast.Try, mark: int) -> None:
        """What might fail in the body and would be caught there is no failure."""
        self.possible[mark:] = [
            each for each in self.possible[mark:] if self._handler(node, each.exception) is None
        ]


def _loaded(target: ast.expr) -> ast.expr:
    """The target of an augmented assignment as what is read."""
    if isinstance(target, ast.Name):
        return ast.copy_location(ast.Name(id=target.id, ctx=ast.Load()), target)
    return target


def _exception_name(called: ast.expr, value: Value) -> str:
    if isinstance(value, Instance | OwnClass):
        return name_of(value.cls if isinstance(value, Instance) else value)
    text = ast.unparse(called)
    return text.rpartition(".")[2]
