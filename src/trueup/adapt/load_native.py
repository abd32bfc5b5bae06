"""Builds the library's class for a mapped layout and fills it; none of the model's code runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueup.adapt.load_weights import fill_weights
from trueup.adapt.native.family import NativeFamily
from trueup.adapt.plan import Plan
from trueup.checkpoint.checkpoint import Checkpoint
from trueup.errors import AdaptError

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase


def load_native(
    family: NativeFamily,
    checkpoint: Checkpoint,
    plan: Plan,
    progress: Callable[[float], None] | None = None,
    *,
    is_filled: bool = True,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, tuple[int, ...]]:
    """The model, its tokenizer and its stop tokens, as `plan` says.

    One that is not filled keeps its parameters on the meta device.

    Raises: AdaptError, CheckpointError.
    """
    import torch

    tokenizer, stops = native_tokenizer(family, checkpoint, plan)
    dtype: torch.dtype = getattr(torch, plan.dtype)
    config = native_config(family, checkpoint, tokenizer, stops, dtype)
    device = torch.device(plan.device)
    model = build_empty(plan, config)
    if is_filled:
        fill_weights(
            model,
            checkpoint.weights,
            checkpoint.directory,
            family.map_tensor(checkpoint),
            dtype=dtype,
            device=device,
            progress=progress,
        )
        model.to(device)
    _set_generation(model, tokenizer, stops)
    return model, tokenizer, stops


def native_tokenizer(
    family: NativeFamily, checkpoint: Checkpoint, plan: Plan
) -> tuple[PreTrainedTokenizerBase, tuple[int, ...]]:
    """The family's tokenizer, rebuilt from the vocabulary file, and its stop tokens.

    Raises: AdaptError for a family that has no mapping; CheckpointError.
    """
    if family.speech is None:
        raise AdaptError(f"{family.title} has no native mapping", where=plan.model.directory)
    tokenizer = family.speech.build_tokenizer(checkpoint, Path(plan.model.directory))
    return tokenizer, family.speech.stop_token_ids(checkpoint, tokenizer)


def build_empty(plan: Plan, config: PretrainedConfig) -> PreTrainedModel:
    """The model of `config` with parameters on the meta device and true buffers on the CPU.

    Raises: AdaptError where the installed transformers lacks the class, or where a buffer cannot
    be computed.
    """
    import torch

    model_class = library_class(plan.implementation or "")
    with torch.device("meta"):
        model: PreTrainedModel = model_class(config)
    for name, module in list(model.named_modules()):
        if not any(buffer.is_meta for buffer in module.buffers(recurse=False)):
            continue
        owner, _, last = name.rpartition(".")
        # Such buffers are in no file: on the meta device they would stay without values.
        setattr(model.get_submodule(owner), last, type(module)(config))
    lost = [name for name, buffer in model.named_buffers() if buffer.is_meta]
    if lost:
        raise AdaptError(f"the buffer `{lost[0]}` of {plan.implementation} cannot be computed")
    return model


def library_class(implementation: str) -> Any:
    """The class that a plan names as `transformers.X`.

    Raises: AdaptError where the installed transformers does not have it.
    """
    import transformers

    found = getattr(transformers, implementation.rpartition(".")[2], None)
    if found is None:
        raise AdaptError(
            f"transformers {transformers.__version__} has no `{implementation.rpartition('.')[2]}`",
            where=str(Path(transformers.__file__).parent),
            hint="pip install --upgrade transformers",
        )
    return found


def native_config(
    family: NativeFamily,
    checkpoint: Checkpoint,
    tokenizer: PreTrainedTokenizerBase,
    stops: tuple[int, ...],
    dtype: torch.dtype,
) -> PretrainedConfig:
    """The library's config for a mapped checkpoint."""
    import transformers

    major = int(transformers.__version__.partition(".")[0])
    # No `_name_or_path`: PEFT would read the directory's config.json as one of `config_class`,
    # find another vocabulary size in it and save the embeddings with every adapter.
    config: PretrainedConfig = library_class(family.config_class)(
        **family.map_config(checkpoint, major),
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=list(stops),
        bos_token_id=None,
        dtype=dtype,
        architectures=[family.implementation],
    )
    return config


def _set_generation(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, stops: tuple[int, ...]
) -> None:
    from transformers import GenerationConfig

    model.generation_config = GenerationConfig(
        eos_token_id=list(stops), pad_token_id=tokenizer.pad_token_id, do_sample=False
    )
