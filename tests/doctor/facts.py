"""Facts made by hand, so that a rule is tested in one line; no file is read."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trueup.checkpoint.checkpoint import Checkpoint, Problem, RemoteModule, Weights
from trueup.environment.environment import Environment

AUTO_MAP = {
    "AutoConfig": "configuration_x.XConfig",
    "AutoModelForCausalLM": "modeling_x.XForCausalLM",
    "AutoTokenizer": "tokenization_x.XTokenizer",
}
NEWEST = "5.23.0"
LIBRARY = {"llama": "LlamaForCausalLM", "glm": "GlmForCausalLM"}


def module(path: str, source: str) -> RemoteModule:
    return RemoteModule(
        path=path,
        source=source,
        sha256=hashlib.sha256(source.encode()).hexdigest(),
        tree=ast.parse(source),
    )


def checkpoint(
    *,
    configuration: str = "",
    modeling: str = "",
    tokenization: str = "",
    more: Mapping[str, str] | None = None,
    config: Mapping[str, Any] | None = None,
    files: tuple[str, ...] = ("tokenizer.model", "model.safetensors"),
    weights: Weights | None = None,
    problems: tuple[Problem, ...] = (),
    auto_map: Mapping[str, str] | None = None,
) -> Checkpoint:
    sources = {
        "configuration_x.py": configuration,
        "modeling_x.py": modeling,
        "tokenization_x.py": tokenization,
        **(more or {}),
    }
    code = {path: module(path, source) for path, source in sources.items() if source}
    if auto_map is None:
        auto_map = {
            key: value for key, value in AUTO_MAP.items() if f"{value.partition('.')[0]}.py" in code
        }
    return Checkpoint(
        directory=Path("/models/x"),
        source="/models/x",
        revision=None,
        config={"model_type": "llama"} if config is None else config,
        tokenizer_config={},
        generation_config={},
        auto_map=auto_map,
        files=dict.fromkeys(files, 1),
        weights=weights or Weights(format="safetensors", files=("model.safetensors",)),
        remote_code=code,
        problems=problems,
        digest="sha256:0",
    )


def environment(transformers: str | None = NEWEST, **packages: str | None) -> Environment:
    """An interpreter with what models use as a rule; a package that is None is not installed."""
    given: dict[str, str | None] = {
        "torch": "2.13.0",
        "numpy": "2.3.0",
        "packaging": "25.0",
        "sentencepiece": "0.2.0",
        "tiktoken": "0.9.0",
        "protobuf": "6.33.0",
        **packages,
    }
    installed = {name: version for name, version in given.items() if version is not None}
    if transformers is not None:
        installed["transformers"] = transformers
    return Environment(
        python="/env/bin/python",
        python_version="3.11.7",
        packages=installed,
        library_models=LIBRARY if transformers is not None else {},
    )
