"""A tokenizer is called where its code calls `batch_encode_plus`."""

from __future__ import annotations

from trueup.adapt.fixes.fix import Fix, FixFacts
from trueup.adapt.fixes.source import Sources

NAME = "batch_encode_plus"


class BatchCall(Fix):
    """transformers 5 has no `batch_encode_plus`, which the model's chat functions call."""

    name = "batch-call"
    answers = ("TOK105",)
    does = "`x.batch_encode_plus(…)` is `x(…)`"
    since = "5.0.0"

    def applies(self, facts: FixFacts) -> bool:
        """Whether the code calls it."""
        return facts.code.speaks_of(f".{NAME}(")

    def apply(self, sources: Sources, facts: FixFacts) -> None:
        """Call the tokenizer itself."""
        import libcst as cst
        import libcst.matchers as m

        class Change(cst.CSTTransformer):
            def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.Call:
                function = updated_node.func
                if not m.matches(function, m.Attribute(attr=m.Name(NAME))):
                    return updated_node
                return updated_node.with_changes(
                    func=cst.ensure_type(function, cst.Attribute).value
                )

        sources.edit_all(Change)
