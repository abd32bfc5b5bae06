"""Positions of generated tokens are the model's own."""

from __future__ import annotations

import ast
from typing import Any

from trueup.adapt.fixes.fix import Fix, FixFacts
from trueup.adapt.fixes.source import Sources

PREPARE = "prepare_inputs_for_generation"
UPDATE = "_update_model_kwargs_for_generation"


def prepare_inputs_for_generation(self: Any, input_ids: Any, **kwargs: Any) -> Any:
    """Leave out the positions of `generate`, which are those of the whole sequence."""
    kwargs.pop("position_ids", None)
    return self._published_prepare_inputs_for_generation(input_ids, **kwargs)


def _update_model_kwargs_for_generation(
    self: Any, outputs: Any, model_kwargs: Any, *args: Any, **kwargs: Any
) -> Any:
    model_kwargs.pop("position_ids", None)
    return self._published__update_model_kwargs_for_generation(
        outputs, model_kwargs, *args, **kwargs
    )


class PositionIds(Fix):
    """`generate` of transformers 5 passes positions of the whole sequence from token to token.

    The model's code takes them as those of the new token alone, or has two rows of them.
    """

    name = "position-ids"
    answers = ()  # what it repairs is met once tuples are passed on
    does = "positions are those that the model's own code makes, not `generate`'s"
    since = "5.0.0"

    def applies(self, facts: FixFacts) -> bool:
        """Whether the code takes them as they are given, and makes its own from the mask."""
        method = facts.code.method(facts.code.model, PREPARE)
        if method is None:
            return False
        text = ast.unparse(method.node)
        takes_all = "kwargs.get('position_ids'" in text and ".cumsum(" in text
        return takes_all or _has_two_rows(facts)

    def apply(self, sources: Sources, facts: FixFacts) -> None:
        """Put our method before the model's."""
        method = facts.code.method(facts.code.model, PREPARE)
        if method is not None:
            sources.wrap(method.owner, PREPARE, prepare_inputs_for_generation)
        update = facts.code.method(facts.code.model, UPDATE)
        if update is not None and _has_two_rows(facts):
            sources.wrap(update.owner, UPDATE, _update_model_kwargs_for_generation)


def _has_two_rows(facts: FixFacts) -> bool:
    """Whether positions are of two dimensions, as those of ChatGLM-6B are."""
    method = facts.code.method(facts.code.model, "get_position_ids")
    return method is not None and any(
        each.arg == "mask_positions" for each in method.node.args.args
    )
