"""A package that only a chat function of the model needs may be missing."""

from __future__ import annotations

import ast
import sys
from typing import TYPE_CHECKING

from trueup.adapt.fixes.fix import Fix, FixFacts
from trueup.adapt.fixes.source import Sources
from trueup.doctor.code import Function
from trueup.doctor.finding import Finding

if TYPE_CHECKING:
    import libcst as cst


class LateImports(Fix):
    """A function of the model's code imports a package that is not installed.

    The library looks for the packages of every import in the file and refuses the model, though
    nothing calls the function. What calls it still fails.
    """

    name = "late-imports"
    answers = ("ENV102", "ENV106")
    does = "an import inside a function is looked for when the function is called, not before"

    def applies(self, facts: FixFacts) -> bool:
        """Whether a function imports a package that is not the library's or Python's."""
        return bool(_packages(facts))

    def mends(self, finding: Finding, facts: FixFacts) -> bool:
        """Whether the package is imported within functions alone."""
        return finding.code in self.answers and any(
            f"`{package}`" in finding.cause for package in _packages(facts)
        )

    def apply(self, sources: Sources, facts: FixFacts) -> None:
        """Put such imports into a `try`, which the library's search leaves out."""
        packages = _packages(facts)
        sources.edit_all(lambda: _change(packages))


def _packages(facts: FixFacts) -> frozenset[str]:
    """Packages that only functions import."""
    installed = {"torch", "transformers", "numpy", *sys.stdlib_module_names}
    inside: set[str] = set()
    outside: set[str] = set()
    for module in facts.code.modules.values():
        within = {
            id(each)
            for node in module.nodes
            if isinstance(node, Function)
            for each in ast.walk(node)
        }
        for node in module.nodes:
            found = {name.partition(".")[0] for name in _imported(node)}
            (inside if id(node) in within else outside).update(found)
    return frozenset(inside - outside - installed)


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and not node.level and node.module:
        return [node.module]
    return []


def _change(packages: frozenset[str]) -> cst.CSTTransformer:
    import libcst as cst

    class Change(cst.CSTTransformer):
        def __init__(self) -> None:
            super().__init__()
            self.depth = 0

        def visit_FunctionDef(self, node: cst.FunctionDef) -> None:
            self.depth += 1

        def leave_FunctionDef(
            self, original_node: cst.FunctionDef, updated_node: cst.FunctionDef
        ) -> cst.FunctionDef:
            self.depth -= 1
            return updated_node

        def visit_Try(self, node: cst.Try) -> bool:
            return False

        def leave_SimpleStatementLine(
            self, original_node: cst.SimpleStatementLine, updated_node: cst.SimpleStatementLine
        ) -> cst.BaseStatement:
            text = cst.Module([]).code_for_node(updated_node.with_changes(leading_lines=[])).strip()
            is_import = isinstance(updated_node.body[0], cst.Import | cst.ImportFrom)
            if not self.depth or not is_import:
                return updated_node
            names = [name for node in ast.parse(text).body for name in _imported(node)]
            if not packages.intersection(name.partition(".")[0] for name in names):
                return updated_node
            tried = cst.parse_statement(f"try:\n    {text}\nexcept ImportError:\n    raise\n")
            return tried.with_changes(leading_lines=updated_node.leading_lines)

    return Change()
