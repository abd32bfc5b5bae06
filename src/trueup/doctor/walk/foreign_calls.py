"""Calls into torch and other packages, and methods that every torch module has."""

from __future__ import annotations

from packaging import version as packaging_version

from trueup.doctor.walk.failure import RaisedError
from trueup.doctor.walk.library_calls import LibraryCalls
from trueup.doctor.walk.values import (
    FALSE,
    NONE,
    UNKNOWN,
    Const,
    Foreign,
    Instance,
    Items,
    OwnClass,
    OwnFunction,
    Table,
    Tensor,
    Value,
    to_python,
)

SKIPS_INIT = frozenset({"torch.nn.utils.skip_init", "torch.nn.utils.init.skip_init"})
SIZED = frozenset({"torch.empty", "torch.zeros", "torch.ones", "torch.rand", "torch.randn"})
JOINS = frozenset({"torch.cat", "torch.concat", "torch.concatenate", "torch.stack"})
# Where this is, building without memory leaves `torch.linspace` out.
KEEPS_LINSPACE = "transformers.initialization.meta_device_safe_creation_ops"
MAKES_TENSORS = SIZED | {"torch.full", "torch.tensor", "torch.arange", "torch.linspace"}


class ForeignCalls(LibraryCalls):
    """Answers for packages that are not looked into."""

    def made_tensor(self, dotted: str, arguments: list[Value], keywords: dict[str, Value]) -> Value:
        """A tensor that torch makes.

        Raises:
            RaisedError: the dtype is a text, or None stands where a tensor must.
        """
        self._see_tensors(dotted, arguments, keywords)
        if dotted in MAKES_TENSORS:
            self.check_dtype(dotted.rpartition(".")[2], keywords)
        makes = dotted in MAKES_TENSORS and not self._stays_on_cpu(dotted)
        is_meta = self.is_building_on_meta and (makes or _has_meta(arguments))
        device = keywords.get("device")
        if isinstance(device, Const) and device.value == "cpu":
            is_meta = False
        shape: tuple[int, ...] | None = None
        if dotted == "torch.arange":
            try:
                numbers = [to_python(each) for each in arguments]
                shape = (len(range(*numbers)),)
            except (ValueError, TypeError):
                shape = None
        elif dotted in SIZED:
            sizes = arguments[0] if len(arguments) == 1 else Items("tuple", arguments)
            try:
                found = to_python(sizes)
                shape = tuple(found) if isinstance(found, tuple | list) else (found,)
            except ValueError:
                shape = None
        return Tensor(shape, is_meta=is_meta)

    def _stays_on_cpu(self, dotted: str) -> bool:
        """Whether the library sees to it that a function makes its tensors with their data."""
        return dotted == "torch.linspace" and self.world.symbols.has(KEEPS_LINSPACE)

    def _see_tensors(self, dotted: str, arguments: list[Value], keywords: dict[str, Value]) -> None:
        """Fail where a tensor is asked for and None is given."""
        name = dotted.rpartition(".")[2]
        if dotted in JOINS:
            joined = arguments[0] if arguments else keywords.get("tensors", UNKNOWN)
            items = joined.items if isinstance(joined, Items) else None
            for place, each in enumerate(items or ()):
                if each == NONE:
                    message = f"expected Tensor as element {place} in argument 0, but got NoneType"
                    self.fail("none", "TypeError", message, subject=name)
        elif dotted == "torch.nn.functional.pad":
            padded = arguments[0] if arguments else keywords.get("input", UNKNOWN)
            if padded == NONE:
                message = "pad(): argument 'input' (position 1) must be Tensor, not NoneType"
                self.fail("none", "TypeError", message, subject=name)

    def foreign_answer(
        self, dotted: str, arguments: list[Value], keywords: dict[str, Value]
    ) -> Value:
        """The answer of a function of another package."""
        if dotted in SKIPS_INIT and arguments:
            return self.call(arguments[0], arguments[1:], {**keywords, "device": Const("meta")})
        if dotted in ("packaging.version.parse", "packaging.version.Version"):
            text = arguments[0] if arguments else UNKNOWN
            if isinstance(text, Const) and isinstance(text.value, str):
                try:
                    return Const(packaging_version.parse(text.value))
                except packaging_version.InvalidVersion:
                    return UNKNOWN
        if dotted in ("importlib.import_module",) and arguments:
            name = arguments[0]
            if isinstance(name, Const) and isinstance(name.value, str):
                return self.module_named(name.value)
        if dotted in ("importlib.metadata.version", "pkg_resources.get_distribution"):
            name = arguments[0] if arguments else UNKNOWN
            if isinstance(name, Const) and name.value == "transformers":
                return Const(self.world.version_text())
            known = self.world.packages.get(str(name.value)) if isinstance(name, Const) else None
            return Const(known) if known else UNKNOWN
        if dotted == "importlib.util.find_spec" and arguments:
            name = arguments[0]
            if isinstance(name, Const) and isinstance(name.value, str):
                found = self.is_installed(name.value.partition(".")[0])
                return UNKNOWN if found else NONE
        if dotted in ("copy.deepcopy", "copy.copy", "typing.cast"):
            return self._copied(arguments[-1] if arguments else UNKNOWN)
        if dotted == "functools.partial":
            return UNKNOWN
        if dotted == "collections.OrderedDict":
            return Table({}, is_open=bool(arguments))
        if dotted.startswith("os.path.isfile") or dotted == "os.path.exists":
            return UNKNOWN
        made = arguments[0] if arguments else None
        if dotted == "torch.nn.utils.skip_init" and isinstance(made, OwnClass):
            return self.call(made, arguments[1:], {**keywords, "device": Const("meta")})
        if dotted == "torch.utils.checkpoint.checkpoint" and arguments:
            rest = {k: v for k, v in keywords.items() if not k.startswith("use_reentrant")}
            if isinstance(arguments[0], OwnFunction | Instance):
                return self.call(arguments[0], arguments[1:], rest)
        if dotted == "torch.is_tensor" and arguments:
            known_kinds = Const | Items | Table
            if isinstance(arguments[0], Tensor):
                return Const(True)
            return FALSE if isinstance(arguments[0], known_kinds) else UNKNOWN
        return UNKNOWN

    def _copied(self, value: Value) -> Value:
        if isinstance(value, Instance):
            return Instance(value.cls, dict(value.attributes), is_open=value.is_open)
        if isinstance(value, Table):
            return Table(dict(value.entries), is_open=value.is_open)
        if isinstance(value, Items):
            return Items(value.kind, None if value.items is None else list(value.items))
        return value

    def module_method(
        self, name: str, subject: Instance, arguments: list[Value], keywords: dict[str, Value]
    ) -> Value:
        """A method of every torch module, or of every object.

        Raises:
            RaisedError: the call fails.
        """
        first = arguments[0] if arguments else keywords.get("name", UNKNOWN)
        text = first.value if isinstance(first, Const) else None
        if name == "register_buffer":
            value = arguments[1] if len(arguments) > 1 else keywords.get("tensor", UNKNOWN)
            persistent = keywords.get("persistent", arguments[2] if len(arguments) > 2 else None)
            if isinstance(text, str):
                self.put(subject.attributes, text, value)
                if persistent == FALSE:
                    self.note_buffer(subject, text)
            else:
                subject.is_open = True
            return NONE
        if name in ("register_parameter", "add_module", "register_module"):
            if isinstance(text, str):
                value = arguments[1] if len(arguments) > 1 else UNKNOWN
                self.put(subject.attributes, text, value)
            else:
                subject.is_open = True
            return NONE
        if name == "__init__":
            self.init_foreign(subject)
            return NONE
        if name == "__setattr__" and isinstance(text, str) and len(arguments) > 1:
            self.set_attribute(subject, text, arguments[1])
            return NONE
        if name in ("to", "eval", "train", "half", "float", "cuda", "cpu", "apply",
                    "requires_grad_", "bfloat16"):  # fmt: skip
            return subject
        if name == "__getattr__" and isinstance(text, str):
            return self.attribute(subject, text)
        return UNKNOWN

    def note_buffer(self, subject: Instance, name: str) -> None:
        """A buffer that no file holds."""


def _has_meta(arguments: list[Value]) -> bool:
    return any(isinstance(each, Tensor) and each.is_meta for each in arguments)


__all__ = ["Foreign", "ForeignCalls", "RaisedError"]
