"""Puts together random checkpoint directories of the Baichuan and InternLM kinds.

The remote code in them is ours (`remote_code/KIND/`), with the buffers, the packed weights, the
cache and the masks of the code that such models are published with. Nothing here imports trueup.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tests.checkpoints.build import REMOTE_CODE, WeightsFormat, _write_json, write_weights
from tests.checkpoints.vocabularies import SENTENCEPIECE_TOKENS, SYMBOLS, USER_DEFINED_SYMBOLS
from tests.checkpoints.weights import Array

Kind = Literal["baichuan-7b", "baichuan2-7b", "baichuan2-13b", "internlm", "internlm2"]
KINDS: tuple[Kind, ...] = ("baichuan-7b", "baichuan2-7b", "baichuan2-13b", "internlm", "internlm2")
# `rotary_emb.inv_freq` is a persistent buffer in the code of these, so their files hold it.
KEEPS_FREQUENCIES = ("baichuan-7b", "internlm")
CONTEXT_TOKENS = 512
# The pieces that InternLM2's tokenizer_config.json gives another name.
INTERNLM2_ADDED = {
    "[UNUSED_TOKEN_141]": "<|plugin|>",
    "[UNUSED_TOKEN_142]": "<|interpreter|>",
    "[UNUSED_TOKEN_143]": "<|action_end|>",
    "[UNUSED_TOKEN_144]": "<|action_start|>",
    "[UNUSED_TOKEN_145]": "<|im_end|>",
    "[UNUSED_TOKEN_146]": "<|im_start|>",
}
INTERNLM2_CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
# Module suffix, prefix of the model's classes, prefix of the tokenizer's class.
NAMES: Mapping[Kind, tuple[str, str, str]] = {
    "baichuan-7b": ("baichuan", "BaiChuan", "BaiChuan"),
    "baichuan2-7b": ("baichuan", "Baichuan", "Baichuan"),
    "baichuan2-13b": ("baichuan", "Baichuan", "Baichuan"),
    "internlm": ("internlm", "InternLM", "InternLM"),
    "internlm2": ("internlm2", "InternLM2", "InternLM2"),
}


def build_llama_kind(
    kind: Kind,
    directory: Path,
    *,
    seed: int = 0,
    layers: int = 2,
    hidden: int = 64,
    heads: int = 4,
    groups: int = 2,
    weights_format: WeightsFormat = "safetensors",
    dtype: str = "float32",
    **config_overrides: Any,
) -> Path:
    """Writes a random checkpoint of `kind` into `directory` (made if missing) and returns it.

    `groups` is InternLM2's alone. Further keywords replace keys of config.json; one whose value
    is None leaves the key out.
    """
    sizes = {"num_hidden_layers": layers, "hidden_size": hidden, "num_attention_heads": heads}
    if kind == "internlm2":
        sizes["num_key_value_heads"] = groups
    config = {**config_of_kind(kind, **sizes, torch_dtype=dtype), **config_overrides}
    config = {key: value for key, value in config.items() if value is not None}
    config.setdefault("intermediate_size", 2 * hidden + 32)
    directory.mkdir(parents=True, exist_ok=True)
    _write_json(directory / "config.json", config)
    _write_json(directory / "generation_config.json", generation_config_of(kind))
    write_kind_code(kind, directory)
    write_kind_tokenizer(kind, directory)
    write_weights(
        seeded_kind(kind, config, seed), directory, weights_format=weights_format, dtype=dtype
    )
    return directory


def config_of_kind(kind: Kind, **overrides: Any) -> dict[str, Any]:
    """config.json as the kind publishes it, with `overrides` for its sizes."""
    module, prefix, _ = NAMES[kind]
    length = "model_max_length" if kind == "baichuan2-13b" else "max_position_embeddings"
    config: dict[str, Any] = {
        "architectures": [f"{prefix}ForCausalLM"],
        "auto_map": {
            "AutoConfig": f"configuration_{module}.{prefix}Config",
            "AutoModelForCausalLM": f"modeling_{module}.{prefix}ForCausalLM",
        },
        "bos_token_id": 1,
        "eos_token_id": 2,
        "hidden_act": "silu",
        "initializer_range": 0.02,
        length: CONTEXT_TOKENS,
        "model_type": module,
        "pad_token_id": 2 if kind == "internlm2" else 0,
        "rms_norm_eps": 1e-06,
        "tie_word_embeddings": False,
        "transformers_version": "4.29.2",
        "use_cache": True,
        "vocab_size": SENTENCEPIECE_TOKENS,
    }
    if kind == "baichuan2-7b":
        config["model_max_length"] = CONTEXT_TOKENS
    if kind.startswith("internlm"):
        config["auto_map"]["AutoModel"] = config["auto_map"]["AutoModelForCausalLM"]
        config["bias"] = kind == "internlm"
    if kind == "internlm":
        config["num_key_value_heads"] = 32  # stale: nothing in the code reads it
    if kind == "internlm2":
        config |= {
            "attn_implementation": "eager",
            "rms_norm_eps": 1e-05,
            "rope_scaling": {"type": "dynamic", "factor": 1.0},
            "rope_theta": 1000000,
        }
    return config | overrides


def generation_config_of(kind: Kind) -> dict[str, Any]:
    """generation_config.json; Baichuan2's chat models name their reserved ids in it."""
    settings: dict[str, Any] = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    if kind.startswith("baichuan2"):
        settings |= {
            "user_token_id": symbol_id("<reserved_106>"),
            "assistant_token_id": symbol_id("<reserved_107>"),
            "max_new_tokens": 64,
            "temperature": 0.3,
            "top_k": 5,
            "top_p": 0.85,
            "repetition_penalty": 1.05,
            "do_sample": True,
        }
    return settings | {"transformers_version": "4.29.2"}


