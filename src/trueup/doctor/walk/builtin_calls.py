"""Builtin functions, methods of builtin objects and of tensors."""

from __future__ import annotations

from typing import Any

from trueup.doctor.walk.bounds import may_build
from trueup.doctor.walk.builtin_methods import BuiltinMethods
from trueup.doctor.walk.failure import RaisedError
from trueup.doctor.walk.values import (
    FALSE,
    NONE,
    TRUE,
    UNKNOWN,
    Bound,
    Builtin,
    Const,
    Foreign,
    Instance,
    Items,
    LibraryName,
    OwnClass,
    OwnFunction,
    Table,
    Tensor,
    Value,
    name_of,
    of_python,
    to_python,
)

MAX_ITEMS = 64
# Worked out by Python itself where all is exact.
EXACT = frozenset(
    {"abs", "all", "any", "bool", "float", "int", "len", "max", "min", "round", "str", "sum",
     "sorted", "divmod", "pow", "bytes", "chr", "ord", "repr"}
)  # fmt: skip
TYPES: dict[str, type] = {
    "int": int, "str": str, "float": float, "bool": bool, "dict": dict, "list": list,
    "tuple": tuple, "set": set, "bytes": bytes,
}  # fmt: skip


class BuiltinCalls(BuiltinMethods):
    """Answers calls of what Python itself has."""

    def call_builtin(self, name: str, arguments: list[Value], keywords: dict[str, Value]) -> Value:
        """A builtin function or class.

        Raises:
            RaisedError: the call fails.
        """
        method = getattr(self, f"_builtin_{name}", None)
        if method is not None:
            found: Value | None = method(arguments, keywords)
            if found is not None:
                return found
        if name in EXACT:
            return self._exact(name, arguments, keywords)
        return UNKNOWN

    def _exact(self, name: str, arguments: list[Value], keywords: dict[str, Value]) -> Value:
        try:
            given = [to_python(each) for each in arguments]
            named = {key: to_python(each) for key, each in keywords.items()}
        except ValueError:
            return UNKNOWN
        if not may_build(name, given):
            return UNKNOWN
        import builtins

        try:
            return of_python(getattr(builtins, name)(*given, **named))
        except (TypeError, ValueError, OverflowError) as error:
            return self.fail("type", type(error).__name__, str(error))

    def _builtin_isinstance(self, arguments: list[Value], _: Any) -> Value | None:
        if len(arguments) != 2:
            return None
        found = self.is_instance(*arguments)
        return UNKNOWN if found is None else Const(found)

    def is_instance(self, value: Value, cls: Value) -> bool | None:
        """Whether a value is of a class; None where it is not known."""
        if isinstance(cls, Items) and cls.items is not None:
            found = [self.is_instance(value, each) for each in cls.items]
            return True if True in found else None if None in found else False
        if value is UNKNOWN or not isinstance(cls, OwnClass | LibraryName | Builtin | Foreign):
            return None
        if isinstance(value, Instance):
            if value.cls == cls or value.cls is cls:
                return True
            names = {self._name_in_order(each) for each in self._order(value.cls)}
            if self._name_in_order(cls) in names:
                return True
            is_known = not isinstance(value.cls, OwnClass) or self.is_closed(value.cls)
            return False if is_known and not isinstance(value.cls, Foreign) else None
        if isinstance(value, Tensor):
            return isinstance(cls, Foreign) and cls.dotted == "torch.Tensor"
        if isinstance(cls, Builtin):
            kind = TYPES.get(cls.name)
            if kind is None:
                return True if cls.name == "object" else None
            if isinstance(value, Const):
                return isinstance(value.value, kind)
            if isinstance(value, Items):
                return value.kind == cls.name
            return kind is dict if isinstance(value, Table) else None
        return False if isinstance(value, Const | Items | Table) else None

    def _name_in_order(self, value: Value) -> Any:
        if isinstance(value, LibraryName | Foreign):
            return value.dotted
        return value.name if isinstance(value, Builtin) else id(value)

    def _builtin_issubclass(self, arguments: list[Value], _: Any) -> Value | None:
        if len(arguments) == 2 and isinstance(arguments[0], OwnClass):
            names = {self._name_in_order(each) for each in self.mro(arguments[0])}
            return Const(True) if self._name_in_order(arguments[1]) in names else UNKNOWN
        return UNKNOWN

    def _builtin_hasattr(self, arguments: list[Value], _: Any) -> Value | None:
        if len(arguments) != 2 or not isinstance(arguments[1], Const):
            return UNKNOWN
        depth, mark = len(self.calls), len(self.possible)
        try:
            found = self.attribute(arguments[0], str(arguments[1].value))
        except RaisedError as raised:
            del self.calls[depth:]
            del self.possible[mark:]
            if raised.failure.exception != "AttributeError" and raised.failure.kind != "import":
                raise
            return FALSE
        return UNKNOWN if found is UNKNOWN else TRUE

    def _builtin_getattr(self, arguments: list[Value], _: Any) -> Value | None:
        if len(arguments) < 2 or not isinstance(arguments[1], Const):
            return UNKNOWN
        if len(arguments) == 2:
            return self.attribute(arguments[0], str(arguments[1].value))
        depth, mark = len(self.calls), len(self.possible)
        try:
            found = self.attribute(arguments[0], str(arguments[1].value))
            return UNKNOWN if found is UNKNOWN else found
        except RaisedError as raised:
            if raised.failure.exception != "AttributeError":
                raise
            del self.calls[depth:]
            del self.possible[mark:]
            return arguments[2]

    def _builtin_setattr(self, arguments: list[Value], _: Any) -> Value | None:
        if len(arguments) == 3:
            subject, name, value = arguments
            if isinstance(name, Const):
                self.set_attribute(subject, str(name.value), value)
            elif isinstance(subject, Instance):
                subject.is_open = True
        return NONE

    def _builtin_len(self, arguments: list[Value], _: Any) -> Value | None:
        value = arguments[0] if arguments else UNKNOWN
        if isinstance(value, Items):
            return UNKNOWN if value.items is None else Const(len(value.items))
        if isinstance(value, Table):
            return UNKNOWN if value.is_open else Const(len(value.entries))
        if isinstance(value, Tensor):
            return Const(value.shape[0]) if value.shape else UNKNOWN
        if isinstance(value, Instance):
            return self.length_of(value)
        return UNKNOWN if value is UNKNOWN else None

    def length_of(self, value: Instance) -> Value:
        """`len()` of an object."""
        raise NotImplementedError

    def _builtin_range(self, arguments: list[Value], _: Any) -> Value | None:
        try:
            numbers = [to_python(each) for each in arguments]
            found = range(*numbers)
        except TypeError as error:
            if NONE not in arguments:
                return self.fail("type", "TypeError", str(error))
            return self.fail("none", "TypeError", str(error))
        except ValueError:
            if NONE in arguments:
                message = "'NoneType' object cannot be interpreted as an integer"
                return self.fail("none", "TypeError", message)
            return Items("list", None)
        if len(found) > MAX_ITEMS:
            return Items("list", None, Const(found[0]))
        return Items("list", [Const(each) for each in found])

    def _builtin_enumerate(self, arguments: list[Value], _: Any) -> Value | None:
        values, is_all = self.iterated(arguments[0] if arguments else UNKNOWN)
        rows: list[Value] = [Items("tuple", [Const(i), each]) for i, each in enumerate(values)]
        if is_all:
            return Items("list", rows)
        return Items("list", None, Items("tuple", [UNKNOWN, values[0] if values else UNKNOWN]))

    def _builtin_zip(self, arguments: list[Value], _: Any) -> Value | None:
        pairs = [self.iterated(each) for each in arguments]
        if pairs and all(is_all for _, is_all in pairs):
            rows = zip(*(values for values, _ in pairs), strict=False)
            return Items("list", [Items("tuple", list(row)) for row in rows])
        element = Items("tuple", [values[0] if values else UNKNOWN for values, _ in pairs])
        return Items("list", None, element)

    def _builtin_type(self, arguments: list[Value], _: Any) -> Value | None:
        value = arguments[0] if len(arguments) == 1 else UNKNOWN
        return value.cls if isinstance(value, Instance) else UNKNOWN

    def _sequence_of(self, kind: Any, arguments: list[Value]) -> Value:
        if not arguments:
            return Items(kind, [])
        values, is_all = self.iterated(arguments[0])
        return Items(kind, values if is_all else None, values[0] if values else UNKNOWN)

    def _builtin_list(self, arguments: list[Value], _: Any) -> Value | None:
        return self._sequence_of("list", arguments)

    def _builtin_tuple(self, arguments: list[Value], _: Any) -> Value | None:
        return self._sequence_of("tuple", arguments)

    def _builtin_set(self, arguments: list[Value], _: Any) -> Value | None:
        return self._sequence_of("set", arguments)

    def _builtin_reversed(self, arguments: list[Value], _: Any) -> Value | None:
        found = self._sequence_of("list", arguments)
        if isinstance(found, Items) and found.items is not None:
            return Items("list", found.items[::-1])
        return found

    def _builtin_dict(self, arguments: list[Value], keywords: dict[str, Value]) -> Value | None:
        if arguments and not isinstance(arguments[0], Table):
            return Table(dict(keywords), is_open=True)
        base = arguments[0] if arguments else Table({})
        if isinstance(base, Table):
            return Table({**base.entries, **keywords}, is_open=base.is_open)
        return UNKNOWN

    def _builtin_next(self, arguments: list[Value], _: Any) -> Value | None:
        values, _ = self.iterated(arguments[0] if arguments else UNKNOWN)
        return values[0] if values else UNKNOWN

    def _builtin_iter(self, arguments: list[Value], _: Any) -> Value | None:
        return arguments[0] if arguments else UNKNOWN

    def _builtin_callable(self, arguments: list[Value], _: Any) -> Value | None:
        value = arguments[0] if arguments else UNKNOWN
        return TRUE if isinstance(value, OwnFunction | OwnClass | Bound | LibraryName) else UNKNOWN

    def _builtin_sum(self, arguments: list[Value], _: Any) -> Value | None:
        values, _ = self.iterated(arguments[0] if arguments else UNKNOWN)
        return Tensor() if values and all(isinstance(each, Tensor) for each in values) else None


__all__ = ["BuiltinCalls", "name_of"]
