"""Writes random checkpoints in the layout of the first ChatGLM-6B; the code in them is ours.

Nothing here imports trueup.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tests.checkpoints.build import REMOTE_CODE, write_weights
from tests.checkpoints.vocabularies import SENTENCEPIECE
from tests.checkpoints.weights import Array

CODE = REMOTE_CODE / "chatglm_6b"
VOCABULARY_TOKENS = 648  # 640 pieces and four tokens of its own fit


def build_chatglm_v1(
    directory: Path, *, seed: int = 0, layers: int = 2, hidden: int = 64, heads: int = 4
) -> Path:
    """A checkpoint whose weights are kept in float16, as published; returns `directory`."""
    config = config_of_v1(num_layers=layers, hidden_size=hidden, num_attention_heads=heads)
    directory.mkdir(parents=True, exist_ok=True)
    for path in CODE.glob("*.py"):
        shutil.copyfile(path, directory / path.name)
    shutil.copyfile(SENTENCEPIECE, directory / "ice_text.model")
    settings = {
        "tokenizer_class": "ChatGLMTokenizer",
        "auto_map": {"AutoTokenizer": ["tokenization_chatglm.ChatGLMTokenizer", None]},
    }
    _write(directory / "config.json", config)
    _write(directory / "tokenizer_config.json", settings)
    write_weights(seeded_v1(config, seed), directory, dtype="float16")
    return directory


def config_of_v1(**overrides: Any) -> dict[str, Any]:
    """config.json as the family publishes it, with `overrides` for its sizes."""
    model = "modeling_chatglm.ChatGLMForConditionalGeneration"
    return {
        "architectures": ["ChatGLMModel"],
        "auto_map": {
            "AutoConfig": "configuration_chatglm.ChatGLMConfig",
            "AutoModel": model,
            "AutoModelForSeq2SeqLM": model,
        },
        "bos_token_id": 642,
        "eos_token_id": 643,
        "mask_token_id": 640,
        "gmask_token_id": 641,
        "pad_token_id": 0,
        "inner_hidden_size": 128,
        "layernorm_epsilon": 1e-05,
        "max_sequence_length": 512,
        "model_type": "chatglm",
        "position_encoding_2d": True,
        "torch_dtype": "float16",
        "transformers_version": "4.23.1",
        "use_cache": True,
        "vocab_size": VOCABULARY_TOKENS,
        **overrides,
    }


def seeded_v1(config: Mapping[str, Any], seed: int) -> dict[str, Array]:
    """The weights that `seed` stands for, in sorted order of their names."""
    bits = np.random.PCG64(seed)
    drawn = {name: _tensor(name, shape, bits) for name, shape in sorted(_shapes(config).items())}
    # 4.x ties the head to the embedding where a config does not say otherwise.
    return {**drawn, "lm_head.weight": drawn["transformer.word_embeddings.weight"]}


def _shapes(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    hidden, inner = config["hidden_size"], config["inner_hidden_size"]
    head_dim = hidden // config["num_attention_heads"]
    named: dict[str, tuple[int, ...]] = {
        "transformer.word_embeddings.weight": (config["vocab_size"], hidden),
        "transformer.final_layernorm.weight": (hidden,),
        "transformer.final_layernorm.bias": (hidden,),
        "lm_head.weight": (config["vocab_size"], hidden),
    }
    for number in range(config["num_layers"]):
        layer = f"transformer.layers.{number}"
        named[f"{layer}.attention.rotary_emb.inv_freq"] = (head_dim // 4,)
        for norm in ("input_layernorm", "post_attention_layernorm"):
            named |= {f"{layer}.{norm}.weight": (hidden,), f"{layer}.{norm}.bias": (hidden,)}
        for part, rows, columns in (
            ("attention.query_key_value", 3 * hidden, hidden),
            ("attention.dense", hidden, hidden),
            ("mlp.dense_h_to_4h", inner, hidden),
            ("mlp.dense_4h_to_h", hidden, inner),
        ):
            named[f"{layer}.{part}.weight"] = (rows, columns)
            named[f"{layer}.{part}.bias"] = (rows,)
    return named


def _tensor(name: str, shape: tuple[int, ...], bits: np.random.PCG64) -> Array:
    if name.endswith("inv_freq"):
        return np.array([10000 ** (-index / shape[0]) for index in range(shape[0])], np.float32)
    drawn = bits.random_raw(math.prod(shape)) >> np.uint64(40)
    uniform = (drawn.astype(np.float32) * np.float32(2**-23) - np.float32(1)).reshape(shape)
    if name.endswith(".bias"):
        return np.float32(0.3) * uniform
    if len(shape) == 1:
        return np.float32(1) + np.float32(0.3) * uniform
    gain = 3.0 if "query_key_value" in name or "lm_head" in name else 1.0
    return (np.float32(gain * math.sqrt(3 / shape[1])) * uniform).astype(np.float32)


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
