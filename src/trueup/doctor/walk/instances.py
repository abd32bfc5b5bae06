"""Objects of classes of the model's own code."""

from __future__ import annotations

import ast

from trueup.doctor.walk.arguments import Arguments
from trueup.doctor.walk.imports import MODELS
from trueup.doctor.walk.values import (
    UNKNOWN,
    Bound,
    Const,
    Foreign,
    Instance,
    LibraryMethod,
    LibraryName,
    OwnClass,
    OwnFunction,
    Tensor,
    Value,
)


class Instances(Arguments):
    """Makes and calls objects."""

    def _call_instance(
        self, value: Instance, arguments: list[Value], keywords: dict[str, Value], is_open: bool
    ) -> Value:
        name = "forward" if self.is_module(value.cls) else "__call__"
        found = self.in_class(self._order(value.cls), name)
        if found is None or not isinstance(value.cls, OwnClass):
            if isinstance(value.cls, Foreign) and self.is_module(value.cls):
                return Tensor(is_meta=False)
            if found is not None and isinstance(found[1], LibraryMethod):
                self._check_part(found[1], arguments, keywords, is_open)
            is_bare = isinstance(value.cls, OwnClass) and self.is_closed(value.cls)
            if name == "forward" and is_bare and keywords:
                first = next(iter(keywords))
                self.fail(
                    "argument",
                    "TypeError",
                    f"_forward_unimplemented() got an unexpected keyword argument '{first}'",
                    subject=f"{value.class_name}.forward",
                    owner=first,
                )
            return UNKNOWN
        return self.call(self._bound(found[1], value), arguments, keywords, is_open=is_open)

    def _check_part(
        self,
        method: LibraryMethod,
        arguments: list[Value],
        keywords: dict[str, Value],
        is_open: bool,
    ) -> None:
        """See that a call fits a part that is the library's own, as its layers are.

        Raises:
            RaisedError: it does not.
        """
        function = method.function
        # A decorator may take old names for new ones.
        if method.owner.module.startswith(MODELS) and not function.decorators:
            self.check_call(function, len(arguments) + 1, keywords, is_open, bound=True)

    def instantiate(
        self,
        cls: OwnClass,
        arguments: list[Value],
        keywords: dict[str, Value],
        *,
        is_open: bool = False,
    ) -> Value:
        """An object of a class of the model's own code.

        Raises:
            RaisedError: its `__init__` fails.
        """
        made = Instance(cls)
        if not self.is_closed(cls):
            made.is_open = True
        if self._is_record(cls):
            return self._recorded(made, cls, arguments, keywords, is_open)
        found = self.in_class(self.mro(cls), "__init__")
        if found is not None:
            self.call(self._bound(found[1], made), arguments, keywords, is_open=is_open)
        elif any(isinstance(each, Foreign) for each in self.mro(cls)):
            self.init_foreign(made)
        return made

    def _is_record(self, cls: OwnClass) -> bool:
        """Whether its constructor is made of its fields."""
        order = self.mro(cls)
        own_init = self.in_class(order, "__init__")
        is_own = own_init is not None and isinstance(own_init[0], OwnClass)
        is_output = any(
            isinstance(each, LibraryName) and each.dotted.endswith(".ModelOutput") for each in order
        )
        return not is_own and (cls.is_dataclass or is_output)

    def _recorded(
        self,
        made: Instance,
        cls: OwnClass,
        arguments: list[Value],
        keywords: dict[str, Value],
        is_open: bool,
    ) -> Instance:
        names: list[str] = []
        for each in reversed(self.mro(cls)):
            if isinstance(each, OwnClass):
                names += [
                    statement.target.id
                    for statement in each.node.body
                    if isinstance(statement, ast.AnnAssign)
                    and isinstance(statement.target, ast.Name)
                ]
            elif isinstance(each, LibraryName) and each.facts is not None:
                names += each.facts.fields
        if is_open:
            made.attributes.update(dict.fromkeys(names, UNKNOWN))
        made.attributes.update(zip(dict.fromkeys(names), arguments, strict=False))
        made.attributes.update(keywords)
        found = self.in_class(self.mro(cls), "__post_init__")
        if found is not None and isinstance(found[1], OwnFunction):
            self.call(Bound(found[1], made), [], {})
        return made

    def init_foreign(self, made: Instance) -> None:
        """What torch's own classes set."""
        if self.is_module(made.cls):
            self.put(made.attributes, "training", Const(True))
            if not any(
                isinstance(each, Foreign) and each.dotted == "torch.nn.Module"
                for each in self._order(made.cls)
            ):
                made.is_open = True
