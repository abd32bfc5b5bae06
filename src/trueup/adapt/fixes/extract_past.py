"""`_extract_past_from_model_output`, as the code that calls it expects it."""

from __future__ import annotations

import ast
from typing import Any

from trueup.adapt.fixes.fix import Fix, FixFacts
from trueup.adapt.fixes.source import Sources

NAME = "_extract_past_from_model_output"


def _extract_past_from_model_output(self: Any, outputs: Any, *args: Any, **kwargs: Any) -> Any:
    for name in ("past_key_values", "mems", "past_buckets_states"):
        if outputs.get(name) is not None:
            return outputs[name]
    return None


def _named_past(self: Any, outputs: Any, *args: Any, **kwargs: Any) -> Any:
    for name in ("past_key_values", "mems", "past_buckets_states"):
        if outputs.get(name) is not None:
            return "past_key_values", outputs[name]
    return "past_key_values", None


class ExtractPast(Fix):
    """The library's `_extract_past_from_model_output` is gone since 4.49.

    The model's own code takes its cache out of the outputs with it; 4.42 to 4.48 gave the name
    as well, and code of that time expects both.
    """

    name = "extract-past"
    answers = ("GEN101",)
    does = "the model has `_extract_past_from_model_output` as its code calls it"
    since = "4.42.0"

    def applies(self, facts: FixFacts) -> bool:
        """Whether the code calls it and defines none."""
        code = facts.code
        return code.speaks_of(NAME) and code.method(code.model, NAME) is None

    def apply(self, sources: Sources, facts: FixFacts) -> None:
        """Add the method, in the form that the call unpacks."""
        owner = facts.code.model
        if owner is None:
            return
        function = _named_past if _is_unpacked(facts) else _extract_past_from_model_output
        from trueup.adapt.fixes.source import function_text

        sources.add_member(owner, function_text(function, NAME))


def _is_unpacked(facts: FixFacts) -> bool:
    return any(
        isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Tuple)
        and NAME in ast.unparse(node.value)
        for module in facts.code.modules.values()
        for node in module.nodes
    )
