"""Functions and classes that the walked code defines."""

from __future__ import annotations

import ast
from typing import Any

from trueup.doctor.walk.expressions import Expressions
from trueup.doctor.walk.values import (
    Builtin,
    Foreign,
    Instance,
    LibraryName,
    OwnClass,
    OwnFunction,
    Value,
    Wrapped,
    name_of,
)

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Definitions(Expressions):
    """Makes functions and classes."""

    def _bind(self, name: str, value: Value) -> None:
        self.assign(ast.Name(id=name, ctx=ast.Store()), value)

    def _do_functiondef(self, node: Function) -> None:
        self._bind(node.name, self._decorated(node, self.function_of(node)))

    _do_asyncfunctiondef = _do_functiondef

    def function_of(self, node: Function) -> OwnFunction:
        """The function that a definition makes, its defaults evaluated."""
        arguments = node.args
        named = [*arguments.posonlyargs, *arguments.args]
        defaults: dict[str, Value] = {}
        for argument, default in zip(
            named[len(named) - len(arguments.defaults) :], arguments.defaults, strict=True
        ):
            defaults[argument.arg] = self.evaluate(default)
        for argument, keyword in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
            if keyword is not None:
                defaults[argument.arg] = self.evaluate(keyword)
        self._annotations(node)
        return OwnFunction(
            node.name, node, self.here.module, self._closure(), defaults, self.class_in_body
        )

    def _closure(self) -> tuple[Any, ...]:
        """A class's own names are not seen by its methods."""
        scopes = self.here.scopes
        return scopes[:-1] if self.class_in_body is not None else scopes

    class_in_body: OwnClass | None = None

    def _annotations(self, node: Function) -> None:
        if "annotations" in self.here.module.names:  # from __future__ import annotations
            return
        arguments = node.args
        for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
            if each.annotation is not None:
                self.evaluate(each.annotation)
        if node.returns is not None:
            self.evaluate(node.returns)

    def _decorated(self, node: Function, function: OwnFunction) -> Value:
        value: Value = function
        for decorator in reversed(node.decorator_list):
            setter = isinstance(decorator, ast.Attribute) and decorator.attr in ("setter", "getter")
            if setter and isinstance(decorator, ast.Attribute):
                old = self.evaluate(decorator.value)
                if isinstance(old, Wrapped):
                    value = Wrapped("property", old.function, value)
                continue
            given = self.evaluate(decorator)
            value = self._wrapped(given, value)
        return value

    def _wrapped(self, decorator: Value, value: Value) -> Value:
        name = name_of(decorator) if not isinstance(decorator, Instance) else ""
        if name in ("property", "cached_property"):
            return Wrapped("property", value)
        if name == "staticmethod":
            return Wrapped("static", value)
        if name == "classmethod":
            return Wrapped("class", value)
        if isinstance(decorator, OwnFunction):
            made = self.call(decorator, [value], {})
            return made if isinstance(made, OwnFunction | Wrapped) else value
        # What a library's decorator makes of a function is taken to do what the function does.
        return value

    def _do_classdef(self, node: ast.ClassDef) -> None:
        bases = tuple(self.evaluate(base) for base in node.bases)
        for keyword in node.keywords:
            self.evaluate(keyword.value)
        made = OwnClass(node.name, node, self.here.module, bases, {})
        call, outer = self.here, self.class_in_body
        scopes = call.scopes
        call.scopes, self.class_in_body = (*scopes, made.body), made
        try:
            self.execute(node.body)
        finally:
            call.scopes, self.class_in_body = scopes, outer
        for decorator in node.decorator_list:
            given = self.evaluate(decorator)
            if isinstance(given, Foreign | LibraryName | Builtin | Instance):
                made.is_dataclass = made.is_dataclass or "dataclass" in ast.unparse(decorator)
        self._bind(node.name, made)

    def set_attribute(self, value: Value, name: str, new: Value) -> None:
        """Bind an attribute of an object."""
        raise NotImplementedError
