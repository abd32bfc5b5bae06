"""Facts for planning, made by hand: no directory and no machine is read."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.checkpoints.build import LAYOUTS, Family, config_of, write_code
from trueup.checkpoint.checkpoint import (
    Checkpoint,
    RemoteModule,
    TensorInfo,
    Weights,
)
from trueup.environment.environment import Environment, Gpu, Hardware

GIB = 1024**3
SIZES = {
    "num_layers": 28,
    "hidden_size": 4096,
    "num_attention_heads": 32,
    "multi_query_group_num": 2,
    "kv_channels": 128,
    "ffn_hidden_size": 13696,
    "torch_dtype": "float16",
}
MODERN = Environment(
    python="python",
    python_version="3.11.7",
    packages={"transformers": "5.23.0", "torch": "2.13.0", "sentencepiece": "0.2.1"},
    library_models={
        "glm": "GlmForCausalLM",
        "qwen2": "Qwen2ForCausalLM",
        "gptj": "GPTJForCausalLM",
        "bert": None,
        "roberta": "RobertaForCausalLM",
        "mpnet": None,
        "t5": None,
    },
    library_bases={
        "bert": "BertModel",
        "roberta": "RobertaModel",
        "qwen2": "Qwen2Model",
        "mpnet": "MPNetModel",
        "t5": "T5Model",
    },
)
ROOMY = Hardware(
    cpu_count=2,
    host_total_bytes=64 * GIB,
    host_available_bytes=60 * GIB,
    has_native_bf16=False,
)
GPU = Gpu(index=0, name="H100", total_bytes=80 * GIB, free_bytes=79 * GIB)


def assumed(version: str) -> Environment:
    return Environment(
        python="python",
        python_version="3.11.7",
        packages={"transformers": version},
        is_assumed=True,
    )


def glm_checkpoint(family: Family, folder: Path, **overrides: Any) -> Checkpoint:
    """A checkpoint of `family` in its published sizes; None leaves a key out."""
    config = {**config_of(family, **SIZES), **overrides}
    config = {key: value for key, value in config.items() if value is not None}
    folder.mkdir(parents=True, exist_ok=True)
    write_code(family, folder)
    code = {
        path.name: RemoteModule(
            path=path.name,
            source=(source := path.read_text(encoding="utf-8")),
            sha256="",
            tree=ast.parse(source),
        )
        for path in folder.glob("*.py")
    }
    name = LAYOUTS[family].tokenizer_class
    checkpoint = plain_checkpoint(**config)
    return replace(
        checkpoint,
        auto_map={**config["auto_map"], "AutoTokenizer": f"tokenization_chatglm.{name}"},
        remote_code=code,
        weights=weights_of("F16", 6_243_584_000),
    )


def plain_checkpoint(**config: Any) -> Checkpoint:
    return Checkpoint(
        directory=Path("/models/some-model"),
        source="/models/some-model",
        revision=None,
        config=config,
        tokenizer_config={},
        generation_config={},
        auto_map=config.get("auto_map", {}),
        files={"config.json": 100},
        weights=weights_of("F32", 1000),
        remote_code={},
        problems=(),
        digest="sha256:00",
    )


def weights_of(dtype: str, numbers: int) -> Weights:
    item_bytes = {"F32": 4, "F16": 2, "BF16": 2}[dtype]
    tensor = TensorInfo(
        name="all",
        dtype=dtype,
        shape=(numbers,),
        file="model.safetensors",
        size_bytes=numbers * item_bytes,
    )
    return Weights(
        format="safetensors",
        files=("model.safetensors",),
        tensors={"all": tensor},
        size_bytes=tensor.size_bytes,
    )
