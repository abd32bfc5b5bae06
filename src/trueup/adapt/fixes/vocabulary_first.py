"""The tokenizer's vocabulary is there before the library's constructor asks for it."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from trueup.adapt.fixes.fix import Fix, FixFacts
from trueup.adapt.fixes.source import Sources
from trueup.doctor.code import Method

if TYPE_CHECKING:
    import libcst as cst

# What the library's constructor alone can set.
SPECIAL_ENDINGS = ("_token", "_token_id", "_tokens")


def _constructor(facts: FixFacts) -> Method | None:
    return facts.code.method(facts.code.tokenizer, "__init__")


def _super_call(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and ast.unparse(node).startswith("super(")


def _late(method: Method) -> list[str]:
    """The texts of the assignments after `super().__init__` that it may need."""
    body = method.node.body
    at = next((at for at, each in enumerate(body) if _super_call(each)), None)
    if at is None:
        return []
    return [ast.unparse(each) for each in body[at + 1 :] if _is_hoisted(each)]


def _is_hoisted(node: ast.stmt) -> bool:
    """`self.x = …` and `self.x.Load(…)`, but nothing about special tokens."""
    text = ast.unparse(node)
    if isinstance(node, ast.Assign) and text.startswith("self."):
        names = [each.attr for each in node.targets if isinstance(each, ast.Attribute)]
        return all(not name.endswith(SPECIAL_ENDINGS) for name in names)
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        return text.startswith("self.") and text.partition("(")[0].count(".") == 2
    return isinstance(node, ast.Assert)


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
        return method is not None and bool(_late(method))

    def apply(self, sources: Sources, facts: FixFacts) -> None:
        """Carry out the later assignments before the library's constructor as well."""
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
            parsed = [_parsed(each) for each in body]
            at = next((at for at, each in enumerate(parsed) if each and _super_call(each)), None)
            if at is None:
                return updated_node
            early = [
                each
                for each, node in zip(body[at + 1 :], parsed[at + 1 :], strict=True)
                if node is not None and _is_hoisted(node)
            ]
            body[at:at] = early
            return updated_node.with_changes(body=block.with_changes(body=body))

    return Change()


def _parsed(statement: cst.CSTNode) -> ast.stmt | None:
    import libcst as cst

    text = cst.Module([]).code_for_node(statement).strip()
    try:
        return next(iter(ast.parse(text).body), None)
    except SyntaxError:
        return None
