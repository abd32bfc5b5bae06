"""Positions of generated tokens are the model's own."""

from __future__ import annotations

import ast
from typing import Any

from trueup.adapt.fixes.fix import Fix, FixFacts
from trueup.adapt.fixes.source import Sources

PREPARE = "prepare_inputs_for_generation"


def prepare_inputs_for_generation(self: Any, input_ids: Any, **kwargs: Any) -> Any:
    """Leave out the positions of `generate`, which are those of the whole sequence."""
    kwargs.pop("position_ids", None)
    return self._published_prepare_inputs_for_generation(input_ids, **kwargs)


class PositionIds(Fix):
    """`generate` of transformers 5 passes positions of the whole sequence from token to token.

    The model's code takes them as those of the new token alone, which it would make from the mask.
    """

    name = "position-ids"
    answers = ("CACHE103",)
    does = "positions are those that the model's code makes from the mask, not `generate`'s"
    since = "5.0.0"

    def applies(self, facts: FixFacts) -> bool:
        """Whether the code takes them as they are given, and makes its own from the mask."""
        method = facts.code.method(facts.code.model, PREPARE)
        if method is None:
            return False
        text = ast.unparse(method.node)
        return "kwargs.get('position_ids'" in text and ".cumsum(" in text

    def apply(self, sources: Sources, facts: FixFacts) -> None:
        """Put our method before the model's."""
        method = facts.code.method(facts.code.model, PREPARE)
        if method is not None:
            sources.wrap(method.owner, PREPARE, prepare_inputs_for_generation)
