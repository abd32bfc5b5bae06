"""`_update_model_kwargs_for_generation` takes what `generate` passes."""

from __future__ import annotations

import ast
from typing import Any

from trueup.adapt.fixes.fix import Fix, FixFacts
from trueup.adapt.fixes.source import Sources
from trueup.doctor.code import Method
from trueup.doctor.finding import Finding

NAME = "_update_model_kwargs_for_generation"


def _counting_tokens(self: Any, outputs: Any, model_kwargs: Any, *args: Any, **kwargs: Any) -> Any:
    if model_kwargs.get("attention_mask") is None:
        # Where nothing is padded, `generate` passes None for what this code extends.
        model_kwargs.pop("attention_mask", None)
    return self._published__update_model_kwargs_for_generation(
        outputs, model_kwargs, *args, **kwargs
    )


def _update_model_kwargs_for_generation(
    self: Any,
    outputs: Any,
    model_kwargs: Any,
    is_encoder_decoder: Any = False,
    num_new_tokens: Any = 1,
    **kwargs: Any,
) -> Any:
    if model_kwargs.get("attention_mask") is None:
        # Where nothing is padded, `generate` passes None for what this code extends.
        model_kwargs.pop("attention_mask", None)
    return self._published__update_model_kwargs_for_generation(
        outputs, model_kwargs, is_encoder_decoder=is_encoder_decoder, **kwargs
    )


class ModelArguments(Fix):
    """The model's own code extends `attention_mask` between tokens, and `generate` passes None.

    Since 5.18, for a batch without padding; `num_new_tokens` is passed as well.
    """

    name = "model-arguments"
    answers = ("GEN103", "SIG101")
    does = (
        "what is carried from token to token may lack `attention_mask`, and `num_new_tokens` is "
        "taken"
    )
    since = "4.44.0"

    def applies(self, facts: FixFacts) -> bool:
        """Whether the model has such a method of its own, which knows no `num_new_tokens`."""
        method = facts.code.method(facts.code.model, NAME)
        if method is None:
            return False
        return not _counts_tokens(method) or "attention_mask" in ast.unparse(method.node)

    def mends(self, finding: Finding, facts: FixFacts) -> bool:
        """A signature that is too narrow only where it is this method's."""
        return finding.code == "GEN103" or (finding.code == "SIG101" and NAME in finding.cause)

    def apply(self, sources: Sources, facts: FixFacts) -> None:
        """Put our method before the model's."""
        method = facts.code.method(facts.code.model, NAME)
        if method is not None:
            counts = _counts_tokens(method)
            function = _counting_tokens if counts else _update_model_kwargs_for_generation
            sources.wrap(method.owner, NAME, function)


def _counts_tokens(method: Method) -> bool:
    taken = (*method.node.args.args, *method.node.args.kwonlyargs)
    return any(each.arg == "num_new_tokens" for each in taken)
