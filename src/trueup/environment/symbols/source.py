"""A module's source as facts. Pure: text in, facts out; no other file is read."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Sequence

from trueup.environment.symbols.definition import (
    dotted_source,
    literal,
    read_class,
    read_function,
)
from trueup.environment.symbols.facts import (
    ClassFacts,
    Export,
    ExportKind,
    FunctionFacts,
    ModuleFacts,
)
from trueup.environment.symbols.lazy import (
    FAST_IMAGE_ALIAS,
    FAST_IMAGES,
    ImportTables,
    extra_names,
    is_replaced,
)

# What ast makes of text that is no Python, of zero bytes and of nesting without end.
UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError)


def read_module(
    source: bytes, name: str, *, is_package: bool, with_bodies: bool = True
) -> ModuleFacts | None:
    """The facts of the module `name`, None where its source cannot be parsed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
        reader = _ModuleReader(name, is_package, with_bodies)
        reader.run(tree, source)
    except UNREADABLE:
        return None
    return reader.facts()


class _ModuleReader:
    """What the statements of a module bind, in their order."""

    def __init__(self, name: str, is_package: bool, with_bodies: bool) -> None:
        self._name = name
        self._is_package = is_package
        self._with_bodies = with_bodies
        self._exports: dict[str, Export] = {}
        self._classes: dict[str, ClassFacts] = {}
        self._functions: dict[str, FunctionFacts] = {}
        self._values: dict[str, str | None] = {}
        self._stars: list[str] = []
        self._public: list[str] | None = None
        self._tables = ImportTables()
        self._replaced: ast.Call | None = None
        self._is_second_branch = False
        self._has_fast_images = False
        self._for_typing: list[ast.ImportFrom] = []

    def run(self, tree: ast.Module, source: bytes) -> None:
        sure = self._block(tree.body) or set()
        self._has_fast_images = FAST_IMAGE_ALIAS.search(source) is not None
        if "__getattr__" in self._functions:
            # The names that it answers for are told to type checkers.
            self._is_second_branch = True
            for node in self._for_typing:
                sure |= self._import(node)
        for name, export in self._exports.items():
            if name not in sure:
                self._exports[name] = Export(kind=export.kind, target=export.target, guarded=True)

    def facts(self) -> ModuleFacts:
        if self._replaced is not None:
            return self._lazy_facts(self._replaced)
        return ModuleFacts(
            name=self._name,
            is_package=self._is_package,
            exports=self._exports,
            classes=self._classes,
            functions=self._functions,
            values=self._values,
            stars=tuple(dict.fromkeys(self._stars)),
            public=None if self._public is None else tuple(self._public),
        )

    def _lazy_facts(self, call: ast.Call) -> ModuleFacts:
        """A lazy module has what its tables say, and nothing that its source binds."""
        exports: dict[str, Export] = {}
        for submodule, names in self._tables.submodules.items():
            for name in names:
                exports[name] = Export(kind="import", target=f"{self._name}.{submodule}.{name}")
        values = dict.fromkeys(extra_names(call))
        for name in values:
            exports[name] = Export(kind="value")
        trees: tuple[str, ...] = ()
        if self._tables.is_collected:
            trees = (".".join(filter(None, (self._name, self._tables.collected_folder))),)
        aliases = {
            f"{self._name}.{old}": f"{self._name}.{new}"
            for old, new in self._tables.aliases.items()
        }
        if self._has_fast_images:
            aliases[FAST_IMAGES] = ""
        return ModuleFacts(
            name=self._name,
            is_package=True,
            exports=exports,
            values={name: self._values.get(name) for name in values},
            is_lazy=True,
            trees=trees,
            aliases=aliases,
        )

    def _block(self, statements: Sequence[ast.stmt]) -> set[str] | None:
        """Names that are surely bound after the statements; None where they end in a raise."""
        sure: set[str] = set()
        for node in statements:
            bound = self._statement(node)
            if bound is None:
                return None
            sure |= bound
        return sure

    def _statement(self, node: ast.stmt) -> set[str] | None:
        self._tables.note(node)
        match node:
            case ast.Import() | ast.ImportFrom():
                return self._import(node)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                self._functions[node.name] = read_function(
                    node, in_class=False, with_body=self._with_bodies
                )
                return self._bind(node.name, "function")
            case ast.ClassDef():
                self._classes[node.name] = read_class(
                    node, self._name, self._full_name, with_bodies=self._with_bodies
                )
                return self._bind(node.name, "class")
            case ast.Assign():
                self._replaced = is_replaced(node) or self._replaced
                bound: set[str] = set()
                for target in node.targets:
                    bound |= self._assign(target, node.value)
                return bound
            case ast.AnnAssign():
                return set() if node.value is None else self._assign(node.target, node.value)
            case ast.AugAssign():
                self._extend_public(node.target, node.value)
            case ast.If():
                return self._if(node)
            case ast.Try() | ast.TryStar():
                return self._try(node)
            case ast.With():
                return self._block(node.body)
            case ast.For() | ast.While():
                self._block(node.body)
            case ast.Raise():
                return None
        return set()

    def _if(self, node: ast.If) -> set[str] | None:
        test = dotted_source(node.test)
        if test in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            self._for_typing += [part for part in node.body if isinstance(part, ast.ImportFrom)]
            return self._block(node.orelse)
        first = self._block(node.body)
        second = self._later(node.orelse)
        return _both(first, second)

    def _try(self, node: ast.Try | ast.TryStar) -> set[str] | None:
        if _is_absence_of_backend(node.handlers):
            # The body raises where a backend is missing: the else branch is what it gives.
            return self._block(node.orelse)
        sure = self._block([*node.body, *node.orelse])
        for handler in node.handlers:
            sure = _both(sure, self._later(handler.body))
        final = self._block(node.finalbody)
        return None if sure is None or final is None else sure | final

    def _later(self, statements: Sequence[ast.stmt]) -> set[str] | None:
        """A branch that is not the first: it binds only what the first one did not."""
        before, self._is_second_branch = self._is_second_branch, True
        sure = self._block(statements)
        self._is_second_branch = before
        return sure

    def _bind(self, name: str, kind: ExportKind, target: str | None = None) -> set[str]:
        if not (self._is_second_branch and name in self._exports):
            self._exports[name] = Export(kind=kind, target=target)
        return {name}

    def _assign(self, target: ast.expr, value: ast.expr) -> set[str]:
        if isinstance(target, (ast.Tuple, ast.List)):
            bound: set[str] = set()
            for item in target.elts:
                bound |= self._assign(item, ast.Constant(...))
            return bound
        if not isinstance(target, ast.Name):
            return set()
        name = target.id
        if name == "__all__":
            self._public = []
            self._extend_public(target, value)
        known = self._exports.get(name)
        if known is not None and known.kind in ("class", "function"):
            return {name}  # wrapped in place, such as `Layer = register(Layer)`
        source = dotted_source(value)
        head = source.partition(".")[0] if source else ""
        if source and head != name and head in self._exports:
            return self._bind(name, "import", self._full_name(value))
        self._values[name] = literal(value)
        return self._bind(name, "value")

    def _extend_public(self, target: ast.expr, value: ast.expr) -> None:
        if not (isinstance(target, ast.Name) and target.id == "__all__"):
            return
        if self._public is not None and isinstance(value, (ast.List, ast.Tuple)):
            self._public += [
                item.value
                for item in value.elts
                if isinstance(item, ast.Constant) and isinstance(item.value, str)
            ]

    def _import(self, node: ast.Import | ast.ImportFrom) -> set[str]:
        bound: set[str] = set()
        if isinstance(node, ast.Import):
            for alias in node.names:
                name = alias.asname or alias.name.partition(".")[0]
                target = alias.name if alias.asname else name
                bound |= self._bind(name, "import", target)
            return bound
        module = self._absolute(node)
        for alias in node.names:
            if alias.name == "*":
                self._stars.append(module)
            else:
                bound |= self._bind(alias.asname or alias.name, "import", f"{module}.{alias.name}")
        return bound

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = self._name.split(".")
        drop = node.level - 1 if self._is_package else node.level
        kept = parts[: len(parts) - drop] if drop else parts
        return ".".join([*kept, *([node.module] if node.module else [])])

    def _full_name(self, node: ast.expr) -> str:
        """The full name of a base or an alias; its source where it is no name."""
        source = dotted_source(node)
        if source is None:
            return ast.unparse(node)[:120]
        head, dot, rest = source.partition(".")
        export = self._exports.get(head)
        if export is None:
            return source
        return (export.target or f"{self._name}.{head}") + dot + rest


def _both(first: set[str] | None, second: set[str] | None) -> set[str] | None:
    """What two branches surely bind together; a branch that raises does not count."""
    if first is None or second is None:
        return second if first is None else first
    return first & second


def _is_absence_of_backend(handlers: Sequence[ast.ExceptHandler]) -> bool:
    return any(
        handler.type is not None and dotted_source(handler.type) == "OptionalDependencyNotAvailable"
        for handler in handlers
    )
