"""Layouts of other programs, told by the names of files."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """A layout that transformers does not load, and what to do with it."""

    title: str
    hint: str
    file: str = ""


SAFETENSORS = "get the model's safetensors files"
LAYOUTS: tuple[tuple[re.Pattern[str], str, str], ...] = (
    (
        re.compile(r"consolidated\.\d+\.(?:pth|pt)|consolidated(?:-\d+-of-\d+)?\.safetensors"),
        "weights as Meta and Mistral publish them",
        "convert them with transformers' `convert_llama_weights_to_hf`, or get the model's "
        "repository for transformers",
    ),
    (
        re.compile(r"(?:.*/)?(?:bf16_)?zero_pp_rank_\d+_mp_rank_\d+.*\.pt"),
        "shards of DeepSpeed ZeRO",
        "python zero_to_fp32.py . . (the script lies in the folder that DeepSpeed wrote)",
    ),
    (
        re.compile(r"(?:.*/)?mp_rank_\d+(?:_\d+)?(?:_model_states\.pt|/model_optim_rng\.pt)"),
        "shards of Megatron or DeepSpeed",
        "convert them to the format of transformers with the tool of the training program",
    ),
    (
        re.compile(r"(?:.*/)?__\d+_\d+\.distcp"),
        "shards of torch.distributed (FSDP)",
        "python -m torch.distributed.checkpoint.format_utils dcp_to_torch . pytorch_model.bin",
    ),
    (
        re.compile(r"(?:.*/)?rank\d+\.engine|(?:.*/)?\w+\.engine"),
        "an engine of TensorRT-LLM",
        SAFETENSORS,
    ),
    (re.compile(r"(?:.*/)?openvino_model\.xml"), "a model of OpenVINO", SAFETENSORS),
    (re.compile(r"flax_model.*\.msgpack"), "weights of Flax", SAFETENSORS),
    (re.compile(r"tf_model.*\.h5"), "weights of TensorFlow", SAFETENSORS),
    (re.compile(r"weights(?:\.\d+)?\.npz"), "weights of MLX", SAFETENSORS),
    (re.compile(r"(?:onnx/)?(?:\w+_)?model\w*\.onnx"), "a model of ONNX", SAFETENSORS),
)


def foreign_layout(files: Iterable[str]) -> Foreign | None:
    """The layout of another program that the files are in, None where they are in none."""
    names = sorted(files)
    for pattern, title, hint in LAYOUTS:
        file = next((name for name in names if pattern.fullmatch(name)), None)
        if file is not None:
            return Foreign(title=title, hint=hint, file=file)
    return None
