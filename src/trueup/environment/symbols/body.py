"""What the body of a function does to its subject and reads of configs, in order of execution.

The subject is `self` or `cls` of a method, the `model` of a function that is given one. Pure:
syntax trees in, steps out.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from dataclasses import replace

from trueup.environment.symbols.expression import (
    Function,
    catches_absence,
    config_name,
    is_super,
    literal_text,
    returns,
)
from trueup.environment.symbols.facts import ANY_NAME, Step, StepKind

# Methods of torch's modules that set the attribute which they are given the name of.
REGISTRARS = frozenset({"register_buffer", "register_parameter", "register_module", "add_module"})
# What every object and class has: reading it says nothing.
EVERYWHERE = frozenset({"__class__", "__dict__", "__doc__", "__module__", "__mro__", "__name__"})


def read_steps(function: Function, subjects: Iterable[str]) -> tuple[Step, ...]:
    """The steps of `function`, whose `subjects` are the names that stand for the object."""
    reader = _BodyReader(frozenset(subjects))
    reader.statements(function.body)
    return tuple(
        # A conditional step behind a question whether the name is there is guarded by it.
        replace(step, is_guarded=True)
        if step.is_conditional and step.name in reader.asked_for
        else step
        for step in reader.steps
    )


class _BodyReader:
    """Walks a body in the order of execution."""

    def __init__(self, subjects: frozenset[str]) -> None:
        self.steps: list[Step] = []
        self.asked_for: set[str] = set()
        self._subjects = set(subjects)
        self._conditions = 0
        self._may_have_returned = False
        self._guards = 0

    def statements(self, statements: Sequence[ast.stmt]) -> None:
        for statement in statements:
            self._statement(statement)

    def _conditionally(self, *parts: Sequence[ast.AST]) -> None:
        self._conditions += 1
        for part in parts:
            for node in part:
                self._any(node)
        self._conditions -= 1

    def _any(self, node: ast.AST) -> None:
        if isinstance(node, ast.stmt):
            self._statement(node)
        elif isinstance(node, ast.expr):
            self._expression(node)
        else:
            for child in ast.iter_child_nodes(node):
                self._any(child)

    def _statement(self, node: ast.stmt) -> None:
        match node:
            case ast.If() | ast.While():
                self._expression(node.test)
                self._branches(node.body, node.orelse)
            case ast.For() | ast.AsyncFor():
                self._expression(node.iter)
                self._branches([node.target, *node.body], node.orelse)
            case ast.Try() | ast.TryStar():
                self._try(node)
            case ast.Match():
                self._expression(node.subject)
                self._branches(*(case.body for case in node.cases))
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                for expression in (*node.decorator_list, *node.args.defaults):
                    self._expression(expression)
                before = self._may_have_returned
                self._conditionally(node.body)
                self._may_have_returned = before  # what it returns from is itself
            case ast.ClassDef():
                pass
            case ast.Assign():
                self._expression(node.value)
                for target in node.targets:
                    self._expression(target)
                    self._learn_alias(target, node.value)
            case ast.AnnAssign():
                if node.value is not None:
                    self._expression(node.value)
                    self._expression(node.target)
            case ast.AugAssign():
                if isinstance(node.target, ast.Attribute):
                    loaded = ast.Attribute(node.target.value, node.target.attr, ast.Load())
                    self._expression(loaded)
                self._expression(node.value)
                self._expression(node.target)
            case _:
                for child in ast.iter_child_nodes(node):
                    self._any(child)

    def _branches(self, *branches: Sequence[ast.AST]) -> None:
        self._conditionally(*branches)
        flat = [node for branch in branches for node in branch if isinstance(node, ast.stmt)]
        if returns(flat):
            self._may_have_returned = True

    def _try(self, node: ast.Try | ast.TryStar) -> None:
        guard = catches_absence(node.handlers)
        self._guards += guard
        self.statements(node.body)
        self._guards -= guard
        for handler in node.handlers:
            self._branches(handler.body)
        self.statements(node.orelse)
        self.statements(node.finalbody)

    def _learn_alias(self, target: ast.expr, value: ast.expr) -> None:
        """`model = cls(...)` makes `model` a name of the subject too."""
        if isinstance(target, ast.Name) and (
            self._is_subject(value)
            or (isinstance(value, ast.Call) and self._makes_subject(value.func))
        ):
            self._subjects.add(target.id)

    def _is_subject(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Name) and node.id in self._subjects

    def _is_class_of_subject(self, node: ast.expr) -> bool:
        """`self.__class__` or `type(self)`."""
        if isinstance(node, ast.Attribute):
            return node.attr == "__class__" and self._is_subject(node.value)
        return (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "type"
            and len(node.args) == 1
            and self._is_subject(node.args[0])
        )

    def _makes_subject(self, function: ast.expr) -> bool:
        is_class = isinstance(function, ast.Name) and function.id == "cls"
        return (is_class and self._is_subject(function)) or self._is_class_of_subject(function)

    def _owns(self, node: ast.expr) -> bool:
        return self._is_subject(node) or self._is_class_of_subject(node)

    def _add(
        self, kind: StepKind, name: str, *, call: ast.Call | None = None, skip: int = 0,
        owner: str = "", is_guarded: bool = False,
    ) -> None:  # fmt: skip
        arguments = call.args if call else []
        keywords = call.keywords if call else []
        starred = [isinstance(argument, ast.Starred) for argument in arguments]
        self.steps.append(
            Step(
                kind=kind,
                name=name,
                owner=owner,
                positional=max(0, starred.count(False) - skip),
                keywords=tuple(keyword.arg for keyword in keywords if keyword.arg is not None),
                has_star=any(starred),
                has_double_star=any(keyword.arg is None for keyword in keywords),
                is_conditional=self._conditions > 0,
                is_after_return=self._may_have_returned,
                is_guarded=is_guarded or self._guards > 0,
            )
        )

    def _expression(self, node: ast.expr) -> None:
        match node:
            case ast.Name() | ast.Constant():
                pass
            case ast.Call():
                self._call(node)
            case ast.Attribute():
                self._attribute(node)
            case ast.BoolOp():
                self._expression(node.values[0])
                self._conditionally(node.values[1:])
            case ast.IfExp():
                self._expression(node.test)
                self._conditionally([node.body, node.orelse])
            case ast.Lambda():
                self._conditionally([node.body])
            case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
                self._expression(node.generators[0].iter)
                rest = [part for each in node.generators for part in (each.target, *each.ifs)]
                rest += [each.iter for each in node.generators[1:]]
                results = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
                self._conditionally(rest, results)
            case ast.Subscript():
                self._expression(node.value)
                self._expression(node.slice)
                if self._is_subject(node.value):
                    name = {ast.Load: "__getitem__", ast.Store: "__setitem__"}.get(type(node.ctx))
                    self._add("call", name or "__delitem__")
            case _:
                for child in ast.iter_child_nodes(node):
                    self._any(child)

    def _attribute(self, node: ast.Attribute) -> None:
        if self._owns(node.value):
            if isinstance(node.ctx, ast.Load) and node.attr not in EVERYWHERE:
                self._add("read", node.attr)
            elif isinstance(node.ctx, ast.Store):
                self._add("set", node.attr)
            return
        if is_super(node.value):
            self._add("read", node.attr)
            return
        self._expression(node.value)
        if owner := config_name(node.value):
            if isinstance(node.ctx, ast.Load):
                self._add("config", node.attr, owner=owner)
            elif isinstance(node.ctx, ast.Store):
                self._add("config_set", node.attr, owner=owner)

    def _call(self, node: ast.Call) -> None:
        function = node.func
        if isinstance(function, ast.Name) and self._builtin(function.id, node):
            return
        called_on = function.value if isinstance(function, ast.Attribute) else None
        owned = called_on is not None and self._owns(called_on)
        by_super = called_on is not None and not owned and is_super(called_on)
        owner = config_name(called_on) if called_on is not None else None
        if called_on is None and not self._is_class_of_subject(function):
            self._expression(function)
        elif called_on is not None and not owned and not by_super:
            self._expression(called_on)
        for argument in node.args:
            self._expression(argument)
        for keyword in node.keywords:
            self._expression(keyword.value)
        if isinstance(function, ast.Attribute):
            if owned:
                self._add("call", function.attr, call=node)
                if function.attr in REGISTRARS and node.args:
                    self._add("set", literal_text(node.args[0]) or ANY_NAME)
            elif by_super:
                self._add("super_call", function.attr, call=node)
            elif owner:
                self._add("config_call", function.attr, call=node, owner=owner)
            elif self._is_unbound(function, node):
                self._add("super_call", function.attr, call=node, skip=1)
        elif self._makes_subject(function):
            self._add("call", "__init__", call=node)
        elif self._is_subject(function):
            self._add("call", "__call__", call=node)

    def _is_unbound(self, function: ast.Attribute, node: ast.Call) -> bool:
        """`Base.method(self, ...)`."""
        named = isinstance(function.value, ast.Name) and function.value.id[:1].isupper()
        return named and bool(node.args) and self._is_subject(node.args[0])

    def _builtin(self, name: str, node: ast.Call) -> bool:
        """Add the steps of len, hasattr, getattr and setattr; whether it was one of them."""
        if not node.args or name not in ("len", "hasattr", "getattr", "setattr"):
            return False
        owned, owner = self._owns(node.args[0]), config_name(node.args[0])
        if name == "len":
            if owned:
                self._add("len", "__len__")
            return owned
        attribute = literal_text(node.args[1]) if len(node.args) > 1 else None
        if not (owned or owner):
            return False
        if attribute is None:
            if name == "setattr" and owned:
                self._add("set", ANY_NAME)
            return False
        for argument in (*([] if owned else node.args[:1]), *node.args[2:]):
            self._expression(argument)
        if name == "setattr":
            kind: StepKind = "set" if owned else "config_set"
            self._add(kind, attribute, owner="" if owned else owner or "")
            return True
        if name == "hasattr":
            self.asked_for.add(attribute)
        is_guarded = name == "hasattr" or len(node.args) > 2
        if owned:
            self._add("read", attribute, is_guarded=is_guarded)
        else:
            self._add("config", attribute, owner=owner or "", is_guarded=is_guarded)
        return True
