"""`rope_scaling["type"]` is read under its new name too."""

from __future__ import annotations

import ast

from trueup.adapt.fixes.fix import Fix, FixFacts
from trueup.adapt.fixes.source import Sources

OWNER, OLD, NEW = "rope_scaling", "type", "rope_type"
NO_SCALING = "default"


class RopeType(Fix):
    """transformers 5 calls the key `rope_type`, and has it where nothing is scaled as well."""

    name = "rope-type"
    answers = ("CFG106",)
    does = "`rope_scaling` without scaling is None, and its `type` is read as `rope_type` too"
    since = "5.0.0"

    def applies(self, facts: FixFacts) -> bool:
        """Whether the code asks `rope_scaling` for its type."""
        return any(
            isinstance(node, ast.Subscript)
            and isinstance(node.slice, ast.Constant)
            and node.slice.value == OLD
            and OWNER in ast.unparse(node.value)
            for module in facts.code.modules.values()
            for node in module.nodes
        )

    def apply(self, sources: Sources, facts: FixFacts) -> None:
        """Read what 4.x had there."""
        import libcst as cst
        import libcst.matchers as m

        scaling = m.Attribute(attr=m.Name(OWNER))

        class Change(cst.CSTTransformer):
            def visit_AssignTarget(self, node: cst.AssignTarget) -> bool:
                return False

            def leave_Attribute(
                self, original_node: cst.Attribute, updated_node: cst.Attribute
            ) -> cst.BaseExpression:
                if not m.matches(original_node, scaling):
                    return updated_node
                owner = cst.Module([]).code_for_node(updated_node.value)
                return cst.parse_expression(f"_published_rope_scaling({owner})")

        for path in sorted(sources.texts):
            if sources.edit(path, Change()):
                sources.add_top(path, FUNCTION)


FUNCTION = f'''def _published_rope_scaling(config):
    scaling = config.{OWNER}
    kind = (scaling or {{}}).get("{NEW}", (scaling or {{}}).get("{OLD}"))
    if kind in (None, "{NO_SCALING}"):
        return None
    return {{**scaling, "{OLD}": kind}}
'''
