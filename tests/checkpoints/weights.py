"""Seeded random weights of the ChatGLM layout, equal on every machine and library version.

They come from the raw output of PCG64, whose stream numpy keeps stable, not from a distribution
of numpy or torch, whose streams may change.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]


def shapes(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Names and shapes of every tensor in a checkpoint of this config.json."""
    hidden, ffn = config["hidden_size"], config["ffn_hidden_size"]
    head_dim, heads = config["kv_channels"], config["num_attention_heads"]
    groups = config["multi_query_group_num"] if config["multi_query_attention"] else heads
    rows = (heads + 2 * groups) * head_dim
    named: dict[str, tuple[int, ...]] = {
        "transformer.embedding.word_embeddings.weight": (config["padded_vocab_size"], hidden),
        "transformer.rotary_pos_emb.inv_freq": (head_dim // 4,),
        "transformer.encoder.final_layernorm.weight": (hidden,),
        "transformer.output_layer.weight": (config["padded_vocab_size"], hidden),
    }
    for number in range(config["num_layers"]):
        layer = f"transformer.encoder.layers.{number}"
        named[f"{layer}.input_layernorm.weight"] = (hidden,)
        named[f"{layer}.self_attention.query_key_value.weight"] = (rows, hidden)
        if config["add_qkv_bias"]:
            named[f"{layer}.self_attention.query_key_value.bias"] = (rows,)
        named[f"{layer}.self_attention.dense.weight"] = (hidden, heads * head_dim)
        named[f"{layer}.post_attention_layernorm.weight"] = (hidden,)
        named[f"{layer}.mlp.dense_h_to_4h.weight"] = (2 * ffn, hidden)
        named[f"{layer}.mlp.dense_4h_to_h.weight"] = (hidden, ffn)
    return named


def seeded(config: Mapping[str, Any], seed: int) -> dict[str, Array]:
    """The weights that `seed` stands for, in sorted order of their names."""
    bits = np.random.PCG64(seed)
    return {name: _tensor(name, shape, bits) for name, shape in sorted(shapes(config).items())}


def digest(weights: Mapping[str, Array]) -> str:
    """`sha256:` over names, shapes and fp32 bytes in sorted order."""
    running = hashlib.sha256()
    for name, values in sorted(weights.items()):
        running.update(f"{name}{list(values.shape)}".encode())
        running.update(values.astype("<f4").tobytes())
    return f"sha256:{running.hexdigest()}"


def _tensor(name: str, shape: tuple[int, ...], bits: np.random.PCG64) -> Array:
    if name.endswith("inv_freq"):
        # In fp64 and rounded once: fp32 powers differ from processor to processor.
        return np.array([10000 ** (-index / shape[0]) for index in range(shape[0])], np.float32)
    # The top 24 bits as a float in [-1, 1), exact in fp32.
    drawn = bits.random_raw(math.prod(shape)) >> np.uint64(40)
    uniform = (drawn.astype(np.float32) * np.float32(2**-23) - np.float32(1)).reshape(shape)
    return _scaled(name, uniform)


def _scaled(name: str, uniform: Array) -> Array:
    """Scales that make logits tell every mistake: live biases, norms that are not one."""
    if name.endswith("layernorm.weight"):
        return np.float32(1) + np.float32(0.3) * uniform
    if name.endswith(".bias"):
        return np.float32(0.5) * uniform
    if name.endswith("word_embeddings.weight"):
        return np.float32(0.1) * uniform
    gain = 2.0 if "query_key_value" in name or "output_layer" in name else 1.0
    return (np.float32(gain * math.sqrt(3 / uniform.shape[1])) * uniform).astype(np.float32)
