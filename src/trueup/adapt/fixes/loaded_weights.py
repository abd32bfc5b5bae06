"""Weights that were loaded are not initialised again."""

from __future__ import annotations

from typing import Any

from trueup.adapt.fixes.fix import Fix, FixFacts
from trueup.adapt.fixes.source import Sources

NAME = "_init_weights"
GUARDED = "5.2.0"


def _init_weights(self: Any, module: Any) -> None:
    loaded = [
        (weight, weight.data.clone())
        for weight in module.parameters(recurse=False)
        if getattr(weight, "_is_hf_initialized", False)
    ]
    self._published__init_weights(module)
    for weight, value in loaded:
        weight.data = value


class LoadedWeights(Fix):
    """The model's `_init_weights` puts random numbers over what the files held.

    transformers 5.0 and 5.1 call it after loading and guard only what `torch.nn.init` does: wrong
    answers, no error. TrueUp fills such a model after its constructor; the edit is for a loader
    of transformers.
    """

    name = "loaded-weights"
    answers = ("LOAD109",)
    does = "`_init_weights` leaves alone what was loaded"
    since = "5.0.0"

    def applies(self, facts: FixFacts) -> bool:
        """Whether the release lacks the guard and the model has a method of its own."""
        own = facts.code.method(facts.code.model, NAME)
        return own is not None and not facts.is_at_least(GUARDED)

    def apply(self, sources: Sources, facts: FixFacts) -> None:
        """Put our method before the model's."""
        method = facts.code.method(facts.code.model, NAME)
        if method is not None:
            sources.wrap(method.owner, NAME, _init_weights)
