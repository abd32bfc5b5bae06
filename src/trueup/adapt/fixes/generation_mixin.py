"""The model's class has `generate`."""

from __future__ import annotations

import ast

from trueup.adapt.fixes.fix import Fix, FixFacts
from trueup.adapt.fixes.source import Sources

MIXIN = "GenerationMixin"


class AddedGenerationMixin(Fix):
    """`PreTrainedModel` brings no `generate` since 4.50, and the model names no `GenerationMixin`.

    For remote code the library puts it in while `from_pretrained` of an Auto class runs, and
    not for a class that is loaded itself.
    """

    name = "generation-mixin"
    answers = ("GEN105",)
    does = "`GenerationMixin` is a base of the model's class"
    since = "4.50.0"

    def applies(self, facts: FixFacts) -> bool:
        """Whether no base of its own code names the mixin."""
        code = facts.code
        if code.model is None or code.method(code.model, "prepare_inputs_for_generation") is None:
            return False
        bases = [each for owner in code.ancestry(code.model) for each in owner.node.bases]
        return all(ast.unparse(each).rpartition(".")[2] != MIXIN for each in bases)

    def apply(self, sources: Sources, facts: FixFacts) -> None:
        """Name it as a base."""
        owner = facts.code.model
        if owner is None:
            return
        import libcst as cst

        named = owner.name

        class Change(cst.CSTTransformer):
            def leave_ClassDef(
                self, original_node: cst.ClassDef, updated_node: cst.ClassDef
            ) -> cst.ClassDef:
                if original_node.name.value != named:
                    return updated_node
                bases = [*updated_node.bases, cst.Arg(cst.Name(MIXIN))]
                return updated_node.with_changes(bases=bases)

        sources.edit(owner.module.path, Change())
        sources.add_top(owner.module.path, f"from transformers.generation import {MIXIN}\n")
