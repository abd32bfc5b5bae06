"""The ChatGLM2 equations in plain numpy, float64, one sequence: slow, and independent of ours.

Reads a published config and the seeded weights; imports neither torch nor trueup.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

Array = Any  # of numpy, float64


def logits(
    config: Mapping[str, Any],
    weights: Mapping[str, Array],
    token_ids: list[int],
    *,
    divides_positions: bool = False,
) -> Array:
    """[tokens, vocabulary] for one sequence; `rope_ratio` divides positions or scales the base."""
    tensors = {name: np.asarray(value, dtype=np.float64) for name, value in weights.items()}
    hidden = tensors["transformer.embedding.word_embeddings.weight"][token_ids]
    rope = _rope(config, len(token_ids), divides_positions)
    for number in range(config["num_layers"]):
        layer = {
            name.removeprefix(f"transformer.encoder.layers.{number}."): value
            for name, value in tensors.items()
            if name.startswith(f"transformer.encoder.layers.{number}.")
        }
        normed = _rms_norm(hidden, layer["input_layernorm.weight"], config)
        hidden = hidden + _attention(normed, layer, config, rope)
        normed = _rms_norm(hidden, layer["post_attention_layernorm.weight"], config)
        first, second = np.split(normed @ layer["mlp.dense_h_to_4h.weight"].T, 2, axis=-1)
        gated = first / (1.0 + np.exp(-first)) * second
        hidden = hidden + gated @ layer["mlp.dense_4h_to_h.weight"].T
    hidden = _rms_norm(hidden, tensors["transformer.encoder.final_layernorm.weight"], config)
    return hidden @ tensors["transformer.output_layer.weight"].T


def _rms_norm(values: Array, weight: Array, config: Mapping[str, Any]) -> Array:
    mean_square = np.mean(values**2, axis=-1, keepdims=True)
    return weight * values / np.sqrt(mean_square + config["layernorm_epsilon"])


def _rope(config: Mapping[str, Any], length: int, divides_positions: bool) -> tuple[Array, Array]:
    size = config["kv_channels"] // 2
    factor = config.get("rope_ratio", 1)
    base = 10000.0 * (1 if divides_positions else factor)
    positions = np.arange(length) / (factor if divides_positions else 1)
    angles = np.outer(positions, base ** (-np.arange(0, size, 2) / size))
    return np.cos(angles), np.sin(angles)


def _rotate(heads: Array, rope: tuple[Array, Array]) -> Array:
    """Rotates neighbouring pairs of the first half of each head: [tokens, heads, size]."""
    cosine, sine = (each[:, None, :] for each in rope)
    size = 2 * cosine.shape[-1]
    even, odd = heads[..., 0:size:2], heads[..., 1:size:2]
    turned = heads.copy()
    turned[..., 0:size:2] = even * cosine - odd * sine
    turned[..., 1:size:2] = odd * cosine + even * sine
    return turned


def _attention(
    hidden: Array, layer: Mapping[str, Array], config: Mapping[str, Any], rope: tuple[Array, Array]
) -> Array:
    heads, size, length = config["num_attention_heads"], config["kv_channels"], len(hidden)
    packed = hidden @ layer["self_attention.query_key_value.weight"].T
    packed = packed + layer.get("self_attention.query_key_value.bias", 0.0)
    if config["multi_query_attention"]:
        groups = config["multi_query_group_num"]
        cuts = [heads * size, (heads + groups) * size]
        parts = [part.reshape(length, -1, size) for part in np.split(packed, cuts, axis=-1)]
    else:
        groups = heads
        parts = list(packed.reshape(length, heads, 3, size).transpose(2, 0, 1, 3))
    queries, keys = _rotate(parts[0], rope), _rotate(parts[1], rope)
    keys, values = (np.repeat(each, heads // groups, axis=1) for each in (keys, parts[2]))
    scores = np.einsum("qhd,khd->hqk", queries, keys) / np.sqrt(size)
    scores = np.where(np.tril(np.ones((length, length), dtype=bool)), scores, -np.inf)
    shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
    shares /= shares.sum(axis=-1, keepdims=True)
    mixed = np.einsum("hqk,khd->qhd", shares, values).reshape(length, heads * size)
    return mixed @ layer["self_attention.dense.weight"].T