def symbol_id(symbol: str) -> int:
    """The id of a user-defined symbol of the small vocabulary."""
    return 3 + USER_DEFINED_SYMBOLS.index(symbol)


def write_kind_code(kind: Kind, directory: Path) -> None:
    """The Python files of the kind."""
    for path in sorted((REMOTE_CODE / kind.replace("-", "_")).glob("*.py")):
        shutil.copyfile(path, directory / path.name)


def write_kind_tokenizer(kind: Kind, directory: Path) -> None:
    """tokenizer.model and tokenizer_config.json, without the Python file."""
    module, _, prefix = NAMES[kind]
    settings: dict[str, Any] = {
        "add_bos_token": not kind.startswith("baichuan2"),
        "add_eos_token": False,
        "auto_map": {"AutoTokenizer": [f"tokenization_{module}.{prefix}Tokenizer", None]},
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "pad_token": "</s>" if kind.startswith("internlm") else "<unk>",
        "clean_up_tokenization_spaces": False,
        "model_max_length": CONTEXT_TOKENS,
        "tokenizer_class": f"{prefix}Tokenizer",
    }
    if kind == "internlm2":
        flags = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False}
        renamed = {symbol_id(piece): name for piece, name in INTERNLM2_ADDED.items()}
        renamed = {0: "<unk>", 1: "<s>", 2: "</s>"} | renamed
        settings |= {
            "added_tokens_decoder": {
                str(number): {"content": name, **flags, "special": True}
                for number, name in renamed.items()
            },
            "additional_special_tokens": list(INTERNLM2_ADDED.values()),
            "chat_template": INTERNLM2_CHAT_TEMPLATE,
        }
    shutil.copyfile(SYMBOLS, directory / "tokenizer.model")
    _write_json(directory / "tokenizer_config.json", settings)


