"""What a model directory says, as frozen facts.

Data only: `files.py` reads it, the doctor and the planner judge it. Nothing here imports
torch or transformers, opens a file or runs a model's code.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

WeightsFormat = Literal["safetensors", "pickle", "gguf", "none"]
ProblemKind = Literal[
    "absent",  # a file that must be there is not
    "not_json",  # a JSON file that does not parse, or is no object
    "missing_shard",  # the index names a weight file that is not there
    "missing_tensor",  # the index places a tensor in a file whose header lacks it
    "truncated",  # shorter than its header says
    "lfs_pointer",  # Git LFS's three-line text instead of the content
    "html",  # a web page saved under the file's name
    "malformed",  # the header or archive cannot be read
    "old_layout",  # a pickle from before torch 1.6, which cannot be mapped into memory
    "unsafe_pickle",  # a pickle that imports more than tensors need
    "unreadable",  # the operating system refuses
    "python_syntax",  # remote code that does not parse
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something wrong with one file, as far as the file alone shows it."""

    kind: ProblemKind
    path: str
    detail: str
    line: int | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorInfo:
    """One tensor of a weight file: `dtype` in safetensors' spelling (`F16`, `BF16`, `I8`)."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """The weight files of a checkpoint, read from headers only.

    `tensors` is empty where the names cannot be known without unpickling.
    """

    format: WeightsFormat
    files: tuple[str, ...] = ()
    tensors: Mapping[str, TensorInfo] = field(default_factory=dict)
    size_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteModule:
    """One Python file of the model's own code; `tree` is None where it does not parse."""

    path: str
    source: str
    sha256: str
    tree: ast.Module | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SentenceModule:
    """One entry of Sentence Transformers' modules.json; `type` is the class's own name."""

    type: str
    path: str
    config: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class SentenceModules:
    """What Sentence Transformers wrote: modules in order, its settings, those of the model."""

    is_present: bool = False
    modules: tuple[SentenceModule, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    transformer: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A model directory: JSON files, weight headers, tokenizer files and remote code.

    `config` is empty where config.json is absent or not JSON: `problems` says which.
    `auto_map` joins those of config.json and tokenizer_config.json, by Auto class name.
    `digest` is `sha256:…` over the small files' bytes and the weight files' headers, sizes and
    samples of their content. `hub_digests` are SHA-256 of weight files that are on a hub, where
    `directory` lacks them.
    """

    directory: Path
    source: str
    revision: str | None
    config: Mapping[str, Any]
    tokenizer_config: Mapping[str, Any]
    generation_config: Mapping[str, Any]
    auto_map: Mapping[str, str]
    files: Mapping[str, int]
    weights: Weights
    remote_code: Mapping[str, RemoteModule]
    problems: tuple[Problem, ...]
    digest: str
    sentence: SentenceModules = field(default_factory=SentenceModules)
    hub_digests: Mapping[str, str] = field(default_factory=dict)

    @property
    def model_type(self) -> str | None:
        """`model_type` of config.json, None where it is absent or not a string."""
        value = self.config.get("model_type")
        return value if isinstance(value, str) else None

    @property
    def architectures(self) -> tuple[str, ...]:
        """`architectures` of config.json."""
        value = self.config.get("architectures")
        return (
            tuple(item for item in value if isinstance(item, str))
            if isinstance(value, list)
            else ()
        )
