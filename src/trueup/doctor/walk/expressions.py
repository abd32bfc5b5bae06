"""Expressions of the walked code."""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable

from trueup.doctor.walk.bounds import MAX_TEXT
from trueup.doctor.walk.displays import Displays
from trueup.doctor.walk.values import (
    FALSE,
    TRUE,
    UNKNOWN,
    Builtin,
    Const,
    OwnFunction,
    Tensor,
    Value,
    joined,
    name_of,
    to_python,
)

BUILTIN_NAMES = frozenset(dir(__builtins__) if not isinstance(__builtins__, dict) else __builtins__)


@functools.cache
def _method_for(kind: str) -> str:
    return f"_on_{kind.lower()}"


@functools.lru_cache(maxsize=2048)
def _bound_in(function: ast.AST) -> frozenset[str]:
    """Names that are bound anywhere in a function, in functions within too."""
    return frozenset(
        node.id
        for node in ast.walk(function)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    )


class Expressions(Displays):
    """Evaluates expressions; what has no rule is UNKNOWN."""

    def evaluate(self, node: ast.expr) -> Value:
        """The value of an expression.

        Raises:
            RaisedError: evaluating it fails.
        """
        self.step(node)
        method = getattr(self, _method_for(type(node).__name__), None)
        if method is None:
            return UNKNOWN
        found: Value = method(node)
        return found

    def _on_constant(self, node: ast.Constant) -> Value:
        return Const(node.value)

    def _on_name(self, node: ast.Name) -> Value:
        return self.look_up(node.id)

    def look_up(self, name: str) -> Value:
        """What a name stands for here.

        Raises:
            RaisedError: nothing.
        """
        call = self.calls[-1]
        for scope in reversed(call.scopes):
            if name in scope:
                return scope[name]
        if name in call.module.names:
            return call.module.names[name]
        if name in BUILTIN_NAMES:
            return Builtin(name)
        if name in ("__file__", "__name__", "__doc__", "__class__", "__qualname__", "__module__"):
            return UNKNOWN
        if "*" in call.module.names:  # a star import that was not followed
            return UNKNOWN
        if call.node is not None and name in _bound_in(call.node):
            return self.fail(
                "unbound",
                "UnboundLocalError",
                f"cannot access local variable '{name}' where it is not associated with a value",
                subject=name,
            )
        return self.fail("name", "NameError", f"name '{name}' is not defined", subject=name)

    def _on_attribute(self, node: ast.Attribute) -> Value:
        value = self.evaluate(node.value)
        self.step(node)
        return self.attribute(value, node.attr)

    def _on_subscript(self, node: ast.Subscript) -> Value:
        value, key = self.evaluate(node.value), self.evaluate(node.slice)
        self.step(node)
        return self.item(value, key)

    def _on_slice(self, node: ast.Slice) -> Value:
        for part in (node.lower, node.upper, node.step):
            if part is not None:
                self.evaluate(part)
        try:
            bounds = [
                None if part is None else to_python(self.evaluate(part))
                for part in (node.lower, node.upper, node.step)
            ]
        except ValueError:
            return UNKNOWN
        return Const(slice(*bounds))

    def _on_joinedstr(self, node: ast.JoinedStr) -> Value:
        texts: list[str] | None = []
        for part in node.values:
            value = self.evaluate(part.value if isinstance(part, ast.FormattedValue) else part)
            is_plain = not isinstance(part, ast.FormattedValue) or (
                part.format_spec is None and part.conversion in (-1, 115)
            )
            if texts is not None and is_plain and isinstance(value, Const):
                texts.append(str(value.value))
            else:
                texts = None
        if texts is None or sum(map(len, texts)) > MAX_TEXT:
            return UNKNOWN
        return Const("".join(texts))

    def _on_namedexpr(self, node: ast.NamedExpr) -> Value:
        value = self.evaluate(node.value)
        self.assign(node.target, value)
        return value

    def _on_lambda(self, node: ast.Lambda) -> Value:
        return OwnFunction("<lambda>", node, self.here.module, self.here.scopes, {})

    def _on_await(self, node: ast.Await) -> Value:
        self.evaluate(node.value)
        return UNKNOWN

    def _on_yield(self, node: ast.Yield) -> Value:
        if node.value is not None:
            self.evaluate(node.value)
        return UNKNOWN

    def _on_starred(self, node: ast.Starred) -> Value:
        self.evaluate(node.value)
        return UNKNOWN

    def _on_ifexp(self, node: ast.IfExp) -> Value:
        truth = self.truth(self.evaluate(node.test))
        if truth is not None:
            return self.evaluate(node.body if truth else node.orelse)
        return self.either(lambda: self.evaluate(node.body), lambda: self.evaluate(node.orelse))

    def either(self, first: Callable[[], Value], second: Callable[[], Value]) -> Value:
        """One of two values, nobody knows which."""
        found: list[Value] = []

        def keep(run: Callable[[], Value]) -> Callable[[], None]:
            def ran() -> None:
                found.append(run())

            return ran

        self.fork(keep(first), keep(second))
        return joined(*found) if len(found) == 2 else found[0] if found else UNKNOWN

    def _on_boolop(self, node: ast.BoolOp) -> Value:
        is_and = isinstance(node.op, ast.And)
        value: Value = UNKNOWN
        for index, each in enumerate(node.values):
            value = self.evaluate(each)
            truth = self.truth(value)
            if truth is None:
                rest = ast.BoolOp(op=node.op, values=node.values[index + 1 :])
                if not rest.values:
                    return UNKNOWN
                ast.copy_location(rest, node)
                return self._either_of(value, rest.values[0] if len(rest.values) == 1 else rest)
            if truth is not is_and:
                return value
        return value

    def _either_of(self, known: Value, rest: ast.expr) -> Value:
        return self.either(lambda: self.evaluate(rest), lambda: known)

    def _on_unaryop(self, node: ast.UnaryOp) -> Value:
        value = self.evaluate(node.operand)
        if isinstance(node.op, ast.Not):
            truth = self.truth(value)
            return UNKNOWN if truth is None else Const(not truth)
        if isinstance(value, Tensor):
            return Tensor(value.shape, is_meta=value.is_meta)
        if isinstance(value, Const) and isinstance(value.value, int | float):
            if isinstance(node.op, ast.USub):
                return Const(-value.value)
            if isinstance(node.op, ast.UAdd):
                return value
        return UNKNOWN

    def _on_binop(self, node: ast.BinOp) -> Value:
        left, right = self.evaluate(node.left), self.evaluate(node.right)
        self.step(node)
        return self.operate(node.op, left, right)

    def _on_compare(self, node: ast.Compare) -> Value:
        left = self.evaluate(node.left)
        result: Value = TRUE
        for operation, each in zip(node.ops, node.comparators, strict=True):
            right = self.evaluate(each)
            self.step(node)
            found = self.compared(operation, left, right)
            truth = self.truth(found)
            if truth is False:
                return found
            result = found if truth is None or result is TRUE else result
            left = right
        return result

    def item(self, value: Value, key: Value) -> Value:
        """`value[key]`."""
        raise NotImplementedError


NONE_TYPE = "a tensor and 'NoneType'"


__all__ = ["FALSE", "NONE_TYPE", "Expressions", "name_of"]
