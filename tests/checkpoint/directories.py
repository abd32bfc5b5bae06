"""Small model directories for tests: JSON files, header-only safetensors, pickles."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trueup.checkpoint.checkpoint import Checkpoint
from trueup.checkpoint.files import read_checkpoint
from trueup.checkpoint.source import resolve

CONFIG = {"model_type": "llama", "architectures": ["LlamaForCausalLM"]}


def header(tensors: Mapping[str, Any]) -> bytes:
    text = json.dumps(tensors).encode()
    return struct.pack("<Q", len(text)) + text


def safetensors(*names: str, missing_bytes: int = 0) -> bytes:
    """A file with one F32 tensor of two by two for each name."""
    entries = {
        name: {
            "dtype": "F32",
            "shape": [2, 2],
            "data_offsets": [16 * position, 16 * position + 16],
        }
        for position, name in enumerate(names)
    }
    content = header(entries) + bytes(16 * len(names))
    return content[: len(content) - missing_bytes]


def tensors_of(shapes: Mapping[str, tuple[int, ...]], dtype: str = "F32") -> bytes:
    """A whole file of zeros with these tensors."""
    entries: dict[str, Any] = {}
    end = 0
    width = {"F32": 4, "F16": 2, "BF16": 2, "I32": 4, "U8": 1}[dtype]
    for name, shape in shapes.items():
        start, end = end, end + math.prod(shape) * width
        entries[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}
    return header(entries) + bytes(end)


def write(directory: Path, files: Mapping[str, Any]) -> Path:
    """Write files: bytes as they are, text as UTF-8, anything else as JSON."""
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif isinstance(content, str):
            path.write_text(content, encoding="utf-8")
        else:
            path.write_text(json.dumps(content), encoding="utf-8")
    return directory


def read(directory: Path, files: Mapping[str, Any]) -> Checkpoint:
    return read_checkpoint(resolve(str(write(directory, files))))


def kinds(checkpoint: Checkpoint) -> list[tuple[str, str]]:
    return [(problem.kind, problem.path) for problem in checkpoint.problems]
