"""One growing sequence inside a model: its KV cache, positions and mask."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from trueup.adapt.key_value_cache import key_value_cache

# About half a second of work on a small CPU for one piece of a prompt, so that cancelling is
# quick; a fixed size for each model, so that a request computes the same on every run.
_CPU_PARAMETER_TOKENS = 64_000_000_000
_CPU_PIECE_TOKENS = (32, 512)
_GPU_PIECE_TOKENS = 2048


def piece_tokens(model: Any) -> int:
    """How many prompt tokens to compute in one forward pass."""
    if model.device.type != "cpu":
        return _GPU_PIECE_TOKENS
    smallest, largest = _CPU_PIECE_TOKENS
    parameters: int = sum(each.numel() for each in model.parameters())
    return min(largest, max(smallest, _CPU_PARAMETER_TOKENS // max(1, parameters)))


def forward_options(model: Any) -> dict[str, Any]:
    """Arguments of every forward pass that this model knows."""
    known = inspect.signature(model.forward).parameters
    return {"logits_to_keep": 1} if "logits_to_keep" in known else {}


class ModelSequence:
    """Tokens that were fed to the model, one that `steps_by_cache`.

    Not for several threads. `options` are those of `forward_options`.
    """

    def __init__(self, model: Any, *, options: dict[str, Any]) -> None:
        self._model = model
        self._options = options
        self._cache = key_value_cache(model)
        self._token = torch.zeros(1, 1, dtype=torch.long, device=model.device)

    @torch.inference_mode()
    def feed(self, token_ids: Sequence[int]) -> Tensor:
        """Append tokens; the logits after the last one, fp32 [vocabulary]."""
        if len(token_ids) == 1:
            tokens = self._token.fill_(token_ids[0])
        else:
            tokens = torch.tensor([token_ids], device=self._token.device)
        # Positions and mask are the model's to make from the cache: some do not count from 0.
        output = self._model(
            input_ids=tokens,
            past_key_values=self._cache,
            use_cache=True,
            return_dict=True,
            **self._options,
        )
        logits: Tensor = output.logits[0, -1].float()
        return logits

    @torch.inference_mode()
    def copy(self) -> ModelSequence:
        """A sequence that grows on its own from here."""
        twin = copy.copy(self)
        # Cropping would do for plain layers only: sliding windows forget what they passed.
        twin._cache = copy.deepcopy(self._cache)
        return twin
