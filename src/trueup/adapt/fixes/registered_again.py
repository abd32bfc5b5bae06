"""A model type that the library has by now is registered over it."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from trueup.adapt.fixes.fix import Fix, FixFacts
from trueup.adapt.fixes.source import Sources

if TYPE_CHECKING:
    import libcst as cst


class RegisteredAgain(Fix):
    """The model's code registers a model type that the library has by now, and that is refused."""

    name = "registered-again"
    answers = ("IMP105",)
    does = "`AutoX.register(…)` at the top of a file is left out: auto_map names the classes"

    def applies(self, facts: FixFacts) -> bool:
        """Whether a file registers a class as it is imported."""
        return any(
            _is_registration(ast.unparse(node))
            for module in facts.code.modules.values()
            if module.tree is not None
            for node in module.tree.body
        )

    def apply(self, sources: Sources, facts: FixFacts) -> None:
        """Leave such lines out."""
        sources.edit_all(_change)


def _is_registration(text: str) -> bool:
    return text.startswith("Auto") and ".register(" in text.partition("\n")[0]


def _change() -> cst.CSTTransformer:
    import libcst as cst

    class Change(cst.CSTTransformer):
        def visit_ClassDef(self, node: cst.ClassDef) -> bool:
            return False

        def visit_FunctionDef(self, node: cst.FunctionDef) -> bool:
            return False

        def leave_SimpleStatementLine(
            self, original_node: cst.SimpleStatementLine, updated_node: cst.SimpleStatementLine
        ) -> cst.SimpleStatementLine | cst.RemovalSentinel:
            text = cst.Module([]).code_for_node(updated_node.with_changes(leading_lines=[]))
            return cst.RemoveFromParent() if _is_registration(text.strip()) else updated_node

    return Change()
