"""Small Kronos directories with random weights, and the classes that users load them with today.

The public classes are ours under huggingface_hub's real mixin: same arguments, same tensors, and
`from_pretrained` as the public code has it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import PyTorchModelHubMixin
from safetensors.torch import save

from trueup.checkpoint.hub.watch import Watch
from trueup.kronos import model as ours_model
from trueup.kronos import tokenizer as ours_tokenizer

TOKENIZER = {
    "d_in": 6, "d_model": 8, "n_heads": 2, "ff_dim": 12, "n_enc_layers": 2, "n_dec_layers": 2,
    "ffn_dropout_p": 0.0, "attn_dropout_p": 0.0, "resid_dropout_p": 0.0, "s1_bits": 10,
    "s2_bits": 10, "beta": 0.05, "gamma0": 1.0, "gamma": 1.1, "zeta": 0.05, "group_size": 4,
}  # fmt: skip
MODEL = {
    "s1_bits": 10, "s2_bits": 10, "n_layers": 1, "d_model": 8, "n_heads": 2, "ff_dim": 12,
    "ffn_dropout_p": 0.2, "attn_dropout_p": 0.0, "resid_dropout_p": 0.2, "token_dropout_p": 0.0,
    "learn_te": True,
}  # fmt: skip


class PublicKronos(PyTorchModelHubMixin, ours_model.Kronos):
    """As `model.Kronos` of the public repository is loaded."""


class PublicTokenizer(PyTorchModelHubMixin, ours_tokenizer.KronosTokenizer):
    """As `model.KronosTokenizer` of the public repository is loaded."""


class Noted(Watch):
    """Keeps what is said."""

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def model(seed: int = 1, **changes: Any) -> ours_model.Kronos:
    torch.manual_seed(seed)
    return ours_model.Kronos(**{**MODEL, **changes}).eval()


def tokenizer(seed: int = 2, **changes: Any) -> ours_tokenizer.KronosTokenizer:
    torch.manual_seed(seed)
    return ours_tokenizer.KronosTokenizer(**{**TOKENIZER, **changes}).eval()


def files_of(module: torch.nn.Module, config: Mapping[str, Any]) -> dict[str, bytes]:
    """The two files of a repository."""
    return {
        "config.json": json.dumps(dict(config)).encode(),
        "model.safetensors": save({k: v.contiguous() for k, v in module.state_dict().items()}),
    }


def model_files(**changes: Any) -> dict[str, bytes]:
    return files_of(model(**changes), {**MODEL, **changes})


def tokenizer_files(**changes: Any) -> dict[str, bytes]:
    return files_of(tokenizer(**changes), {**TOKENIZER, **changes})


def write(directory: Path, files: Mapping[str, bytes]) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (directory / name).write_bytes(content)
    return directory


def same(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    """Whether two modules hold the same tensors."""
    a, b = first.state_dict(), second.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
