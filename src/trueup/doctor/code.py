"""What a model's own code says: its classes, what they define, and where things stand.

Reads the parsed modules of a checkpoint. Names are followed within those modules only: a base
class of the library is a name and nothing more.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from trueup.checkpoint.checkpoint import Checkpoint, RemoteModule
from trueup.doctor.finding import Where

Function = ast.FunctionDef | ast.AsyncFunctionDef
MODEL_AUTO_CLASSES = ("AutoModelForCausalLM", "AutoModel", "AutoModelForSeq2SeqLM")
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
        for node in ast.walk(module.tree) if module and module.tree else ():
            if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module:
                for alias in node.names:
                    if (alias.asname or alias.name) == name:
                        return self._classes.get((f"{node.module}.py", alias.name))
        return None

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

    def attribute_map(self, start: CodeClass | None) -> set[str]:
        """The standard names that the config class maps onto its own."""
        for owner in self.ancestry(start):
            for statement in owner.node.body:
                if _assigned_names(statement) == ["attribute_map"]:
                    value = getattr(statement, "value", None)
                    keys = value.keys if isinstance(value, ast.Dict) else []
                    return {
                        key.value
                        for key in keys
                        if isinstance(key, ast.Constant) and isinstance(key.value, str)
                    }
        return set()


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


def is_self_attribute(node: ast.AST, name: str) -> bool:
    """Whether `node` is `self.<name>`."""
    return (
        isinstance(node, ast.Attribute)
        and node.attr == name
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    )


def is_super_init(node: ast.AST) -> bool:
    """Whether `node` is a call of `super().__init__`."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "__init__"
        and isinstance(node.func.value, ast.Call)
        and isinstance(node.func.value.func, ast.Name)
        and node.func.value.func.id == "super"
    )


def accepts(function: Function, keyword: str) -> bool:
    """Whether the function can be called with `keyword`."""
    arguments = function.args
    names = [argument.arg for argument in (*arguments.args, *arguments.kwonlyargs)]
    return arguments.kwarg is not None or keyword in names


def first(root: ast.AST, wanted: Callable[[ast.AST], bool]) -> ast.AST | None:
    """The first node in the order of the source for which `wanted` holds."""
    found = [node for node in ast.walk(root) if wanted(node)]
    return min(found, key=lambda node: getattr(node, "lineno", 0), default=None)
