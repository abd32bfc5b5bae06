"""Operators and comparisons of the walked code."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any

from trueup.doctor.walk.bounds import may_operate
from trueup.doctor.walk.machine import Machine
from trueup.doctor.walk.values import (
    NONE,
    UNKNOWN,
    Const,
    Foreign,
    Instance,
    Items,
    LibraryName,
    OwnClass,
    OwnFunction,
    OwnModule,
    Table,
    Tensor,
    Value,
    to_python,
)

BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul,
    ast.Div: operator.truediv, ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod,
    ast.BitAnd: operator.and_, ast.BitOr: operator.or_, ast.BitXor: operator.xor,
}  # fmt: skip
COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le,
    ast.Gt: operator.gt, ast.GtE: operator.ge,
}  # fmt: skip
MAX_UNROLLED = 64
NONE_TYPE = "a tensor and 'NoneType'"


class Operations(Machine):
    """Works out operations on what is known."""

    def operate(self, operation: ast.operator, left: Value, right: Value) -> Value:
        """A binary operation.

        Raises:
            RaisedError: None or a text takes part in it where it cannot.
        """
        if isinstance(left, Tensor) or isinstance(right, Tensor):
            other = right if isinstance(left, Tensor) else left
            if other == NONE:
                self.fail("none", "TypeError", f"unsupported operand type(s): {NONE_TYPE}")
            tensors = [each for each in (left, right) if isinstance(each, Tensor)]
            return Tensor(is_meta=all(each.is_meta for each in tensors))
        if isinstance(left, Items) and isinstance(right, Items) and isinstance(operation, ast.Add):
            both = None if left.items is None or right.items is None else left.items + right.items
            return Items(left.kind, both)
        if isinstance(operation, ast.Mult) and isinstance(left, Items):
            return self._repeated(left, right)
        function = BINARY.get(type(operation))
        if isinstance(left, Const) and isinstance(right, Const) and function is not None:
            return self._worked_out(function, left.value, right.value)
        return UNKNOWN

    def _repeated(self, items: Items, count: Value) -> Value:
        known = items.items
        number = count.value if isinstance(count, Const) else None
        if known is None or not isinstance(number, int):
            return Items(items.kind, None, known[0] if known else UNKNOWN)
        if 0 <= number * len(known) <= 4 * MAX_UNROLLED:
            return Items(items.kind, known * number)
        return Items(items.kind, None, known[0] if known else UNKNOWN)

    def _worked_out(self, function: Callable[[Any, Any], Any], left: Any, right: Any) -> Value:
        simple = int | float | str | bytes | bool
        if function is operator.or_ and not isinstance(left, int):
            return UNKNOWN  # types in annotations
        if left is None or right is None:
            return self.fail(
                "none", "TypeError", f"unsupported operand type(s) for {function.__name__}"
            )
        if not isinstance(left, simple) or not isinstance(right, simple):
            return UNKNOWN
        if not may_operate(function, left, right):
            return UNKNOWN
        try:
            return Const(function(left, right))
        except ZeroDivisionError as error:
            return self.fail("value", "ZeroDivisionError", str(error))
        except (TypeError, ValueError, OverflowError) as error:
            if isinstance(error, TypeError) and "%" not in str(error):
                return self.fail("type", "TypeError", str(error))
            return UNKNOWN

    def compared(self, operation: ast.cmpop, left: Value, right: Value) -> Value:
        """A comparison; UNKNOWN where it depends on what is not known."""
        if isinstance(operation, ast.Is | ast.IsNot):
            same = self._is_same(left, right)
            return UNKNOWN if same is None else Const(same is isinstance(operation, ast.Is))
        if isinstance(operation, ast.In | ast.NotIn):
            found = self.contains(right, left)
            return UNKNOWN if found is None else Const(found is isinstance(operation, ast.In))
        if isinstance(left, Tensor) or isinstance(right, Tensor):
            return Tensor(is_meta=getattr(left, "is_meta", False))
        if isinstance(left, Foreign) and isinstance(right, Foreign):
            if isinstance(operation, ast.Eq | ast.NotEq):
                return Const((left == right) is isinstance(operation, ast.Eq))
            return UNKNOWN
        try:
            one, two = to_python(left), to_python(right)
        except ValueError:
            is_equality = isinstance(operation, ast.Eq | ast.NotEq)
            if is_equality and NONE in (left, right) and UNKNOWN not in (left, right):
                return Const(isinstance(operation, ast.NotEq))
            return UNKNOWN
        try:
            return Const(bool(COMPARE[type(operation)](one, two)))
        except TypeError as error:
            return self.fail("type", "TypeError", str(error))

    def _is_same(self, left: Value, right: Value) -> bool | None:
        if UNKNOWN in (left, right):
            return None
        if isinstance(left, Const) and isinstance(right, Const):
            return left.value is right.value or (
                left.value == right.value and type(left.value) is type(right.value)
            )
        if NONE in (left, right):
            return False
        return True if left is right else None

    def contains(self, place: Value, wanted: Value) -> bool | None:
        """Whether `wanted in place`; None where it is not known."""
        if isinstance(place, Table) and isinstance(wanted, Const):
            if _is_hashable(wanted.value) and wanted.value in place.entries:
                return True
            return None if place.is_open else False
        try:
            return bool(to_python(wanted) in to_python(place))
        except (ValueError, TypeError):
            return None

    def truth(self, value: Value) -> bool | None:
        """Whether a value is true; None where it is not known."""
        if isinstance(value, Const):
            return bool(value.value)
        if isinstance(value, Items):
            return None if value.items is None else bool(value.items)
        if isinstance(value, Table):
            return True if value.entries else None if value.is_open else False
        if isinstance(value, OwnClass | OwnFunction | OwnModule | LibraryName):
            return True
        if isinstance(value, Instance):
            return self.truth_of_instance(value)
        return None

    def truth_of_instance(self, value: Instance) -> bool | None:
        """Whether an object is true."""
        raise NotImplementedError


def _is_hashable(value: Any) -> bool:
    return isinstance(value, str | int | float | bool | bytes | type(None))
