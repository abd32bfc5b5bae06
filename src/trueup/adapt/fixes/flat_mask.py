"""The tokenizer's attention mask has two dimensions, and the model makes its own of it."""

from __future__ import annotations

import ast
from typing import Any

from trueup.adapt.fixes.fix import Fix, FixFacts
from trueup.adapt.fixes.source import Sources

PREPARE = "prepare_inputs_for_generation"


def _pad(self: Any, *args: Any, padding_side: Any = None, **kwargs: Any) -> Any:
    encoded = self._published__pad(*args, **kwargs)
    mask = encoded.get("attention_mask")
    if getattr(mask, "ndim", 0) == 3:
        # True where it hides: of the last token, which sees the whole prompt, only padding.
        encoded["attention_mask"] = [int(not hidden) for hidden in mask[0, -1].tolist()]
    return encoded


def prepare_inputs_for_generation(
    self: Any, input_ids: Any, attention_mask: Any = None, **kwargs: Any
) -> Any:
    """Make the mask (batch, 1, tokens, tokens) of one that says what is padding."""
    import torch

    if attention_mask is None or attention_mask.ndim == 2:
        masks = self.get_masks(input_ids, device=input_ids.device)
        if attention_mask is not None:
            hidden = attention_mask == 0
            more = input_ids.shape[1] - hidden.shape[1]
            hidden = torch.nn.functional.pad(hidden, (0, more))
            masks = masks | hidden[:, None, None, :] | hidden[:, None, :, None]
        attention_mask = masks
    return self._published_prepare_inputs_for_generation(
        input_ids, attention_mask=attention_mask, **kwargs
    )


class FlatMask(Fix):
    """The tokenizer makes a mask of three dimensions, as that of ChatGLM-6B does.

    `generate` takes one of two since 4.45: `attention_mask passed to generate must be 2D`.
    """

    name = "flat-mask"
    answers = ("GEN104",)
    does = (
        "the tokenizer says which tokens are padding, and the model makes its mask of the prompt "
        "from that"
    )
    since = "4.45.0"

    def applies(self, facts: FixFacts) -> bool:
        """Whether `_pad` makes such a mask and the model can make one itself."""
        code = facts.code
        pad = code.method(code.tokenizer, "_pad")
        return (
            pad is not None
            and "tril" in ast.unparse(pad.node)
            and code.method(code.model, "get_masks") is not None
            and code.method(code.model, PREPARE) is not None
        )

    def apply(self, sources: Sources, facts: FixFacts) -> None:
        """Flatten the mask behind the tokenizer, and make it whole before the model."""
        code = facts.code
        pad, prepare = code.method(code.tokenizer, "_pad"), code.method(code.model, PREPARE)
        if pad is not None and prepare is not None:
            sources.wrap(pad.owner, "_pad", _pad)
            sources.wrap(prepare.owner, PREPARE, prepare_inputs_for_generation)
