"""`get_head_mask`, which the library's base class no longer has."""

from __future__ import annotations

from typing import Any

from trueup.adapt.fixes.fix import Fix, FixFacts
from trueup.adapt.fixes.source import Sources
from trueup.doctor.finding import Finding

NAME = "get_head_mask"


def get_head_mask(
    self: Any, head_mask: Any, num_hidden_layers: Any, is_attention_chunked: Any = False
) -> Any:
    """None for every layer."""
    if head_mask is not None:
        raise ValueError("this model is repaired for use without a head mask")
    return [None] * num_hidden_layers


class HeadMask(Fix):
    """The model's code calls `get_head_mask`, which went with transformers 5."""

    name = "head-mask"
    answers = ("LOAD108",)
    does = "`get_head_mask` gives None for every layer; a head mask is refused"
    since = "5.0.0"

    def applies(self, facts: FixFacts) -> bool:
        """Whether the code calls it and defines none."""
        code = facts.code
        return code.speaks_of(f"self.{NAME}(") and code.method(code.model, NAME) is None

    def mends(self, finding: Finding, facts: FixFacts) -> bool:
        """Only of that member."""
        return finding.code in self.answers and f"`{NAME}`" in finding.cause

    def apply(self, sources: Sources, facts: FixFacts) -> None:
        """Add it to every class that calls it."""
        owners = {
            method.owner.name: method.owner
            for method in facts.code.methods_of_modeling()
            if f"self.{NAME}(" in _text(method.node)
        }
        for owner in owners.values():
            sources.add_function(owner, get_head_mask)


def _text(node: Any) -> str:
    import ast

    return ast.unparse(node)
