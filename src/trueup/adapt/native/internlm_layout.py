"""InternLM's and InternLM2's layouts in terms of the library's Llama: names, config, refusals."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from trueup.adapt.native.family import Part, Refusal, ranges, whole_number
from trueup.adapt.native.internlm_rope import read_rope, rope_refusals
from trueup.adapt.native.llama_code import mentions
from trueup.adapt.native.llama_layout import (
    code_refusals,
    is_tied,
    llama_config,
    shared_refusals,
)
from trueup.checkpoint.checkpoint import Checkpoint

OWN_KEYS = ("bias", "rotary", "rope_theta", "rope_scaling", "num_key_value_heads")
_LAYER = re.compile(r"model\.layers\.(\d+)\.(.+)")
_FREQUENCIES = re.compile(r"(self_attn|attention)\.rotary_emb\.inv_freq")
_NORMS = ("input_layernorm", "post_attention_layernorm")
_PROJECTIONS = ("q_proj", "k_proj", "v_proj")
_FIRST_IN_LAYER = frozenset(
    (
        *(f"{name}.weight" for name in _NORMS),
        *(f"mlp.{name}.weight" for name in ("gate_proj", "up_proj", "down_proj")),
        *(
            f"self_attn.{name}.{kind}"
            for name in (*_PROJECTIONS, "o_proj")
            for kind in ("weight", "bias")
        ),
    )
)
_FIRST_OUTSIDE = {
    name: name for name in ("model.embed_tokens.weight", "model.norm.weight", "lm_head.weight")
}
_SECOND_OUTSIDE = {
    "model.tok_embeddings.weight": "model.embed_tokens.weight",
    "model.norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
_SECOND_IN_LAYER = {
    "attention_norm.weight": "input_layernorm.weight",
    "ffn_norm.weight": "post_attention_layernorm.weight",
    "attention.wo.weight": "self_attn.o_proj.weight",
    "attention.wo.bias": "self_attn.o_proj.bias",
    "feed_forward.w1.weight": "mlp.gate_proj.weight",
    "feed_forward.w3.weight": "mlp.up_proj.weight",
    "feed_forward.w2.weight": "mlp.down_proj.weight",
}
_PACKED = re.compile(r"attention\.wqkv\.(weight|bias)")


def kv_heads(checkpoint: Checkpoint) -> int:
    """How many heads have keys of their own; InternLM's config can name a stale number."""
    config = checkpoint.config
    heads: int = config["num_attention_heads"]
    if checkpoint.model_type == "internlm2":
        return whole_number(config, "num_key_value_heads") or heads
    return heads


def refusals(checkpoint: Checkpoint) -> tuple[Refusal, ...]:
    """Everything in the checkpoint that Llama does not compute the same way."""
    prefix = "InternLM2" if checkpoint.model_type == "internlm2" else "InternLM"
    found = [
        *shared_refusals(checkpoint, (f"{prefix}ForCausalLM",), OWN_KEYS),
        *code_refusals(checkpoint),
        *rope_refusals(checkpoint),
    ]
    bias = checkpoint.config.get("bias")
    if not isinstance(bias, bool):
        found.append(Refusal(reason=f"expected true or false, found `{bias!r}`", key="bias"))
    return (*found, *_group_refusals(checkpoint))


def _group_refusals(checkpoint: Checkpoint) -> tuple[Refusal, ...]:
    config, key = checkpoint.config, "num_key_value_heads"
    heads, given = whole_number(config, "num_attention_heads"), config.get(key)
    if heads is None or given is None:
        return ()
    groups = whole_number(config, key)
    if checkpoint.model_type == "internlm2":
        if groups is not None and heads % groups == 0:
            return ()
        reason = f"expected a divisor of the {heads} heads, found `{given!r}`"
        return (Refusal(reason=reason, key=key),)
    if groups == heads or not mentions(checkpoint, key):
        return ()
    reason = f"`{given!r}` means shared keys, which InternLM's mapping does not know"
    return (Refusal(reason=reason, key=key),)


def map_config(checkpoint: Checkpoint, major: int) -> dict[str, Any]:
    """The keywords of LlamaConfig."""
    return llama_config(
        checkpoint,
        major,
        read_rope(checkpoint),
        has_bias=checkpoint.config["bias"],
        kv_heads=kv_heads(checkpoint),
    )


def map_first(checkpoint: Checkpoint) -> Callable[[str], tuple[Part, ...] | None]:
    """InternLM's names are Llama's."""
    known = dict.fromkeys(_FIRST_IN_LAYER)
    return _mapper(checkpoint, _FIRST_OUTSIDE, {name: name for name in known}, None)


def map_second(checkpoint: Checkpoint) -> Callable[[str], tuple[Part, ...] | None]:
    """InternLM2's names, and the groups of its packed weights."""
    return _mapper(checkpoint, _SECOND_OUTSIDE, _SECOND_IN_LAYER, _groups(checkpoint))


def _mapper(
    checkpoint: Checkpoint,
    outside: Mapping[str, str],
    inside: Mapping[str, str],
    packed: Mapping[str, tuple[tuple[int, int], ...]] | None,
) -> Callable[[str], tuple[Part, ...] | None]:
    tied = is_tied(checkpoint)

    def parts(name: str) -> tuple[Part, ...] | None:
        if name in outside:
            target = outside[name]
            return () if tied and target == "lm_head.weight" else (Part(target=target),)
        layer = _LAYER.fullmatch(name)
        if layer is None:
            return None
        number, inner = layer.groups()
        if _FREQUENCIES.fullmatch(inner):
            return ()
        if inner in inside:
            return (Part(target=f"model.layers.{number}.{inside[inner]}"),)
        found = _PACKED.fullmatch(inner)
        if packed is None or found is None:
            return None
        return tuple(
            Part(target=f"model.layers.{number}.self_attn.{target}.{found[1]}", rows=rows)
            for target, rows in packed.items()
        )

    return parts


def _groups(checkpoint: Checkpoint) -> dict[str, tuple[tuple[int, int], ...]]:
    """The rows of `wqkv` that are queries, keys and values: each group has its own of each."""
    config = checkpoint.config
    heads, groups = config["num_attention_heads"], kv_heads(checkpoint)
    size = config["hidden_size"] // heads
    queries = heads // groups * size
    step = queries + 2 * size
    return {
        "q_proj": ranges(range(0, groups * step, step), queries),
        "k_proj": ranges(range(queries, groups * step, step), size),
        "v_proj": ranges(range(queries + size, groups * step, step), size),
    }
