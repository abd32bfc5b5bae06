"""What a model's own code says: its classes, what they define, and where things stand.

Reads the parsed modules of a checkpoint. Names are followed within those modules only: a base
class of the library is a name and nothing more.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from trueup.checkpoint.checkpoint import Checkpoint, RemoteModule
from trueup.doctor.finding import Where
from trueup.doctor.walk.stages import MODEL_AUTO_CLASSES

Function = ast.FunctionDef | ast.AsyncFunctionDef
CHAIN_LIMIT = 20


@dataclass(frozen=True, slots=True)
class CodeClass:
    """A class of the model's own code and the module that it is in."""

    module: RemoteModule
    node: ast.ClassDef

    @property
    def name(self) -> str:
        """The class's name."""
        return self.node.name

    def at(self, node: ast.AST) -> Where:
        """The place of `node`, which is in this class's module."""
        return Where(path=self.module.path, line=getattr(node, "lineno", None))


@dataclass(frozen=True, slots=True)
class Method:
    """A function of a class, with the class that defines it."""

    owner: CodeClass
    node: Function

    def at(self, node: ast.AST | None = None) -> Where:
        """The place of `node`, or of the definition."""
        return self.owner.at(self.node if node is None else node)


class ModelCode:
    """The classes of a checkpoint's remote code, by the roles that `auto_map` gives them."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.modules: Mapping[str, RemoteModule] = checkpoint.remote_code
        self._classes = {
            (module.path, node.name): CodeClass(module, node)
            for module in self.modules.values()
            if module.tree is not None
            for node in module.tree.body
            if isinstance(node, ast.ClassDef)
        }
        auto_map = checkpoint.auto_map
        self.config = self._named(auto_map.get("AutoConfig"))
        self.tokenizer = self._named(auto_map.get("AutoTokenizer"))
        self.model = next(
            (
                found
                for auto_class in MODEL_AUTO_CLASSES
                if (found := self._named(auto_map.get(auto_class))) is not None
            ),
            None,
        )

    def _named(self, reference: str | None) -> CodeClass | None:
        if reference is None or "--" in reference:
            return None
        module, _, name = reference.partition(".")
        return self._find(f"{module}.py", name)

    def _find(self, path: str, name: str) -> CodeClass | None:
        """The class called `name` in the module, or in one that it is imported from."""
        found = self._classes.get((path, name))
        if found is not None:
            return found
        module = self.modules.get(path)
        taken = _taken_names(module).get(name) if module else None
        return self._classes.get(taken) if taken is not None else None

    def ancestry(self, start: CodeClass | None) -> list[CodeClass]:
        """The class and its bases within the model's own code, nearest first."""
        found: list[CodeClass] = []
        pending = [start] if start is not None else []
        while pending and len(found) < CHAIN_LIMIT:
            current = pending.pop(0)
            if current in found:
                continue
            found.append(current)
            for base in current.node.bases:
                name = base.id if isinstance(base, ast.Name) else None
                parent = self._find(current.module.path, name) if name else None
                if parent is not None:
                    pending.append(parent)
        return found

    def method(self, start: CodeClass | None, name: str) -> Method | None:
        """The method that an instance of `start` would run, if the model's own code has it."""
        for owner in self.ancestry(start):
            for node in owner.node.body:
                if isinstance(node, Function) and node.name == name:
                    return Method(owner, node)
        return None

    def defined(self, qualified: str) -> Where:
        """Where the class `qualified` is defined, or the method of it; nowhere for neither."""
        class_name, _, method = qualified.partition(".")
        for (_, name), owner in self._classes.items():
            if name == class_name:
                found = self.method(owner, method) if method else None
                return found.at() if found is not None else owner.at(owner.node)
        return Where()

    def defined_by(self, class_name: str, wanted: Callable[[ast.AST], bool]) -> Where:
        """The first node that is wanted in the class of that name, else the class itself."""
        for (_, name), owner in self._classes.items():
            if name == class_name:
                return owner.at(first(owner.node, wanted) or owner.node)
        return Where()

    def imported(self, package: str) -> Where:
        """The first import of a package, in any module."""
        for path, module in self.modules.items():
            found = _first_of(module.nodes, lambda node: _imports(node, package))
            if found is not None:
                return Where(path=path, line=getattr(found, "lineno", None))
        return Where()

    def taken(self, file: str) -> Where:
        """The first import of one of the model's own files, there or not."""
        name = file.removesuffix(".py").replace("/", ".")
        for path, module in self.modules.items():
            for node in module.nodes:
                if isinstance(node, ast.ImportFrom) and node.level:
                    names = [node.module] if node.module else [each.name for each in node.names]
                    if any(each and name.endswith(each) for each in names):
                        return Where(path=path, line=node.lineno)
        return Where(path=file)

    def speaks_of(self, word: str) -> bool:
        """Whether any module has the word in it; to look closer costs more."""
        return any(word in module.source for module in self.modules.values())

    def methods_of_modeling(self) -> Iterator[Method]:
        """Every method in the modules that the model class and its bases are in."""
        paths = {owner.module.path for owner in self.ancestry(self.model)}
        for (path, _), owner in self._classes.items():
            if path in paths:
                for node in owner.node.body:
                    if isinstance(node, Function):
                        yield Method(owner, node)

    def assigns(self, start: CodeClass | None, attribute: str) -> bool:
        """Whether the class or a base of its own code defines `attribute`, in any way."""
        return any(_defines(owner.node, attribute) for owner in self.ancestry(start))


@functools.lru_cache(maxsize=256)
def _taken_names(module: RemoteModule) -> Mapping[str, tuple[str, str]]:
    """Names that a module takes from another of the model's own: its file, and the name there."""
    return {
        alias.asname or alias.name: (f"{node.module}.py", alias.name)
        for node in module.nodes
        if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module
        for alias in node.names
    }


def _defines(node: ast.ClassDef, attribute: str) -> bool:
    for statement in node.body:
        if isinstance(statement, Function):
            if statement.name == attribute:
                return True
            for inner in ast.walk(statement):
                if is_self_attribute(inner, attribute) and isinstance(
                    getattr(inner, "ctx", None), ast.Store
                ):
                    return True
        elif attribute in _assigned_names(statement):
            return True
    return False


def _assigned_names(statement: ast.stmt) -> list[str]:
    targets: list[ast.expr] = []
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
        targets = [statement.target]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _imports(node: ast.AST, package: str) -> bool:
    if isinstance(node, ast.Import):
        return any(alias.name.partition(".")[0] == package for alias in node.names)
    is_from = isinstance(node, ast.ImportFrom) and not node.level
    return is_from and (getattr(node, "module", None) or "").partition(".")[0] == package


def is_self_attribute(node: ast.AST, name: str) -> bool:
    """Whether `node` is `self.<name>`."""
    return (
        isinstance(node, ast.Attribute)
        and node.attr == name
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    )


def first(root: ast.AST, wanted: Callable[[ast.AST], bool]) -> ast.AST | None:
    """The first node in the order of the source for which `wanted` holds."""
    return _first_of(_nodes_of(root), wanted)


@functools.lru_cache(maxsize=512)
def _nodes_of(root: ast.AST) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(root))  # which several rules ask for on every release


def _first_of(nodes: Iterable[ast.AST], wanted: Callable[[ast.AST], bool]) -> ast.AST | None:
    found = [node for node in nodes if wanted(node)]
    return min(found, key=lambda node: getattr(node, "lineno", 0), default=None)
