"""What can be wrong with a loaded Glm model, each planted after everything that guards a load."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MethodType
from typing import Any

import torch

from trueup.adapt.load import Loaded


def _layer(loaded: Loaded) -> Any:
    return loaded.model.model.layers[1]


def swapped_projections(loaded: Loaded) -> Loaded:
    attention = _layer(loaded).self_attn
    attention.k_proj, attention.v_proj = attention.v_proj, attention.k_proj
    return loaded


def swapped_gate_and_up(loaded: Loaded) -> Loaded:
    weight = _layer(loaded).mlp.gate_up_proj.weight
    weight.data = weight.data.roll(len(weight) // 2, dims=0)
    return loaded


def other_eps(loaded: Loaded) -> Loaded:
    for module in loaded.model.modules():
        if hasattr(module, "variance_epsilon"):
            assert module.variance_epsilon == 1e-5
            module.variance_epsilon = 1e-6
    return loaded


def other_theta(loaded: Loaded) -> Loaded:
    rotary = loaded.model.model.rotary_emb
    rotary.inv_freq = rotary.inv_freq**1.01
    return loaded


def dropped_bias(loaded: Loaded) -> Loaded:
    _layer(loaded).self_attn.q_proj.bias.data.zero_()
    return loaded


def random_layer(loaded: Loaded) -> Loaded:
    torch.manual_seed(0)
    _layer(loaded).mlp.down_proj.reset_parameters()
    return loaded


def stale_buffers(loaded: Loaded) -> Loaded:
    rotary = loaded.model.model.rotary_emb
    rotary.inv_freq = torch.zeros_like(rotary.inv_freq)
    return loaded


def training_mode(loaded: Loaded) -> Loaded:
    loaded.model.train()
    return loaded


def flipped_weight(loaded: Loaded) -> Loaded:
    """The last bit of one number: far too little for any logit."""
    weight = _layer(loaded).mlp.down_proj.weight
    weight.data = weight.data.clone()
    bits = weight.data.view(torch.int32)
    bits[3, 5] ^= 1
    return loaded


# What of the verdict's reasons must tell it.
FAULTS: Mapping[str, tuple[Callable[[Loaded], Loaded], str]] = {
    "swapped projections": (swapped_projections, "logits differ"),
    "gate and up swapped": (swapped_gate_and_up, "logits differ"),
    "eps 1e-6": (other_eps, "logits differ"),
    "theta": (other_theta, "logits differ"),
    "a bias dropped": (dropped_bias, "logits differ"),
    "a random layer": (random_layer, "mlp.down_proj.weight"),
    "stale buffers": (stale_buffers, "inv_freq"),
    "training mode": (training_mode, "training mode"),
    "one bit of a weight": (flipped_weight, "mlp.down_proj.weight"),
}


def lost_cache(loaded: Loaded) -> Loaded:
    """What a guide to such models says to do, and it says nothing of `self`.

    Bound to the model, its first argument is the model: there is no cache in it, and each step
    sees one token alone.
    """

    def _extract_past_from_model_output(outputs: Any, *_: Any, **__: Any) -> Any:
        past_key_values = None
        if "past_key_values" in vars(outputs):
            past_key_values = outputs.past_key_values
        return past_key_values

    loaded.model._extract_past_from_model_output = MethodType(
        _extract_past_from_model_output, loaded.model
    )
    return loaded