def kind_shapes(kind: Kind, config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Names and shapes of every tensor in a checkpoint of this config.json."""
    hidden, ffn, rows = (config[key] for key in ("hidden_size", "intermediate_size", "vocab_size"))
    if kind == "internlm2":
        return _internlm2_shapes(config)
    named: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (rows, hidden),
        "model.norm.weight": (hidden,),
        "lm_head.weight": (rows, hidden),
    }
    for number in range(config["num_hidden_layers"]):
        layer = f"model.layers.{number}"
        attention = f"{layer}.self_attn"
        named[f"{layer}.input_layernorm.weight"] = (hidden,)
        named[f"{layer}.post_attention_layernorm.weight"] = (hidden,)
        named[f"{layer}.mlp.gate_proj.weight"] = (ffn, hidden)
        named[f"{layer}.mlp.up_proj.weight"] = (ffn, hidden)
        named[f"{layer}.mlp.down_proj.weight"] = (hidden, ffn)
        named[f"{attention}.o_proj.weight"] = (hidden, hidden)
        if kind == "internlm":
            for name in ("q_proj", "k_proj", "v_proj"):
                named[f"{attention}.{name}.weight"] = (hidden, hidden)
        else:
            named[f"{attention}.W_pack.weight"] = (3 * hidden, hidden)
        if kind == "internlm" and config["bias"]:
            for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
                named[f"{attention}.{name}.bias"] = (hidden,)
        if kind in KEEPS_FREQUENCIES:
            frequencies = hidden // config["num_attention_heads"] // 2
            named[f"{attention}.rotary_emb.inv_freq"] = (frequencies,)
    return named


def _internlm2_shapes(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    hidden, ffn, rows = (config[key] for key in ("hidden_size", "intermediate_size", "vocab_size"))
    heads, groups = config["num_attention_heads"], config["num_key_value_heads"]
    packed = (heads + 2 * groups) * (hidden // heads)
    named: dict[str, tuple[int, ...]] = {
        "model.tok_embeddings.weight": (rows, hidden),
        "model.norm.weight": (hidden,),
        "output.weight": (rows, hidden),
    }
    for number in range(config["num_hidden_layers"]):
        layer = f"model.layers.{number}"
        named[f"{layer}.attention_norm.weight"] = (hidden,)
        named[f"{layer}.ffn_norm.weight"] = (hidden,)
        named[f"{layer}.attention.wqkv.weight"] = (packed, hidden)
        named[f"{layer}.attention.wo.weight"] = (hidden, hidden)
        if config["bias"]:
            named[f"{layer}.attention.wqkv.bias"] = (packed,)
            named[f"{layer}.attention.wo.bias"] = (hidden,)
        named[f"{layer}.feed_forward.w1.weight"] = (ffn, hidden)
        named[f"{layer}.feed_forward.w3.weight"] = (ffn, hidden)
        named[f"{layer}.feed_forward.w2.weight"] = (hidden, ffn)
    return named


def seeded_kind(kind: Kind, config: Mapping[str, Any], seed: int) -> dict[str, Array]:
    """The weights that `seed` stands for, in sorted order of their names (see `weights.py`)."""
    bits = np.random.PCG64(seed)
    shapes = sorted(kind_shapes(kind, config).items())
    return {name: _tensor(name, shape, bits) for name, shape in shapes}


def _tensor(name: str, shape: tuple[int, ...], bits: np.random.PCG64) -> Array:
    if name.endswith("inv_freq"):
        return np.array([10000 ** (-index / shape[0]) for index in range(shape[0])], np.float32)
    drawn = bits.random_raw(math.prod(shape)) >> np.uint64(40)
    uniform = (drawn.astype(np.float32) * np.float32(2**-23) - np.float32(1)).reshape(shape)
    if name.endswith(".bias"):
        return np.float32(0.5) * uniform
    if len(shape) == 1:
        return np.float32(1) + np.float32(0.3) * uniform
    if "embed" in name:
        return np.float32(0.1) * uniform
    # Sharper attention would round by more than a mapping may differ by.
    attention = ("W_pack", "q_proj", "k_proj", "v_proj", "wqkv")
    gain = 1.4 if any(part in name for part in attention) else 1.0
    gain = 2.0 if "lm_head" in name or "output" in name else gain
    values = (np.float32(gain * math.sqrt(3 / shape[1])) * uniform).astype(np.float32)
    if "lm_head" in name:  # rows of different lengths, so that a head of unit rows is told apart
        values *= np.linspace(0.5, 1.5, shape[0], dtype=np.float32)[:, None]
    return values
