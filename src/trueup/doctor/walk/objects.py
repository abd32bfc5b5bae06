"""Attributes: what an object of the model's own code or of the library has."""

from __future__ import annotations

from trueup.doctor.walk.classes import Classes
from trueup.doctor.walk.failure import RaisedError
from trueup.doctor.walk.torch_names import MODULE_NAMES, is_torch_module, torch_member
from trueup.doctor.walk.values import (
    NONE,
    UNKNOWN,
    Bound,
    Builtin,
    Const,
    Foreign,
    Instance,
    Items,
    LibraryMethod,
    LibraryName,
    OwnClass,
    OwnFunction,
    OwnModule,
    Super,
    Table,
    Tensor,
    Value,
    Wrapped,
)
from trueup.environment.symbols.facts import FunctionFacts, ModuleFacts

DICT_NAMES = frozenset(dir(dict))
OBJECT_NAMES = frozenset(dir(object)) | {"__dict__", "__module__", "__name__", "__qualname__",
                                         "__annotations__", "__bases__", "__mro__"}  # fmt: skip
ABSENT = object()


class Objects(Classes):
    """Looks attributes up as Python does, as far as the classes are known."""

    def attribute(self, value: Value, name: str) -> Value:
        """An attribute of a value.

        Raises:
            RaisedError: it has none of that name.
        """
        if isinstance(value, Instance):
            return self._of_instance(value, name)
        if isinstance(value, Super):
            return self._of_super(value, name)
        if isinstance(value, OwnClass):
            return self._of_class(value, name)
        if isinstance(value, LibraryName):
            return self._of_library(value, name)
        if isinstance(value, OwnModule):
            return value.names.get(name, UNKNOWN)
        if isinstance(value, Foreign):
            return torch_member(value, name) or self.foreign_member(f"{value.dotted}.{name}")
        if isinstance(value, Tensor):
            return self._of_tensor(value, name)
        if isinstance(value, Const | Items | Table | Builtin):
            return self._of_builtin(value, name)
        return UNKNOWN

    def _of_builtin(self, value: Value, name: str) -> Value:
        if value == NONE:
            if name in OBJECT_NAMES:
                return UNKNOWN
            message = f"'NoneType' object has no attribute '{name}'"
            self.fail("none", "AttributeError", message, subject=name)
        if isinstance(value, Const) and not hasattr(value.value, name):
            kind = type(value.value).__name__
            message = f"'{kind}' object has no attribute '{name}'"
            self.fail("attribute", "AttributeError", message, subject=name, owner=kind)
        kinds: dict[str, type] = {"list": list, "tuple": tuple, "set": set}
        if (
            isinstance(value, Items)
            and value.kind in kinds
            and not hasattr(kinds[value.kind], name)
        ):
            message = f"'{value.kind}' object has no attribute '{name}'"
            self.fail("attribute", "AttributeError", message, subject=name, owner=value.kind)
        if isinstance(value, Table) and not hasattr(dict, name):
            message = f"'dict' object has no attribute '{name}'"
            self.fail("attribute", "AttributeError", message, subject=name, owner="dict")
        return Bound(Builtin(f".{name}"), value)

    def _of_tensor(self, value: Tensor, name: str) -> Value:
        if name == "shape":
            if value.shape is not None:
                return Items("tuple", [Const(each) for each in value.shape])
            return Items("tuple", None)
        if name in ("device", "dtype", "layout", "is_cuda", "requires_grad"):
            return value.dtype if name == "dtype" else UNKNOWN
        return Bound(Builtin(f".{name}"), value)

    def _of_instance(self, value: Instance, name: str) -> Value:
        if name == "__class__":
            return value.cls
        if name == "__dict__":
            value.is_open = True
            return UNKNOWN
        name = self.mapped(value, name)
        given = self.in_class(self._order(value.cls), name)
        if given is not None and _is_property(given[1]) and not self._is_shadowed(value, name):
            return self._read_property(value, name, given)
        if name in value.attributes:
            return value.attributes[name]
        if given is not None:
            return self._bound(given[1], value)
        if name in OBJECT_NAMES or (name in MODULE_NAMES and self.is_module(value.cls)):
            return Bound(Builtin(f".{name}"), value)
        if name in DICT_NAMES and self.is_dict(value.cls):
            return UNKNOWN
        return self._missing(value, name)

    def _is_shadowed(self, value: Instance, name: str) -> bool:
        """Cached properties are plain attributes once they were read."""
        return name in value.attributes and not isinstance(value.cls, OwnClass)

    def _read_property(self, value: Instance, name: str, given: tuple[Value, Value]) -> Value:
        found = given[1]
        if isinstance(found, Wrapped):
            depth = len(self.calls)
            try:
                return self.call(Bound(found.function, value), [], {})
            except RaisedError as raised:
                # An AttributeError in a property is taken for the property's own absence.
                has_fallback = raised.failure.exception == "AttributeError" and (
                    self.in_class(self._order(value.cls), "__getattr__") is not None
                    or self.is_module(value.cls)
                )
                if not has_fallback:
                    raise
                del self.calls[depth:]
                return self._missing(value, name)
        if name in value.attributes:
            return value.attributes[name]
        return self.library_property(value, found) if isinstance(found, LibraryMethod) else UNKNOWN

    def library_property(self, value: Instance, found: LibraryMethod) -> Value:
        """What a property of the library gives."""
        raise NotImplementedError

    def _missing(self, value: Instance, name: str) -> Value:
        if value.is_open:
            return UNKNOWN
        getter = self.in_class(self._order(value.cls), "__getattr__")
        if getter is not None:
            return self.library_getattr(value, name, getter[1])
        if not self.is_closed(value.cls) or self._may_rename(value.cls):
            return UNKNOWN
        return self.no_attribute(value, name)

    def _may_rename(self, cls: Value) -> bool:
        """Whether a configuration of the library's gives other names, which the facts leave out."""
        for each in self._order(cls):
            if isinstance(each, OwnClass) and "attribute_map" in each.body:
                return False
            facts = each.facts if isinstance(each, LibraryName) else None
            if facts is not None and "attribute_map" in facts.attributes:
                return facts.attributes["attribute_map"] is None
        return False

    def library_getattr(self, value: Instance, name: str, getter: Value) -> Value:
        """What `__getattr__` answers; the library's answer for names it lists."""
        if isinstance(getter, LibraryMethod):
            return self.no_attribute(value, name)
        return UNKNOWN

    def no_attribute(self, value: Instance, name: str) -> Value:
        """Fail, as Python says it.

        Raises:
            RaisedError: always.
        """
        return self.fail(
            "attribute",
            "AttributeError",
            f"'{value.class_name}' object has no attribute '{name}'",
            subject=name,
            owner=self.dotted_of(value.cls),
        )

    def _bound(self, found: Value, subject: Value) -> Value:
        if isinstance(found, OwnFunction | LibraryMethod):
            if isinstance(found, LibraryMethod) and found.function.kind == "static":
                return found
            return Bound(found, subject)
        if isinstance(found, Wrapped):
            if found.kind == "static":
                return found.function
            cls = subject.cls if isinstance(subject, Instance) else subject
            return Bound(found.function, cls)
        return found

    def _of_super(self, value: Super, name: str) -> Value:
        subject = value.subject
        cls = subject.cls if isinstance(subject, Instance) else subject
        order = self._order(cls)
        place = order.index(value.after) + 1 if value.after in order else 1
        rest = order[place:]
        found = self.in_class(rest, name)
        if found is not None:
            if _is_property(found[1]) and isinstance(subject, Instance):
                return self._read_property(subject, name, found)
            return self._bound(found[1], subject)
        if name in OBJECT_NAMES or (name in MODULE_NAMES and self.is_module(cls)):
            return Bound(Builtin(f".{name}"), subject)
        if isinstance(cls, OwnClass) and self.is_closed(cls):
            self.fail(
                "attribute",
                "AttributeError",
                f"'super' object has no attribute '{name}'",
                subject=name,
                owner=self.dotted_of(cls),
            )
        return UNKNOWN

    def _of_class(self, value: OwnClass, name: str) -> Value:
        if name in ("__name__", "__qualname__"):
            return Const(value.name)
        found = self.in_class(self.mro(value), name)
        if found is not None:
            given = found[1]
            if isinstance(given, Wrapped):
                return self._bound(given, value) if given.kind != "property" else UNKNOWN
            if isinstance(given, LibraryMethod) and given.function.kind == "class":
                return Bound(given, value)
            return given
        if name in OBJECT_NAMES or name in MODULE_NAMES or not self.is_closed(value):
            return UNKNOWN
        if value.is_dataclass or any(
            isinstance(each, Foreign) and not is_torch_module(each.dotted)
            for each in self.mro(value)
        ):
            return UNKNOWN
        return self.fail(
            "attribute",
            "AttributeError",
            f"type object '{value.name}' has no attribute '{name}'",
            subject=name,
            owner=self.dotted_of(value),
        )

    def _of_library(self, value: LibraryName, name: str) -> Value:
        if isinstance(value.found, ModuleFacts):
            found = self.library_name(f"{value.dotted}.{name}")
            if found is not None:
                return found
            if value.found.has_getattr and not value.found.is_lazy:
                return UNKNOWN
            return self.fail(
                "import",
                "AttributeError",
                f"module {value.dotted} has no attribute {name}",
                subject=f"{value.dotted}.{name}",
                owner=value.dotted,
            )
        if value.facts is not None:
            member = self.world.symbols.member(value.facts.dotted, name)
            if member is not None and isinstance(member[1], FunctionFacts):
                method = LibraryMethod(member[0], member[1])
                return Bound(method, value) if member[1].kind == "class" else method
            is_closed = not self.world.symbols.unknown_bases(value.facts.dotted)
            is_plain = name not in OBJECT_NAMES and value.facts.metaclass is None
            if member is None and is_closed and is_plain:
                self.fail(
                    "attribute",
                    "AttributeError",
                    f"type object '{value.facts.name}' has no attribute '{name}'",
                    subject=name,
                    owner=value.facts.dotted,
                )
        return UNKNOWN


def _is_property(value: Value) -> bool:
    if isinstance(value, Wrapped):
        return value.kind == "property"
    return isinstance(value, LibraryMethod) and value.function.kind in (
        "property",
        "cached_property",
    )
