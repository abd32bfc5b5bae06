"""What a wrong mapping of Baichuan or InternLM would compute: the negative controls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.parity.comparison import MISTAKES, Mistake, Weights


def _swap(weights: Weights, left: str, right: str) -> None:
    for name in [name for name in weights if f".{left}." in name]:
        other = name.replace(f".{left}.", f".{right}.")
        if weights[name].shape == weights[other].shape:
            weights[name], weights[other] = weights[other], weights[name]


def _swap_gate_and_up(config: Any, weights: Weights) -> None:
    _swap(weights, "gate_proj", "up_proj")


def _swap_queries_and_keys(config: Any, weights: Weights) -> None:
    _swap(weights, "q_proj", "k_proj")


def _undo_unit_rows(config: Any, weights: Weights) -> None:
    import torch

    head = weights["lm_head.weight"]
    weights["lm_head.weight"] = head * torch.linspace(0.5, 1.5, len(head))[:, None]


def _pack_by_kind(config: Any, weights: Weights) -> None:
    """The rows of `wqkv` taken as all queries, all keys, all values, not group by group."""
    import torch

    groups, size = config.num_key_value_heads, config.hidden_size // config.num_attention_heads
    for name in [name for name in weights if ".q_proj." in name]:
        key, value = name.replace("q_proj", "k_proj"), name.replace("q_proj", "v_proj")
        parts = [weights[each].unflatten(0, (groups, -1)) for each in (name, key, value)]
        packed = torch.cat(parts, dim=1).flatten(0, 1)
        cuts = [len(weights[name]), groups * size, groups * size]
        weights[name], weights[key], weights[value] = packed.split(cuts)


def _forget_linear_scaling(config: Any, weights: Weights) -> None:
    if getattr(config, "rope_parameters", None):
        config.rope_parameters["rope_type"] = "default"
    else:
        config.rope_scaling = None


SHARED: Mapping[str, Mistake] = {
    "gate and up swapped": _swap_gate_and_up,
    "keys and values swapped": MISTAKES["keys and values swapped"],
    "theta 16 times too large": MISTAKES["theta 16 times too large"],
    "eps 10 times too large": MISTAKES["eps 10 times too large"],
}
# Kind -> mistakes that can be made with it.
LLAMA_MISTAKES: Mapping[str, Mapping[str, Mistake]] = {
    "baichuan-7b": {**SHARED, "queries and keys swapped": _swap_queries_and_keys},
    "baichuan2-7b": {**SHARED, "head not of unit rows": _undo_unit_rows},
    "internlm": {**SHARED, "biases dropped": MISTAKES["biases dropped"]},
    "internlm2": {**SHARED, "wqkv not split by groups": _pack_by_kind},
    "internlm2-linear": {"linear scaling forgotten": _forget_linear_scaling},
}
