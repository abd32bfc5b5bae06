"""Calls: functions of the model's own code are walked, all others are known by their facts."""

from __future__ import annotations

import ast
import functools
from collections.abc import Mapping, Sequence
from typing import Any

from trueup.doctor.walk.failure import RaisedError
from trueup.doctor.walk.instances import Instances
from trueup.doctor.walk.machine import MAX_DEPTH, Call
from trueup.doctor.walk.torch_names import gives_module, gives_tensor, known_answer
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
    Super,
    Table,
    Tensor,
    Value,
    Wrapped,
    joined,
)
from trueup.environment.symbols.facts import FunctionFacts

MAX_RECURSION = 3


class Calls(Instances):
    """Calls anything."""

    def _on_call(self, node: ast.Call) -> Value:
        function = self.evaluate(node.func)
        if isinstance(function, Builtin) and function.name == "super":
            return self._super(node)
        arguments: list[Value] = []
        keywords: dict[str, Value] = {}
        is_open = False
        for each in node.args:
            if isinstance(each, ast.Starred):
                given = self.evaluate(each.value)
                known = given.items if isinstance(given, Items) else None
                is_open = is_open or known is None
                arguments += known or []
            else:
                arguments.append(self.evaluate(each))
        for keyword in node.keywords:
            given = self.evaluate(keyword.value)
            if keyword.arg is not None:
                keywords[keyword.arg] = given
            elif isinstance(given, Table):
                is_open = is_open or given.is_open
                keywords.update(
                    {key: value for key, value in given.entries.items() if isinstance(key, str)}
                )
            else:
                is_open = True
        self.step(node)
        return self.call(function, arguments, keywords, is_open=is_open)

    def _super(self, node: ast.Call) -> Value:
        call = self.here
        after, subject = call.scopes[-1].get("__class__"), None
        if node.args:
            named = self.evaluate(node.args[0])
            after = named if isinstance(named, OwnClass) else None
            subject = self.evaluate(node.args[1]) if len(node.args) > 1 else None
        else:
            subject = call.scopes[-1].get("__subject__")
        if isinstance(after, OwnClass) and subject is not None and subject is not UNKNOWN:
            return Super(subject, after)
        return UNKNOWN

    def call(
        self, function: Value, arguments: list[Value], keywords: dict[str, Value], **more: Any
    ) -> Value:
        """Call a value; `is_open`: there are arguments that are not known.

        Raises:
            RaisedError: the call fails.
        """
        is_open = bool(more.get("is_open"))
        if isinstance(function, Bound):
            return self._call_bound(function, arguments, keywords, is_open)
        if isinstance(function, OwnFunction):
            return self.call_own(function, arguments, keywords, is_open=is_open)
        if isinstance(function, OwnClass):
            return self.instantiate(function, arguments, keywords, is_open=is_open)
        if isinstance(function, Wrapped):
            return self.call(function.function, arguments, keywords, is_open=is_open)
        if isinstance(function, LibraryName):
            return self._call_library(function, arguments, keywords, is_open)
        if isinstance(function, LibraryMethod):  # through the class, with its subject
            if arguments and isinstance(arguments[0], Instance):
                bound = Bound(function, arguments[0])
                return self._call_bound(bound, arguments[1:], keywords, is_open)
            return self.call_library_method(function, UNKNOWN, arguments, keywords)
        if isinstance(function, Foreign):
            return self.call_foreign(function, arguments, keywords)
        if isinstance(function, Builtin):
            return self.call_builtin(function.name, arguments, keywords)
        if isinstance(function, Instance):
            return self._call_instance(function, arguments, keywords, is_open)
        if isinstance(function, Tensor | Items | Table) or function == NONE:
            kinds = {Tensor: "Tensor", Table: "dict", Const: "NoneType"}
            kind = function.kind if isinstance(function, Items) else kinds[type(function)]
            if kind != "modules":
                self.fail("type", "TypeError", f"'{kind}' object is not callable")
        return UNKNOWN

    def _call_bound(
        self, bound: Bound, arguments: list[Value], keywords: dict[str, Value], is_open: bool
    ) -> Value:
        function, subject = bound.function, bound.subject
        if is_open and isinstance(subject, Instance) and _constructs(function):
            subject.is_open = True  # it may be given anything
        if isinstance(function, OwnFunction):
            return self.call_own(
                function, [subject, *arguments], keywords, is_open=is_open, subject=subject
            )
        if isinstance(function, LibraryMethod):
            self.check_call(function.function, len(arguments) + 1, keywords, is_open, bound=True)
            return self.call_library_method(function, subject, arguments, keywords)
        if isinstance(function, Builtin):
            return self.call_method(function.name[1:], subject, arguments, keywords)
        return self.call(function, [subject, *arguments], keywords, is_open=is_open)

    def call_own(
        self,
        function: OwnFunction,
        arguments: Sequence[Value],
        keywords: Mapping[str, Value],
        *,
        is_open: bool = False,
        subject: Value | None = None,
    ) -> Value:
        """Walk a function of the model's own code.

        Raises:
            RaisedError: it fails, or the call does not fit it.
        """
        running = sum(call.name == function.qualified for call in self.calls)
        if len(self.calls) >= MAX_DEPTH or running >= MAX_RECURSION:
            return UNKNOWN
        scope = self.bind(function, arguments, keywords, is_open)
        if function.owner is not None:
            scope["__class__"] = function.owner
            scope["__subject__"] = subject if subject is not None else UNKNOWN
        node = function.node
        scopes = (*function.enclosing, scope)
        call = Call(function.qualified, function.module, scopes=scopes, node=node)
        self.calls.append(call)
        outer, self.class_in_body = self.class_in_body, None
        depth = len(self.calls)
        try:
            if isinstance(node, ast.Lambda):
                value: Value = self.evaluate(node.body)
            elif _is_generator(node):
                self.execute(node.body)
                value = Items("list", None)
            else:
                flow = self.execute(node.body)
                value = flow.value if flow is not None and flow.kind == "return" else NONE
        except RaisedError as raised:
            if not call.returned:
                raise
            # It may have returned before: then nothing fails.
            del self.calls[depth - 1 :]
            self.note_possible(raised.failure)
            return call.returned[0] if len(call.returned) == 1 else UNKNOWN
        finally:
            self.class_in_body = outer
        del self.calls[depth - 1 :]
        for each in call.returned:
            value = joined(value, each)
        return value

    def _call_library(
        self,
        function: LibraryName,
        arguments: list[Value],
        keywords: dict[str, Value],
        is_open: bool,
    ) -> Value:
        if isinstance(function.found, FunctionFacts):
            self.check_call(function.found, len(arguments), keywords, is_open, bound=False)
            return self.library_answer(function.dotted, arguments, keywords)
        facts = function.facts
        if facts is None:
            return UNKNOWN
        made = self.library_object(function, arguments, keywords)
        member = self.world.symbols.member(facts.dotted, "__init__")
        if member is not None and isinstance(member[1], FunctionFacts):
            is_closed = not self.world.symbols.unknown_bases(facts.dotted) or self.is_module(
                function
            )
            if is_closed and not _is_made_otherwise(self.world.symbols.mro(facts.dotted)):
                self.check_call(member[1], len(arguments) + 1, keywords, is_open, bound=True)
        return made

    def call_foreign(
        self, function: Foreign, arguments: list[Value], keywords: dict[str, Value]
    ) -> Value:
        """A call into a package that is not looked into."""
        answer = known_answer(function.dotted)
        if answer is not None:
            return answer
        if function.dotted in ("torch.nn.ModuleList", "torch.nn.Sequential"):
            if function.dotted.endswith("ModuleList"):
                given = arguments[0] if arguments else Items("modules", [])
                if isinstance(given, Items):
                    return Items("modules", given.items, given.element)
                return Items("modules", None)
            return Instance(function, is_open=True)
        if gives_module(function.dotted):
            self.check_dtype("empty", keywords)
            return Instance(function, is_open=True)
        if gives_tensor(function.dotted):
            return self.made_tensor(function.dotted, arguments, keywords)
        return self.foreign_answer(function.dotted, arguments, keywords)

    # What the layers above add.
    def made_tensor(self, dotted: str, arguments: list[Value], keywords: dict[str, Value]) -> Value:
        """A tensor that torch makes."""
        raise NotImplementedError

    def foreign_answer(
        self, dotted: str, arguments: list[Value], keywords: dict[str, Value]
    ) -> Value:
        """The answer of a function of another package."""
        raise NotImplementedError

    def library_object(
        self, cls: LibraryName, arguments: list[Value], keywords: dict[str, Value]
    ) -> Value:
        """An object of a class of the library."""
        raise NotImplementedError

    def library_answer(
        self, dotted: str, arguments: list[Value], keywords: dict[str, Value]
    ) -> Value:
        """The answer of a function of the library."""
        raise NotImplementedError

    def call_library_method(
        self,
        method: LibraryMethod,
        subject: Value,
        arguments: list[Value],
        keywords: dict[str, Value],
    ) -> Value:
        """A method that the library gives to an object."""
        raise NotImplementedError

    def call_builtin(self, name: str, arguments: list[Value], keywords: dict[str, Value]) -> Value:
        """A builtin function or class."""
        raise NotImplementedError

    def call_method(
        self, name: str, subject: Value, arguments: list[Value], keywords: dict[str, Value]
    ) -> Value:
        """A method of a builtin object."""
        raise NotImplementedError


def _constructs(function: Value) -> bool:
    """Whether it is a constructor that is not the model's own."""
    if isinstance(function, Builtin):
        return function.name == ".__init__"
    return isinstance(function, LibraryMethod) and function.function.name == "__init__"


@functools.lru_cache(maxsize=8192)
def _is_generator(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    pending: list[ast.AST] = list(node.body)
    while pending:
        each = pending.pop()
        if isinstance(each, ast.Yield | ast.YieldFrom):
            return True
        if not isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            pending += ast.iter_child_nodes(each)
    return False


def _is_made_otherwise(order: Sequence[Any]) -> bool:
    """Dataclasses, enums and what has a `__new__` take other arguments than `__init__` says."""
    return any(
        each.is_dataclass or "__new__" in each.methods or each.metaclass is not None
        for each in order
    )
