"""The ChatGLM2 line's remote-code layout in terms of the library's Glm: names, config, refusals.

What the config does not tell is read from the shipped code's syntax trees (`glm_code.py`);
nothing of that code runs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from trueup.adapt.native.family import Part, Refusal, ranges, value_refusals, whole_number
from trueup.adapt.native.glm_code import defines, mentions, read_rope
from trueup.checkpoint.checkpoint import Checkpoint

ROTARY_SHARE = 0.5
SIZES = (
    "num_layers",
    "padded_vocab_size",
    "hidden_size",
    "ffn_hidden_size",
    "kv_channels",
    "num_attention_heads",
    "seq_length",
)
# Keys that change what is computed, the only value that Glm has, and what another one means.
FIXED: Mapping[str, tuple[Any, str]] = {
    "rmsnorm": (True, "LayerNorm instead of RMSNorm"),
    "post_layer_norm": (True, "no final norm"),
    "apply_residual_connection_post_layernorm": (False, "residuals taken after the norm"),
    "add_bias_linear": (False, "biases in every linear layer"),
    "original_rope": (True, "another kind of rope"),
    "fp32_residual_connection": (False, "residuals kept in fp32"),
    "quantization_bit": (0, "quantised weights of the model's own format"),
    "pre_seq_len": (None, "a trained prefix (P-Tuning v2)"),
}
# Keys that the code reads without changing what it computes in evaluation: the score is divided
# by a layer's number and multiplied again, dropout is off, softmax is exact in fp32.
NEUTRAL = frozenset(
    (
        *SIZES,
        *FIXED,
        *("layernorm_epsilon", "multi_query_attention", "multi_query_group_num", "add_qkv_bias"),
        *("rope_ratio", "tie_word_embeddings", "vocab_size", "prefix_projection"),
        *("apply_query_key_layer_scaling", "attention_softmax_in_fp32", "bias_dropout_fusion"),
        *("hidden_dropout", "attention_dropout", "classifier_dropout", "num_labels"),
        *("model_type", "architectures", "auto_map", "transformers_version", "_name_or_path"),
        *("torch_dtype", "dtype", "use_cache", "return_dict", "output_hidden_states"),
        *("output_attentions", "eos_token_id", "pad_token_id", "bos_token_id", "problem_type"),
        *("max_length", "attn_implementation", "_attn_implementation", "id2label", "label2id"),
        *("num_hidden_layers", "use_return_dict", "is_encoder_decoder", "chunk_size_feed_forward"),
    )
)
CAUSAL_CLASSES = ("ChatGLMModel", "ChatGLMForConditionalGeneration")
_LAYER = re.compile(r"transformer\.encoder\.layers\.(\d+)\.(.+)")
_QUERY_KEY_VALUE = re.compile(r"self_attention\.query_key_value\.(weight|bias)")
_OUTSIDE_LAYERS = {
    "transformer.embedding.word_embeddings.weight": "model.embed_tokens.weight",
    "transformer.encoder.final_layernorm.weight": "model.norm.weight",
}
_OUTPUT = "transformer.output_layer.weight"
_IN_LAYER = {
    "input_layernorm.weight": "input_layernorm.weight",
    "self_attention.dense.weight": "self_attn.o_proj.weight",
    "post_attention_layernorm.weight": "post_attention_layernorm.weight",
    "mlp.dense_h_to_4h.weight": "mlp.gate_up_proj.weight",
    "mlp.dense_4h_to_h.weight": "mlp.down_proj.weight",
}
# Computed from the config by every version of the code, whatever the file holds.
_DROPPED = re.compile(r"transformer\.rotary_pos_emb\.inv_freq")


def is_glm(checkpoint: Checkpoint) -> bool:
    """Whether config.json is one of the ChatGLM2 line, which GLM-4 belongs to."""
    return _is_called_chatglm(checkpoint) and not is_first_chatglm(checkpoint)


def is_first_chatglm(checkpoint: Checkpoint) -> bool:
    """Whether config.json is ChatGLM-6B's, which shares its names with the later ones."""
    keys = ("position_encoding_2d", "inner_hidden_size")
    return _is_called_chatglm(checkpoint) and any(key in checkpoint.config for key in keys)


