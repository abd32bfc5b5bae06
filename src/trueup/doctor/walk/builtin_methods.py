"""Methods of builtin objects and of tensors."""

from __future__ import annotations

from trueup.doctor.walk.bounds import MAX_ITEMS, may_call
from trueup.doctor.walk.calls import Calls
from trueup.doctor.walk.torch_names import SCALARS
from trueup.doctor.walk.values import (
    NONE,
    UNKNOWN,
    Const,
    Instance,
    Items,
    Table,
    Tensor,
    Value,
    joined,
    of_python,
    to_python,
)

MAX_APPENDED = 64


class BuiltinMethods(Calls):
    """Answers methods of what Python itself has."""

    def call_method(
        self, name: str, subject: Value, arguments: list[Value], keywords: dict[str, Value]
    ) -> Value:
        """A method of a builtin object, of a tensor or of every torch module.

        Raises:
            RaisedError: the call fails.
        """
        if isinstance(subject, Tensor):
            return self._tensor_method(name, subject, arguments)
        if isinstance(subject, Items):
            return self._items_method(name, subject, arguments)
        if isinstance(subject, Table):
            return self._table_method(name, subject, arguments, keywords)
        if isinstance(subject, Instance):
            return self.module_method(name, subject, arguments, keywords)
        if isinstance(subject, Const) and isinstance(subject.value, str | int | float | bytes):
            try:
                given = [to_python(each) for each in arguments]
                named = {key: to_python(each) for key, each in keywords.items()}
                if not may_call(name, subject.value, given, named):
                    return UNKNOWN
                return of_python(getattr(subject.value, name)(*given, **named))
            except (ValueError, TypeError, KeyError, IndexError, AttributeError):
                return UNKNOWN
        return UNKNOWN

    def module_method(
        self, name: str, subject: Instance, arguments: list[Value], keywords: dict[str, Value]
    ) -> Value:
        """A method of every torch module."""
        raise NotImplementedError

    def _tensor_method(self, name: str, subject: Tensor, arguments: list[Value]) -> Value:
        if name in SCALARS and subject.is_meta and self.is_building_on_meta:
            self.fail(
                "meta",
                "RuntimeError",
                "Tensor.item() cannot be called on meta tensors",
                subject=f"Tensor.{name}",
            )
        if name == "size":
            if subject.shape is None:
                return UNKNOWN if arguments else Items("tuple", None)
            sizes = [Const(each) for each in subject.shape]
            if not arguments:
                return Items("tuple", list(sizes))
            index = arguments[0].value if isinstance(arguments[0], Const) else None
            is_in = isinstance(index, int) and -len(sizes) <= index < len(sizes)
            return sizes[index] if is_in and isinstance(index, int) else UNKNOWN
        if name in ("dim", "ndimension"):
            return UNKNOWN if subject.shape is None else Const(len(subject.shape))
        if name in (*SCALARS, "numel", "data_ptr", "is_floating_point", "element_size", "split",
                    "chunk", "unbind", "max", "min", "topk", "sort", "is_contiguous", "stride",
                    "get_device", "storage"):  # fmt: skip
            return UNKNOWN
        same = name in ("to", "contiguous", "float", "half", "long", "int", "bool", "type_as",
                        "clone", "detach", "cpu", "cuda", "type", "requires_grad_")  # fmt: skip
        return Tensor(subject.shape if same else None, is_meta=subject.is_meta)

    def _items_method(self, name: str, subject: Items, arguments: list[Value]) -> Value:
        items = subject.items
        if name in ("append", "add"):
            value = arguments[0] if arguments else UNKNOWN
            more = None if items is None or len(items) >= MAX_APPENDED else [*items, value]
            if items is None:
                subject.element = joined(subject.element, value)
            self.put(subject.cell, "items", more)
            return NONE
        if name == "extend" and arguments:
            values, is_all = self.iterated(arguments[0])
            is_known = items is not None and is_all and len(items) + len(values) <= MAX_ITEMS
            grown = [*items, *values] if items is not None and is_known else None
            self.put(subject.cell, "items", grown)
            return NONE
        if name in ("insert", "remove", "clear", "sort", "reverse", "update", "discard"):
            self.put(subject.cell, "items", None)
            return NONE
        if name == "pop":
            known = items[-1] if items else UNKNOWN
            self.put(subject.cell, "items", items[:-1] if items and not arguments else None)
            return known
        if name == "copy":
            return Items(subject.kind, items, subject.element)
        return UNKNOWN

    def _table_method(
        self, name: str, subject: Table, arguments: list[Value], keywords: dict[str, Value]
    ) -> Value:
        key = arguments[0].value if arguments and isinstance(arguments[0], Const) else None
        if name in ("get", "pop", "setdefault") and isinstance(
            arguments[0] if arguments else None, Const
        ):
            default = arguments[1] if len(arguments) > 1 else keywords.get("default")
            if key in subject.entries:
                found = subject.entries[key]
                if name == "pop":
                    self.remove(subject.entries, key)
                return found
            if subject.is_open:
                return UNKNOWN
            if name == "pop" and default is None:
                self.fail("key", "KeyError", repr(key), subject=str(key))
            value = default if default is not None else NONE
            if name == "setdefault":
                self.put(subject.entries, key, value)
            return value
        if name == "update":
            for source in (*arguments, Table(dict(keywords))):
                if isinstance(source, Table):
                    for each, value in source.entries.items():
                        self.put(subject.entries, each, value)
                    subject.is_open = subject.is_open or source.is_open
                else:
                    subject.is_open = True
            return NONE
        if name in ("keys", "values", "items") and not subject.is_open:
            rows: list[Value] = []
            for each, value in subject.entries.items():
                pair = Items("tuple", [Const(each), value])
                rows.append({"keys": Const(each), "values": value}.get(name, pair))
            return Items("list", rows)
        if name == "copy":
            return Table(dict(subject.entries), is_open=subject.is_open)
        return UNKNOWN
