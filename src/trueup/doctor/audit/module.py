"""The audit of one file: every use of what is watched, with its line and when it runs."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from trueup.checkpoint.checkpoint import RemoteModule
from trueup.doctor.audit.alarm import KINDS, Alarm, Kind
from trueup.doctor.audit.disguise import Disguises, disguised_text
from trueup.doctor.audit.kinds import EXACT, IMPORT_STATE, MODULES, is_shared, watched_kind
from trueup.doctor.audit.names import Names, constant_text
from trueup.doctor.audit.reach import reaching_call
from trueup.doctor.audit.watched import (
    BACK_DOORS,
    NAMED,
    SAVING,
    SECRET_PATH,
    SECRET_VARIABLE,
    UNBROKEN,
    UNREADABLE_CHARACTERS,
)

Function = ast.FunctionDef | ast.AsyncFunctionDef
Found = tuple[Kind, str, int]
# Where the audit stops counting: such a file is read by nobody anyway.
ALARM_LIMIT = 1000
# Published model code has a tenth of it at most.
NODE_LIMIT = 200_000


@dataclass(frozen=True, slots=True)
class _Place:
    function: str | None = None
    is_saving: bool = False
    is_script: bool = False


def audit_module(module: RemoteModule) -> tuple[Alarm, ...]:
    """The alarms of a file, in the order of its lines; none for one that does not parse."""
    found: dict[tuple[Kind, str, int], Alarm] = {}
    for (kind, what, line), place in _every_alarm(module):
        if len(found) == ALARM_LIMIT:
            break
        if (place.is_script and kind != "obfuscated") or (place.is_saving and kind == "writes"):
            continue
        alarm = Alarm(kind=kind, what=what, path=module.path, line=line, function=place.function)
        found.setdefault((kind, what, line), alarm)
    return tuple(sorted(found.values(), key=lambda each: (each.line, KINDS.index(each.kind))))


def _every_alarm(module: RemoteModule) -> Iterator[tuple[Found, _Place]]:
    for found in disguised_text(module.source):
        yield found, _Place()
    if module.tree is None:
        return
    nodes = module.nodes[:NODE_LIMIT]
    if len(nodes) == NODE_LIMIT:
        yield ("hidden", "more code than an audit looks into", 1), _Place()
        return
    names = Names(nodes)
    for star, line in names.stars:
        if star in MODULES or any(name.startswith(f"{star}.") for name in EXACT):
            yield ("imports", f"`from {star} import *`", line), _Place()
    has_own_name = any(
        isinstance(node, ast.Name) and node.id == "__name__" and isinstance(node.ctx, ast.Store)
        for node in nodes
    )
    for choice in range(names.variants):
        chosen = Names(nodes, choice) if choice else names
        judge = _Judge(chosen, Disguises(nodes, chosen))
        yield from _walk(module.tree, judge, has_own_name)


def _walk(tree: ast.Module, judge: _Judge, has_own_name: bool) -> Iterator[tuple[Found, _Place]]:
    pending: list[tuple[ast.AST, _Place]] = [(tree, _Place())]
    while pending:
        node, place = pending.pop()
        for found in judge.alarms(node):
            yield found, place
        pending += [
            (child, _place_of(child, node, place, has_own_name))
            for child in reversed(list(ast.iter_child_nodes(node)))
            if not _is_docstring(child)
        ]


def _place_of(child: ast.AST, parent: ast.AST, place: _Place, has_own_name: bool) -> _Place:
    if isinstance(parent, Function | ast.Lambda):
        is_inside = child in parent.body if isinstance(parent, Function) else child is parent.body
        name = getattr(parent, "name", "lambda")
        if is_inside:  # defaults and decorators run where the function is defined
            is_saving = place.is_saving or SAVING.match(name) is not None
            return _Place(name, is_saving, place.is_script)
    if isinstance(parent, ast.If) and _asks_for_main(parent.test) and not has_own_name:
        return _Place(place.function, place.is_saving, child in parent.body)
    return place


def _asks_for_main(test: ast.expr) -> bool:
    return (
        isinstance(test, ast.Compare)
        and isinstance(test.left, ast.Name)
        and test.left.id == "__name__"
        and isinstance(test.ops[0], ast.Eq)
        and constant_text(test.comparators[0]) == "__main__"
    )


def _is_docstring(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


class _Judge:
    def __init__(self, names: Names, disguises: Disguises) -> None:
        self.names = names
        self.disguises = disguises
        self.called: set[int] = set()

    def alarms(self, node: ast.AST) -> Iterator[Found]:
        if isinstance(node, ast.Call):
            self.called.add(id(node.func))
            yield from self._of_call(node)
        elif isinstance(node, ast.Attribute | ast.Name):
            yield from self._of_reference(node)
        elif isinstance(node, ast.Subscript):
            yield from self._of_subscript(node)
        elif isinstance(node, ast.Constant):
            yield from _of_text(node)

    def _of_call(self, node: ast.Call) -> Iterator[Found]:
        name = self.names.meaning(node.func)
        reached = (*self.disguises.of_call(node, name), *reaching_call(node, name, self.names))
        for kind, what in reached:
            yield kind, what, node.lineno
        watched = None if name is None else watched_kind(name)
        if watched is not None:
            yield watched, f"`{name}`", node.lineno

    def _of_reference(self, node: ast.Attribute | ast.Name) -> Iterator[Found]:
        if isinstance(node, ast.Attribute) and node.attr in BACK_DOORS:
            yield "evaluates", f"`{node.attr}`", node.lineno
        if id(node) in self.called:
            return
        name = self.names.meaning(node)
        if name is None:
            return
        if isinstance(node.ctx, ast.Load):
            kind = watched_kind(name)
            if (kind in NAMED and not isinstance(node, ast.Name)) or name in ("exec", "eval"):
                yield kind or "evaluates", f"`{name}`", node.lineno
        elif name.startswith(IMPORT_STATE) or (isinstance(node, ast.Attribute) and is_shared(name)):
            yield "imports", f"`{name}` is replaced", node.lineno

    def _of_subscript(self, node: ast.Subscript) -> Iterator[Found]:
        base = self.names.meaning(node.value)
        key = constant_text(node.slice)
        if base == "os.environ" and key is not None and SECRET_VARIABLE.search(key):
            yield "secrets", f"the variable `{key[:60]}`", node.lineno
        if base == "sys.modules" and not isinstance(node.ctx, ast.Load):
            yield "imports", "`sys.modules` is changed", node.lineno


def _of_text(node: ast.Constant) -> Iterator[Found]:
    text = node.value
    if isinstance(text, bytes):
        text = text.decode("latin-1")
    if not isinstance(text, str):
        return
    if len(text) <= 200 and SECRET_PATH.search(text):
        yield "secrets", f"the path `{text[:60]!r}`", node.lineno
    if len(text) >= UNREADABLE_CHARACTERS and any(
        len(run) >= UNREADABLE_CHARACTERS for run in UNBROKEN.findall(text)
    ):
        yield "hidden", f"a string of {len(text):,} characters", node.lineno
