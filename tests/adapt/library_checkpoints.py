"""Tiny random checkpoints of models that the library implements itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.checkpoints.build import write_tokenizer
from trueup.adapt.native.tokenizer import build_tokenizer, save_tokenizer

SIZES = {"vocab_size": 704, "eos_token_id": 2, "pad_token_id": 0, "bos_token_id": 1}


def build_library_checkpoint(
    model_type: str, directory: Path, *, dtype: str = "float32", **overrides: Any
) -> Path:
    """`qwen2`, `llama`, `gpt2`, `gptj` or `glm4`, with a tokenizer of ours.

    `overrides` are keys of the config.
    """
    import torch
    import transformers

    torch.manual_seed(0)
    wide = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    decoder = {**wide, "intermediate_size": 96, "num_key_value_heads": 2}
    old = {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 256}
    configs: dict[str, Any] = {
        "qwen2": (transformers.Qwen2Config, decoder),
        "llama": (transformers.LlamaConfig, decoder),
        "gpt2": (transformers.GPT2Config, old),
        "glm4": (transformers.Glm4Config, {**decoder, "head_dim": 16}),
        "gptj": (transformers.GPTJConfig, {**old, "rotary_dim": 8}),
    }
    config_class, sizes = configs[model_type]
    model = transformers.AutoModelForCausalLM.from_config(
        config_class(**{**SIZES, **sizes, **overrides})
    ).to(getattr(torch, dtype))
    model.save_pretrained(directory)
    vocabulary = directory / "vocabulary"
    vocabulary.mkdir()
    write_tokenizer("chatglm3", vocabulary)
    tokenizer = build_tokenizer("chatglm3", vocabulary, config={}, tokenizer_config={})
    save_tokenizer(tokenizer, directory)
    return directory
