"""`_tied_weights_keys` is a mapping."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from trueup.adapt.fixes.fix import Fix, FixFacts
from trueup.adapt.fixes.source import Sources
from trueup.doctor.code import CodeClass

if TYPE_CHECKING:
    import libcst as cst

NAME = "_tied_weights_keys"
# What a class without the method has for a head, as transformers 5 takes it.
HEAD = "lm_head.weight"


def _listed(facts: FixFacts) -> tuple[CodeClass, list[str]] | None:
    for owner in facts.code.ancestry(facts.code.model):
        for node in owner.node.body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == NAME:
                try:
                    value = ast.literal_eval(node.value)
                except ValueError:
                    return None
                return (owner, [str(each) for each in value]) if isinstance(value, list) else None
    return None


def _weight(facts: FixFacts, getter: str) -> str | None:
    """The name of the weight of what the method `getter` returns."""
    method = facts.code.method(facts.code.model, getter)
    if method is None or not isinstance(method.node.body[-1], ast.Return):
        return None
    returned = method.node.body[-1].value
    text = ast.unparse(returned) if returned is not None else ""
    return f"{text.removeprefix('self.')}.weight" if text.startswith("self.") else None


class TiedKeys(Fix):
    """transformers 5 takes `_tied_weights_keys` for a mapping of target to source.

    The model's own is a list: `'list' object has no attribute 'keys'`.
    """

    name = "tied-keys"
    answers = ("LOAD105", "LOAD110")
    does = "`_tied_weights_keys` names the input embedding that the head shares"
    since = "5.0.0"

    def applies(self, facts: FixFacts) -> bool:
        """Whether it is a list and the input embedding's name is known."""
        return _listed(facts) is not None and _weight(facts, "get_input_embeddings") is not None

    def apply(self, sources: Sources, facts: FixFacts) -> None:
        """Write the mapping in its place."""
        listed, embedding = _listed(facts), _weight(facts, "get_input_embeddings")
        if listed is None or embedding is None:
            return
        owner, names = listed
        # Nothing else that is listed can be the embedding: a head's bias has another shape.
        head = _weight(facts, "get_output_embeddings") or HEAD
        mapping = f'{{"{head}": "{embedding}"}}' if head in names else "{}"
        sources.edit(owner.module.path, _change(owner.name, mapping))


def _change(class_name: str, mapping: str) -> cst.CSTTransformer:
    import libcst as cst
    import libcst.matchers as m

    class Change(cst.CSTTransformer):
        def visit_ClassDef(self, node: cst.ClassDef) -> bool:
            return node.name.value == class_name

        def leave_Assign(self, original_node: cst.Assign, updated_node: cst.Assign) -> cst.Assign:
            if not m.matches(original_node.targets[0].target, m.Name(NAME)):
                return updated_node
            return updated_node.with_changes(value=cst.parse_expression(mapping))

    return Change()
