"""Functions and classes of a syntax tree as facts. Pure."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence

from trueup.environment.symbols.body import read_steps
from trueup.environment.symbols.expression import Function, is_abstract, literal_text
from trueup.environment.symbols.facts import (
    ClassFacts,
    FunctionFacts,
    FunctionKind,
    Parameter,
    ParameterKind,
)

LITERAL_CHARACTERS = 80
# The name of the model in functions and static methods that are given one.
MODEL_NAME = "model"
# Takes a parameter's old name too.
RENAMES_PARAMETER = "deprecate_kwarg"

Resolver = Callable[[ast.expr], str]


def literal(node: ast.expr | None) -> str | None:
    """The source of a short literal (a constant, or a display of constants), else None."""
    if node is None or not _is_literal(node):
        return None
    text = repr(node.value) if isinstance(node, ast.Constant) else ast.unparse(node)
    return text if len(text) <= LITERAL_CHARACTERS else None


def _is_literal(node: ast.expr) -> bool:
    match node:
        case ast.Constant():
            return True
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant()):
            return True
        case ast.Tuple() | ast.List() | ast.Set():
            return all(_is_literal(item) for item in node.elts)
        case ast.Dict():
            keys = [key for key in node.keys if key is not None]
            return len(keys) == len(node.keys) and all(map(_is_literal, [*keys, *node.values]))
    return False


def dotted_source(node: ast.expr) -> str | None:
    """`a.b.c` as written, None for anything else."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return None
    return ".".join([node.id, *reversed(parts)])


def read_parameters(arguments: ast.arguments) -> tuple[Parameter, ...]:
    """The parameters in the order of the signature."""
    places = [*arguments.posonlyargs, *arguments.args]
    missing = len(places) - len(arguments.defaults)
    found: list[Parameter] = []
    for index, argument in enumerate(places):
        kind: ParameterKind = (
            "positional_only" if index < len(arguments.posonlyargs) else "positional"
        )
        default = arguments.defaults[index - missing] if index >= missing else None
        found.append(_parameter(argument.arg, kind, default))
    if arguments.vararg:
        found.append(Parameter(name=arguments.vararg.arg, kind="star"))
    for argument, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        found.append(_parameter(argument.arg, "keyword", value))
    if arguments.kwarg:
        found.append(Parameter(name=arguments.kwarg.arg, kind="double_star"))
    return tuple(found)


def _parameter(name: str, kind: ParameterKind, default: ast.expr | None) -> Parameter:
    return Parameter(
        name=name, kind=kind, has_default=default is not None, default=literal(default)
    )


def read_function(node: Function, *, in_class: bool, with_body: bool = True) -> FunctionFacts:
    """One function; `in_class` makes it a method."""
    decorators = _decorators(node.decorator_list)
    kind = _kind(decorators) if in_class else "function"
    parameters = read_parameters(node.args)
    return FunctionFacts(
        name=node.name,
        parameters=parameters,
        kind=kind,
        is_abstract=is_abstract(node),
        decorators=decorators,
        steps=read_steps(node, _subjects(kind, parameters)) if with_body else (),
    )


def _subjects(kind: FunctionKind, parameters: Sequence[Parameter]) -> list[str]:
    names = [parameter.name for parameter in parameters]
    subjects = names[:1] if kind in ("method", "class", "property", "cached_property") else []
    if kind in ("function", "static", "class") and MODEL_NAME in names:
        subjects.append(MODEL_NAME)
    return subjects


def _kind(decorators: Sequence[str]) -> FunctionKind:
    for name in decorators:
        last = name.rpartition(".")[2]
        if last == "staticmethod":
            return "static"
        if last == "classmethod":
            return "class"
        if last in ("cached_property", "lazy_property"):
            return "cached_property"
        if last.endswith("property"):
            return "property"
    return "method"


def _decorators(nodes: Sequence[ast.expr]) -> tuple[str, ...]:
    """Names of decorators; `deprecate_kwarg:old` tells which parameter is still taken."""
    found: list[str] = []
    for node in nodes:
        name = dotted_source(node.func if isinstance(node, ast.Call) else node)
        if name is None or "docstring" in name:
            continue
        if name == RENAMES_PARAMETER and isinstance(node, ast.Call) and node.args:
            name += f":{literal_text(node.args[0])}"
        found.append(name)
    return tuple(found)


def read_class(
    node: ast.ClassDef, module: str, resolve: Resolver, *, with_bodies: bool = True
) -> ClassFacts:
    """One class; `resolve` makes the full name of a base."""
    body = _ClassBody(with_bodies)
    body.statements(node.body)
    metaclass = next((word.value for word in node.keywords if word.arg == "metaclass"), None)
    return ClassFacts(
        name=node.name,
        module=module,
        bases=tuple(
            resolve(base.value if isinstance(base, ast.Subscript) else base) for base in node.bases
        ),
        attributes=body.attributes,
        fields=tuple(body.fields),
        methods=body.methods,
        decorators=_decorators(node.decorator_list),
        metaclass=resolve(metaclass) if metaclass is not None else None,
    )


class _ClassBody:
    """What the statements of a class body bind."""

    def __init__(self, with_bodies: bool) -> None:
        self.attributes: dict[str, str | None] = {}
        self.fields: list[str] = []
        self.methods: dict[str, FunctionFacts] = {}
        self._with_bodies = with_bodies

    def statements(self, statements: Sequence[ast.stmt]) -> None:
        for node in statements:
            match node:
                case ast.FunctionDef() | ast.AsyncFunctionDef():
                    self._method(node)
                case ast.ClassDef():
                    self.attributes[node.name] = None
                case ast.Assign():
                    for target in node.targets:
                        self._assign(target, node.value)
                case ast.AnnAssign():
                    self._annotated(node)
                case ast.If():
                    self.statements(node.body)
                    self.statements(node.orelse)
                case ast.Try() | ast.With():
                    self.statements(node.body)

    def _assign(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Name):
            self.methods.pop(target.id, None)
            self.attributes[target.id] = literal(value)
        elif isinstance(target, ast.Tuple):
            for item in target.elts:
                if isinstance(item, ast.Name):
                    self.attributes[item.id] = None

    def _annotated(self, node: ast.AnnAssign) -> None:
        if not isinstance(node.target, ast.Name):
            return
        annotation = node.annotation
        if isinstance(annotation, ast.Subscript):
            annotation = annotation.value
        named = dotted_source(annotation) or ""
        if named.rpartition(".")[2] != "ClassVar":
            self.fields.append(node.target.id)
        if node.value is not None:
            self._assign(node.target, node.value)

    def _method(self, node: Function) -> None:
        decorators = _decorators(node.decorator_list)
        last = [
            decorator.attr for decorator in node.decorator_list
            if isinstance(decorator, ast.Attribute)
        ]  # fmt: skip
        if "setter" in last or "deleter" in last:
            getter = self.methods.get(node.name)
            if getter is not None and "setter" in last:
                self.methods[node.name] = _with_setter(getter)
            return
        is_overload = any(name.rpartition(".")[2] == "overload" for name in decorators)
        if is_overload and node.name in self.methods:
            return  # a stub has nothing else: the first one stands for all
        self.attributes.pop(node.name, None)
        self.methods[node.name] = read_function(node, in_class=True, with_body=self._with_bodies)


def _with_setter(getter: FunctionFacts) -> FunctionFacts:
    return FunctionFacts(
        name=getter.name,
        parameters=getter.parameters,
        kind=getter.kind,
        has_setter=True,
        is_abstract=getter.is_abstract,
        decorators=getter.decorators,
        steps=getter.steps,
    )
