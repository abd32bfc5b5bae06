"""What a model directory says, as frozen facts.

Data only: `files.py` reads it, the doctor and the planner judge it. Nothing here imports
torch or transformers, opens a file or runs a model's code.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

WeightsFormat = Literal["safetensors", "pickle", "gguf", "none"]
ProblemKind = Literal[
    "absent",  # a file that must be there is not
    "not_json",  # a JSON file that does not parse, or is no object
    "byte_order_mark",  # a JSON file that is whole but for three bytes before it
    "missing_shard",  # the index names a weight file that is not there
    "missing_tensor",  # the index places a tensor in a file whose header lacks it
    "left_out",  # the index does not name tensors that a shard has
    "truncated",  # shorter than its header says
    "lfs_pointer",  # Git LFS's three-line text instead of the content
    "html",  # a web page saved under the file's name
    "malformed",  # the header or archive cannot be read
    "old_layout",  # a pickle from before torch 1.6, which cannot be mapped into memory
    "unsafe_pickle",  # a pickle that imports more than tensors need
    "odd_pickle",  # a pickle with instructions that torch's weights-only loader does not follow
    "loose_pickle",  # one that is no weight file, and runs code when somebody loads it
    "unreadable",  # the operating system refuses
    "python_syntax",  # remote code that does not parse
    "python_2",  # remote code that only Python 2 would run
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


@dataclass(frozen=True, kw_only=True)
class RemoteModule:
    """One Python file of the model's own code; `tree` is None where it does not parse."""

    path: str
    source: str
    sha256: str
    tree: ast.Module | None

    @functools.cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        """Every node of `tree`, those near the root first."""
        return () if self.tree is None else tuple(ast.walk(self.tree))


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
class ChatTemplate:
    """A chat template: the file and key that it stands in; `fault` where it does not parse."""

    path: str
    key: str | None
    name: str
    text: str
    fault: str | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizerFacts:
    """What the tokenizer's files hold, without building it.

    `vocabulary_size` is one more than the highest id of `vocabulary_file`, without added tokens;
    `added` are those by their text; `special_ids` has the ids of `eos_token` and its like.
    `has_pairs`: merges of tokenizer.json are pairs of texts, not texts of two parts.
    """

    vocabulary_file: str | None = None
    vocabulary_size: int | None = None
    added: Mapping[str, int] = field(default_factory=dict)
    special_ids: Mapping[str, int] = field(default_factory=dict)
    has_pairs: bool = False
    templates: tuple[ChatTemplate, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HubClass:
    """A class with huggingface_hub's PyTorchModelHubMixin, whose arguments config.json holds.

    `path` is None where the class is known from elsewhere; `attributes` are what its constructor
    sets on itself, with which names of tensors begin.
    """

    name: str
    path: str | None
    line: int | None
    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    takes_any: bool = False
    attributes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class HubModel:
    """The class that a directory's weights are of, and the others that it could be taken for."""

    chosen: HubClass
    others: tuple[HubClass, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """A PEFT adapter: its config, its tensors, and its base model where that is on this machine.

    `base` is what `base_model_name_or_path` says; `base_directory` is None where it is not found,
    and `base_tensors` are empty where its weights cannot be read.
    """

    config: Mapping[str, Any]
    weights: Weights
    base: str | None = None
    base_directory: Path | None = None
    base_tensors: Mapping[str, TensorInfo] = field(default_factory=dict)
    has_own_model: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GgufHeader:
    """What a GGUF file says of itself; None where it does not."""

    architecture: str | None = None
    name: str | None = None
    quantisation: str | None = None
    context_tokens: int | None = None
    layers: int | None = None
    tensor_count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A model directory: JSON files, weight headers, tokenizer files and remote code.

    `config` is empty where config.json is absent or not JSON: `problems` says which.
    `auto_map` joins those of config.json and tokenizer_config.json, by Auto class name.
    `digest` is `sha256:…` over the small files' bytes and the weight files' headers, sizes and
    samples of their content. `hub_digests` are SHA-256 of weight files that are on a hub, where
    `directory` lacks them. `hub_model` is set for models that are loaded by a class of
    huggingface_hub; `classes` are those in the directory's Python files, read where config.json
    does not say what the model is. `requirements` are lines of the packages that a function of its
    own for generating asks for.
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
    tokenizer: TokenizerFacts = field(default_factory=TokenizerFacts)
    hub_model: HubModel | None = None
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    adapter: Adapter | None = None
    gguf: GgufHeader | None = None
    requirements: tuple[str, ...] = ()

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