def _is_called_chatglm(checkpoint: Checkpoint) -> bool:
    # The first published configs have no `model_type`.
    if checkpoint.model_type is None:
        return bool(set(checkpoint.architectures) & set(CAUSAL_CLASSES))
    return checkpoint.model_type == "chatglm"


def refusals(checkpoint: Checkpoint) -> tuple[Refusal, ...]:
    """Everything in the checkpoint that Glm does not compute the same way."""
    return (
        *_size_refusals(checkpoint),
        *_value_refusals(checkpoint),
        *_rope_refusals(checkpoint),
        *_unknown_refusals(checkpoint),
    )


def _size_refusals(checkpoint: Checkpoint) -> tuple[Refusal, ...]:
    config = checkpoint.config
    found = value_refusals(
        config,
        sizes=SIZES,
        epsilon="layernorm_epsilon",
        flags=("multi_query_attention", "add_qkv_bias", "tie_word_embeddings"),
    )
    if found:
        return tuple(found)
    heads = config["num_attention_heads"]
    groups = whole_number(config, "multi_query_group_num") or 0
    if config.get("multi_query_attention") and (groups == 0 or heads % groups):
        reason = f"expected a divisor of the {heads} heads, found `{groups}`"
        found.append(Refusal(reason=reason, key="multi_query_group_num"))
    if config["kv_channels"] % 4:
        reason = (
            f"expected a multiple of 4 for a rope over half of it, found `{config['kv_channels']}`"
        )
        found.append(Refusal(reason=reason, key="kv_channels"))
    return tuple(found)


def _value_refusals(checkpoint: Checkpoint) -> tuple[Refusal, ...]:
    found = []
    for key, (expected, meaning) in FIXED.items():
        value = checkpoint.config.get(key, expected)
        is_expected = value == expected or (not expected and not value)
        if not is_expected:
            reason = f"`{value!r}` means {meaning}, which Glm does not have"
            found.append(Refusal(reason=reason, key=key))
    architectures = checkpoint.architectures
    if architectures and not set(architectures) & set(CAUSAL_CLASSES):
        reason = f"`{architectures[0]}` is no language model head; expected {CAUSAL_CLASSES[1]}"
        found.append(Refusal(reason=reason, key="architectures"))
    return tuple(found)


def _rope_refusals(checkpoint: Checkpoint) -> tuple[Refusal, ...]:
    rope = read_rope(checkpoint)
    if rope.base is None:
        reason = "the shipped code has no `RotaryEmbedding` that is understood, so its rope is not"
        return (Refusal(reason=reason),)
    ratio = checkpoint.config.get("rope_ratio", 1)
    if isinstance(ratio, bool) or not isinstance(ratio, int | float) or not ratio > 0:
        reason = f"expected a positive number, found `{ratio!r}`"
        return (Refusal(reason=reason, key="rope_ratio"),)
    if ratio != 1 and rope.ratio is None:
        reason = (
            f"`{ratio}` either divides positions or multiplies the rope's base, "
            "and the shipped code does neither in a way that is understood"
        )
        return (Refusal(reason=reason, key="rope_ratio"),)
    return ()


def _unknown_refusals(checkpoint: Checkpoint) -> tuple[Refusal, ...]:
    return tuple(
        Refusal(reason="the shipped code reads this key, which the mapping does not know", key=key)
        for key, value in checkpoint.config.items()
        if key not in NEUTRAL and value not in (None, False) and mentions(checkpoint, key)
    )


