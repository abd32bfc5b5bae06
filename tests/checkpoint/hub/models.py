"""What the loopback hub serves: models of a few hundred kilobytes, headers and all."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from typing import Any

CONFIG = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 8}
TOKENIZER = {"version": "1.0", "model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}}


def weights(*names: str, rows: int = 20_000) -> bytes:
    """A safetensors file with one F32 matrix of `rows` by two for each name."""
    size = rows * 2 * 4
    entries = {
        name: {
            "dtype": "F32",
            "shape": [rows, 2],
            "data_offsets": [size * position, size * position + size],
        }
        for position, name in enumerate(names)
    }
    text = json.dumps(entries).encode()
    numbers = b"".join(bytes([1 + position % 255]) * size for position in range(len(names)))
    return struct.pack("<Q", len(text)) + text + numbers


def model(**more: Any) -> dict[str, Any]:
    """A model with one weight file, a tokenizer and files that nobody needs."""
    return {
        "config.json": CONFIG,
        "tokenizer.json": TOKENIZER,
        "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast"},
        "model.safetensors": weights("a", "b"),
        "README.md": "# a model",
        "onnx/model.onnx": b"x" * 1000,
        **more,
    }


def sharded() -> dict[str, Any]:
    """A model in two shards, and the same as a pickle, which is not wanted beside them."""
    shards = {
        "model-00001-of-00002.safetensors": weights("a"),
        "model-00002-of-00002.safetensors": weights("b"),
    }
    placed = dict(zip("ab", shards, strict=True))
    files = model(**shards, **{"model.safetensors.index.json": {"weight_map": placed}})
    files["pytorch_model.bin"] = b"x" * 1000
    del files["model.safetensors"]
    return files


def digest_of(files: Mapping[str, Any], name: str = "model.safetensors") -> str:
    """What the hub calls the content of a large file."""
    return hashlib.sha256(files[name]).hexdigest()
