"""The model's own files importing each other in a circle."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from trueup.checkpoint.checkpoint import RemoteModule
from trueup.doctor.finding import Finding, Where
from trueup.doctor.message import Message
from trueup.doctor.rule import Facts, Rule
from trueup.doctor.rules.directory import WITH_REMOTE_CODE


class CircularImport(Rule):
    """Two Python files of the model import each other, and one needs a name too early.

    Python says `cannot import name 'Model' from partially initialized module`.

    Move the import into the function that needs it, or the shared names into a file of their own.
    """

    code = "DIR119"
    messages = (
        Message(
            patterns=(r"cannot import name '?(?P<name>\w+)'? from partially initialized module",),
        ),
    )
    stage = "import"
    evidence = "index"
    blocks = WITH_REMOTE_CODE

    def check(self, facts: Facts) -> Iterable[Finding]:
        seen: set[str] = set()
        auto_map = facts.checkpoint.auto_map
        # The config's class is loaded first; from there a circle is entered at one place.
        for auto_class in sorted(auto_map, key=lambda each: each != "AutoConfig"):
            start = f"{auto_map[auto_class].partition('.')[0]}.py"
            for met in _Run(facts.checkpoint.remote_code).of(start):
                if seen & {met.path, met.source}:
                    continue
                seen |= {met.path, met.source}
                yield self.found(
                    f"`{met.name}` is imported from `{met.source}`, which is still being imported "
                    f"and has not defined it: `{met.source}` imports `{met.path}` first",
                    where=Where(path=met.path, line=met.line),
                    hint=f"import `{met.name}` inside the function that needs it",
                )


BRANCHED = (ast.If, ast.Try, ast.With, ast.For, ast.While, ast.ExceptHandler)


@dataclass(frozen=True, slots=True)
class _Early:
    path: str
    line: int
    name: str
    source: str


@dataclass(slots=True)
class _Run:
    """Follows what importing runs, statement by statement, as far as names tell."""

    modules: Mapping[str, RemoteModule]
    defined: dict[str, set[str]] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)

    def of(self, path: str) -> Iterator[_Early]:
        """The names that are asked for too early when `path` is imported."""
        module = self.modules.get(path)
        if module is None or module.tree is None or path in self.defined:
            return
        names = self.defined[path] = set()
        for statement in module.tree.body:
            if isinstance(statement, ast.ImportFrom) and statement.level == 1:
                yield from self._import(path, statement)
            names |= set(_bound(statement))
        self.done.add(path)

    def _import(self, path: str, statement: ast.ImportFrom) -> Iterator[_Early]:
        folder = path.rpartition("/")[0]
        start = f"{folder}/" if folder else ""
        if statement.module is None:
            for alias in statement.names:
                yield from self.of(f"{start}{alias.name}.py")
            return
        source = f"{start}{statement.module.replace('.', '/')}.py"
        yield from self.of(source)
        known = self.defined.get(source)
        if known is None or source in self.done:
            return
        for alias in statement.names:
            if alias.name != "*" and alias.name not in known:
                yield _Early(path, statement.lineno, alias.name, source)
                return


def _bound(statement: ast.stmt) -> Iterator[str]:
    """The names that a statement of a module binds; in a branch or a `try`, those of any part."""
    for node in [statement, *_inner(statement)]:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                yield alias.asname or alias.name.partition(".")[0]
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.For):
            for part in ast.walk(node):
                if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                    yield part.id


def _inner(statement: ast.stmt) -> Iterator[ast.stmt]:
    """The statements in a statement's branches; a chain of `elif` is deep, so no recursion."""
    pending: list[ast.AST] = [statement]
    while pending:
        current = pending.pop()
        if isinstance(current, BRANCHED):
            inner = [
                node
                for node in ast.iter_child_nodes(current)
                if isinstance(node, ast.stmt | ast.ExceptHandler)
            ]
            yield from (node for node in inner if isinstance(node, ast.stmt))
            pending += inner


RULES: tuple[Rule, ...] = (CircularImport(),)