def map_config(checkpoint: Checkpoint, major: int) -> dict[str, Any]:
    """The keywords of GlmConfig; eos and pad come from the tokenizer, later."""
    config = checkpoint.config
    heads: int = config["num_attention_heads"]
    base, linear_factor = _rope(checkpoint)
    mapped: dict[str, Any] = {
        "vocab_size": config["padded_vocab_size"],
        "hidden_size": config["hidden_size"],
        "intermediate_size": config["ffn_hidden_size"],
        "num_hidden_layers": config["num_layers"],
        "num_attention_heads": heads,
        "num_key_value_heads": _groups(config),
        "head_dim": config["kv_channels"],
        "max_position_embeddings": config["seq_length"],
        "rms_norm_eps": config["layernorm_epsilon"],
        "attention_bias": config.get("add_qkv_bias", False),
        "attention_dropout": 0.0,
        "hidden_act": "silu",
        "tie_word_embeddings": _is_tied(checkpoint),
    }
    scaling: dict[str, Any] = {"rope_type": "default"}
    if linear_factor != 1:
        scaling = {"rope_type": "linear", "factor": linear_factor}
    if major >= 5:
        rope = {**scaling, "rope_theta": base, "partial_rotary_factor": ROTARY_SHARE}
        return {**mapped, "rope_parameters": rope}
    mapped |= {"rope_theta": base, "partial_rotary_factor": ROTARY_SHARE}
    if linear_factor != 1:
        mapped["rope_scaling"] = scaling
    return mapped


def _rope(checkpoint: Checkpoint) -> tuple[float, float]:
    """The rope's base, and the number by which positions are divided."""
    code = read_rope(checkpoint)
    base = code.base or 0.0
    ratio = float(checkpoint.config.get("rope_ratio", 1))
    if code.ratio == "multiplies base":
        return base * ratio, 1.0
    return base, ratio if code.ratio == "divides positions" else 1.0


def _groups(config: Mapping[str, Any]) -> int:
    key = "multi_query_group_num" if config.get("multi_query_attention") else "num_attention_heads"
    groups: int = config[key]
    return groups


def _is_tied(checkpoint: Checkpoint) -> bool:
    # Without `get_output_embeddings` the library finds no head to tie, whatever the config says.
    wanted = checkpoint.config.get("tie_word_embeddings") is True
    return wanted and defines(checkpoint, "get_output_embeddings")


def map_tensor(checkpoint: Checkpoint) -> Callable[[str], tuple[Part, ...] | None]:
    """From a tensor's published name to the parts that it becomes."""
    config = checkpoint.config
    query_key_value = _split(config)
    is_tied = _is_tied(checkpoint)

    def parts(name: str) -> tuple[Part, ...] | None:
        if _DROPPED.fullmatch(name):
            return ()
        if name == _OUTPUT:
            return () if is_tied else (Part(target="lm_head.weight"),)
        if name in _OUTSIDE_LAYERS:
            return (Part(target=_OUTSIDE_LAYERS[name]),)
        layer = _LAYER.fullmatch(name)
        if layer is None:
            return None
        number, inner = layer.groups()
        if inner in _IN_LAYER:
            return (Part(target=f"model.layers.{number}.{_IN_LAYER[inner]}"),)
        packed = _QUERY_KEY_VALUE.fullmatch(inner)
        if packed is None:
            return None
        return tuple(
            Part(target=f"model.layers.{number}.self_attn.{target}.{packed[1]}", rows=rows)
            for target, rows in query_key_value.items()
        )

    return parts


def _split(config: Mapping[str, Any]) -> dict[str, tuple[tuple[int, int], ...]]:
    """The rows of `query_key_value` that are the queries, the keys and the values."""
    heads, size = config["num_attention_heads"], config["kv_channels"]
    names = ("q_proj", "k_proj", "v_proj")
    if not config.get("multi_query_attention"):  # [heads, 3, size]
        starts = (range(place * size, 3 * heads * size, 3 * size) for place in range(3))
        return {name: ranges(each, size) for name, each in zip(names, starts, strict=True)}
    first, second = heads * size, (heads + _groups(config)) * size
    last = (heads + 2 * _groups(config)) * size
    return dict(zip(names, (((0, first),), ((first, second),), ((second, last),)), strict=True))
