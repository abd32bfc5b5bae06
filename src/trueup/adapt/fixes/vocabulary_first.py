"""The tokenizer's vocabulary is there before the library's constructor asks for it."""

from __future__ import annotations

import ast
import textwrap
from typing import TYPE_CHECKING

from trueup.adapt.fixes.fix import Fix, FixFacts
from trueup.adapt.fixes.source import Sources
from trueup.doctor.code import Method

if TYPE_CHECKING:
    import libcst as cst

# What only the library's constructor can set: its names of special tokens.
SPECIAL = {
    f"self.{kind}_token{ending}"
    for kind in ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
    for ending in ("", "_id")
} | {
    f"self.{kind}_special_tokens{ending}"
    for kind in ("additional", "extra")
    for ending in ("", "_ids")
}


def _constructor(facts: FixFacts) -> Method | None:
    return facts.code.method(facts.code.tokenizer, "__init__")


def _super_call(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and ast.unparse(node).startswith("super(")


def _early(constructor: ast.FunctionDef | ast.AsyncFunctionDef) -> tuple[int, list[int]]:
    """Where `super().__init__` is, and which statements after it are carried out before it too.

    Those that need nothing that the library's constructor, or a statement that stays behind it,
    sets. They are carried out again in their place, so none may add to what was there before.
    """
    body, given = constructor.body, constructor.args
    at = next((at for at, each in enumerate(body) if _super_call(each)), None)
    if at is None:
        return 0, []
    told = [_Told(each) for each in body]
    taken = (*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg)
    known = {each.arg for each in taken if each is not None}
    known = known.union(*(each.binds for each in told[:at]))
    local = known.union(*(each.binds for each in told))
    made: set[str] = set()
    early = []
    for place in range(at + 1, len(body)):
        each = told[place]
        needed = {name for name in each.needs if name in local or name.startswith("self.")}
        if each.is_bound or each.binds & SPECIAL:
            continue
        if needed - known or each.changes - made - each.binds:
            continue
        known, made = known | each.binds, made | each.binds
        early.append(place)
    return at, early if any(name.startswith("self.") for name in made) else []


class _Told(ast.NodeVisitor):
    """What a statement needs, binds and changes: names, those of the instance as `self.x`."""

    def __init__(self, *nodes: ast.AST) -> None:
        self.needs: set[str] = set()
        self.binds: set[str] = set()
        self.changes: set[str | None] = set()
        self.is_bound = False  # to its place: it leaves the function or hands on the instance
        for node in nodes:
            self.visit(node)
        if isinstance(nodes[0], ast.If | ast.For | ast.With | ast.Try | ast.FunctionDef):
            self.needs -= self.binds

    def visit_Name(self, node: ast.Name) -> None:
        self._use(node.id, node.ctx)
        self.is_bound |= node.id in ("self", "super")

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if isinstance(node.value, ast.Name) and node.value.id == "self":
            self._use(f"self.{node.attr}", node.ctx)
        else:
            self._change(node)
            self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        self._change(node)
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.changes.add(_root(node.target))
        self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):
            self.changes.add(_root(node.value))
        self.generic_visit(node)

    def visit_Return(self, node: ast.Return) -> None:
        self.is_bound = True

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self.binds.add(node.name)
        self._inner({each.arg for each in node.args.args}, *node.body)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._inner({each.arg for each in node.args.args}, node.body)

    def _comprehension(self, node: ast.AST) -> None:
        self._inner(set(), *ast.iter_child_nodes(node))

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension

    def _inner(self, own: set[str], *nodes: ast.AST) -> None:
        inner = _Told(*nodes)
        self.needs |= inner.needs - inner.binds - own

    def _use(self, name: str, context: ast.expr_context) -> None:
        (self.needs if isinstance(context, ast.Load) else self.binds).add(name)
        self.is_bound |= isinstance(context, ast.Del)

    def _change(self, node: ast.Attribute | ast.Subscript) -> None:
        if not isinstance(node.ctx, ast.Load):
            self.changes.add(_root(node))


def _root(node: ast.AST) -> str | None:
    """The name or `self.x` whose part, or part's call, this is."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        inner = node.func if isinstance(node, ast.Call) else node.value
        if isinstance(node, ast.Attribute) and isinstance(inner, ast.Name) and inner.id == "self":
            return f"self.{node.attr}"
        node = inner
    return node.id if isinstance(node, ast.Name) else None


class VocabularyFirst(Fix):
    """The tokenizer calls `super().__init__` before it has set its vocabulary.

    Since 4.34 the library adds special tokens there, and asks for the vocabulary.
    """

    name = "vocabulary-first"
    answers = ("TOK101",)
    does = "the tokenizer sets its vocabulary before it calls the library's constructor"
    since = "4.34.0"

    def applies(self, facts: FixFacts) -> bool:
        """Whether its constructor sets anything after the library's."""
        method = _constructor(facts)
        return method is not None and bool(_early(method.node)[1])

    def apply(self, sources: Sources, facts: FixFacts) -> None:
        """Carry out what comes later before the library's constructor as well."""
        method = _constructor(facts)
        if method is not None:
            sources.edit(method.owner.module.path, _change(method.owner.name))


def _change(class_name: str) -> cst.CSTTransformer:
    import libcst as cst

    class Change(cst.CSTTransformer):
        def __init__(self) -> None:
            super().__init__()
            self.inside: list[str] = []

        def visit_ClassDef(self, node: cst.ClassDef) -> None:
            self.inside.append(node.name.value)

        def leave_ClassDef(
            self, original_node: cst.ClassDef, updated_node: cst.ClassDef
        ) -> cst.ClassDef:
            self.inside.pop()
            return updated_node

        def leave_FunctionDef(
            self, original_node: cst.FunctionDef, updated_node: cst.FunctionDef
        ) -> cst.FunctionDef:
            if self.inside != [class_name] or original_node.name.value != "__init__":
                return updated_node
            block = updated_node.body
            body = list(block.body)
            # As it is by now: other fixes have been at work.
            text = textwrap.dedent(cst.Module([]).code_for_node(updated_node))
            (now,) = ast.parse(text).body
            if not isinstance(now, ast.FunctionDef) or len(now.body) != len(body):
                return updated_node  # two statements in one line
            at, early = _early(now)
            body[at:at] = [body[place] for place in early]
            return updated_node.with_changes(body=block.with_changes(body=body))

    return Change()
