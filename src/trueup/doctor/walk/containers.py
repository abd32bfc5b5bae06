"""Indexing, loops and lengths of objects."""

from __future__ import annotations

from trueup.doctor.walk.builtin_calls import BuiltinCalls
from trueup.doctor.walk.values import (
    NONE,
    UNKNOWN,
    Const,
    Instance,
    Items,
    LibraryName,
    OwnClass,
    Table,
    Tensor,
    Value,
)


class Containers(BuiltinCalls):
    """Looks into what holds other values."""

    def is_cache(self, value: Instance) -> bool:
        """Whether an object is one of the library's caches."""
        return isinstance(value.cls, LibraryName) and any(
            each.name == "Cache" for each in self.world.symbols.mro(value.cls.dotted)
        )

    def truth_of_instance(self, value: Instance) -> bool | None:
        """Objects are true unless their class says otherwise."""
        if self.is_cache(value):
            filled = value.attributes.get("*layers")
            return bool(filled.value) if isinstance(filled, Const) else None
        order = self._order(value.cls)
        if self.in_class(order, "__bool__") or self.in_class(order, "__len__"):
            return None
        if isinstance(value.cls, OwnClass) and not self.is_closed(value.cls):
            return None
        return True

    def length_of(self, value: Instance) -> Value:
        """`len()` of an object.

        Raises:
            RaisedError: it has none, or its own fails.
        """
        if self.is_cache(value):
            filled = value.attributes.get("*layers")
            return filled if isinstance(filled, Const) else UNKNOWN
        found = self.in_class(self._order(value.cls), "__len__")
        if found is None:
            return UNKNOWN
        return self.call(self._bound(found[1], value), [], {})

    def item(self, value: Value, key: Value) -> Value:
        """`value[key]`.

        Raises:
            RaisedError: there is none.
        """
        if isinstance(value, Items):
            return self._item_of(value, key)
        if isinstance(value, Table):
            if isinstance(key, Const) and key.value in value.entries:
                return value.entries[key.value]
            if isinstance(key, Const) and not value.is_open:
                self.fail("key", "KeyError", repr(key.value), subject=str(key.value))
            return UNKNOWN
        if isinstance(value, Tensor):
            return Tensor(is_meta=value.is_meta)
        if value == NONE:
            message = "'NoneType' object is not subscriptable"
            self.fail("none", "TypeError", message, subject="None")
        if isinstance(value, Const) and isinstance(value.value, str | tuple | bytes):
            try:
                return Const(value.value[key.value]) if isinstance(key, Const) else UNKNOWN
            except (IndexError, TypeError):
                return UNKNOWN
        if isinstance(value, Instance):
            return self._item_of_instance(value, key)
        return UNKNOWN

    def _item_of(self, value: Items, key: Value) -> Value:
        items = value.items
        if items is None:
            if isinstance(key, Const) and isinstance(key.value, slice):
                return Items(value.kind, None, value.element)
            return value.element
        if not isinstance(key, Const):
            return items[0] if len(items) == 1 else UNKNOWN
        if isinstance(key.value, slice):
            return Items(value.kind, items[key.value])
        if isinstance(key.value, int):
            if -len(items) <= key.value < len(items):
                return items[key.value]
            self.fail("key", "IndexError", f"{value.kind} index out of range")
        if isinstance(key.value, str):
            message = f"{value.kind} indices must be integers or slices, not str"
            self.fail("type", "TypeError", message)
        return UNKNOWN

    def _item_of_instance(self, value: Instance, key: Value) -> Value:
        found = self.in_class(self._order(value.cls), "__getitem__")
        if self.is_cache(value):
            if found is None:
                message = f"'{value.class_name}' object is not subscriptable"
                self.fail(
                    "type", "TypeError", message, subject=self.dotted_of(value.cls) + ".__getitem__"
                )
            if value.attributes.get("*layers") == Const(0):
                message = "Cache only has 0 layers, attempted to access layer with index"
                self.fail("key", "KeyError", f"{message} {_told(key)}", subject="layers")
            return Items("tuple", [value.attributes.get("*entry", UNKNOWN)] * 2)
        if found is not None and isinstance(value.cls, OwnClass):
            return self.call(self._bound(found[1], value), [key], {})
        name = key.value if isinstance(key, Const) else None
        if isinstance(name, str) and name in value.attributes:
            return value.attributes[name]
        return UNKNOWN

    def iterated(self, value: Value) -> tuple[list[Value], bool]:
        """What a loop over a value meets, and whether that is all of it.

        Raises:
            RaisedError: nothing can be looped over.
        """
        if isinstance(value, Items):
            if value.items is not None:
                return list(value.items), True
            return ([value.element], False)
        if isinstance(value, Table):
            keys: list[Value] = [Const(each) for each in value.entries]
            return keys, not value.is_open
        if value == NONE:
            self.fail("none", "TypeError", "'NoneType' object is not iterable")
        if isinstance(value, Const) and isinstance(value.value, str | tuple):
            parts: list[Value] = [Const(each) for each in value.value[:64]]
            return parts, len(value.value) <= 64
        if isinstance(value, Const) and isinstance(value.value, int | float):
            self.fail("type", "TypeError", f"'{type(value.value).__name__}' object is not iterable")
        if isinstance(value, Tensor):
            return [Tensor(is_meta=value.is_meta)], False
        return [], False


def _told(key: Value) -> str:
    return str(key.value) if isinstance(key, Const) else "0"
