"""Loads a model that the library implements itself, by its own class and its own tokenizer.

`from_pretrained` does the work: measured, it maps safetensors and zip pickles and stays within
the bound on anonymous memory. What it would only warn of is an error here.
"""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from packaging.version import Version

from trueup.adapt.foreign import error_line
from trueup.adapt.load_native import library_class
from trueup.adapt.plan import Plan
from trueup.checkpoint.checkpoint import Checkpoint
from trueup.errors import AdaptError, CheckpointError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from trueup.adapt.load_own import Build

# What the library itself leaves out on purpose, or computes from the config.
HARMLESS_UNEXPECTED = ("inv_freq", ".attn.bias", ".attn.masked_bias", ".attention.bias")

# The head of BERT's pretraining, which some classes can be built without.
POOLER, POOLER_OPTION = "pooler", "add_pooling_layer"
# A buffer that releases before 4.31 saved.
POSITIONS = "position_ids"
# Before, `dtype` is a key like any other, which ends up in the config as what JSON cannot write.
DTYPE_SINCE = Version("4.56.0")


def load_library(
    checkpoint: Checkpoint,
    plan: Plan,
    progress: Callable[[float], None] | None = None,
    build: Build | None = None,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, tuple[int, ...]]:
    """The model, its tokenizer and its stop tokens, as `plan` says.

    One that `build` makes stays without weights, and `from_pretrained` is not asked.

    Raises: AdaptError for a tensor too many, too few or of another shape; CheckpointError for a
    file that cannot be read.
    """
    tokenizer = _tokenizer(checkpoint)
    if build is None:
        model, told = _pretrained(checkpoint, plan, plan.dtype)
        _check(told, checkpoint)
        if progress is not None:
            progress(1.0)
        model.to(plan.device)
    else:
        model = _built(checkpoint, plan, build)
    stops = _stop_tokens(model, tokenizer)
    if tokenizer.pad_token_id is None and tokenizer.eos_token is not None:
        tokenizer.pad_token = tokenizer.eos_token
    if model.generation_config.pad_token_id is None:
        model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model, tokenizer, stops


def load_encoder(
    checkpoint: Checkpoint,
    plan: Plan,
    *,
    dtype: str,
    progress: Callable[[float], None] | None = None,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model without a head and its tokenizer, in `dtype` on the plan's device.

    Heads that the files have are left out: what is pooled are the last hidden states.

    Raises: as `load_library`.
    """
    tokenizer = _tokenizer(checkpoint)
    model_class = library_class(plan.implementation or "")
    takes_pooler = POOLER_OPTION in inspect.signature(model_class.__init__).parameters
    model, told = _pretrained(
        checkpoint, plan, dtype, **({POOLER_OPTION: False} if takes_pooler else {})
    )
    parts = {name for name, _ in model.named_children()} - {POOLER}
    prefix = f"{model.base_model_prefix}."
    told = {
        **told,
        "missing_keys": [name for name in told["missing_keys"] if _part(name) != POOLER],
        "unexpected_keys": [
            name
            for name in told["unexpected_keys"]
            if _part(name.removeprefix(prefix)) in parts and not name.endswith(POSITIONS)
        ],
    }
    _check(told, checkpoint)
    if progress is not None:
        progress(1.0)
    model.to(plan.device)
    return model, tokenizer


def _part(name: str) -> str:
    return name.partition(".")[0]


def _pretrained(
    checkpoint: Checkpoint, plan: Plan, dtype: str, **options: Any
) -> tuple[PreTrainedModel, dict[str, Any]]:
    """The model, and what was told of tensors too many, too few and of other shapes."""
    import torch
    import transformers

    model_class = library_class(plan.implementation or "")
    is_new = Version(transformers.__version__) >= DTYPE_SINCE
    options["dtype" if is_new else "torch_dtype"] = getattr(torch, dtype)
    try:
        model, told = model_class.from_pretrained(
            checkpoint.directory,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # told by name; the library's error has none
            **options,
        )
    except Exception as error:  # safetensors, pickle, JSON and the library's own share no base
        raise CheckpointError(
            f"transformers could not load it: {type(error).__name__}: {error_line(error)}",
            where=str(checkpoint.directory),
            hint=f"trueup check {shlex.quote(str(checkpoint.directory))}",
        ) from error
    return model, told


def _built(checkpoint: Checkpoint, plan: Plan, build: Build) -> PreTrainedModel:
    import torch
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(checkpoint.directory, local_files_only=True)
    model: PreTrainedModel = build(
        library_class(plan.implementation or ""), config, getattr(torch, plan.dtype)
    )
    return model


def _tokenizer(checkpoint: Checkpoint) -> PreTrainedTokenizerBase:
    from transformers import AutoTokenizer

    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            checkpoint.directory, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # OSError, ValueError, KeyError, ImportError by version and file
        raise CheckpointError(
            f"transformers could not load the tokenizer: {type(error).__name__}: "
            f"{error_line(error)}",
            where=str(checkpoint.directory),
            hint=f"trueup check {shlex.quote(str(checkpoint.directory))}",
        ) from error
    return tokenizer


def _check(told: dict[str, Any], checkpoint: Checkpoint) -> None:
    """Refuse what `from_pretrained` fills with random numbers or leaves out."""
    unexpected = sorted(
        name for name in told.get("unexpected_keys", ()) if not name.endswith(HARMLESS_UNEXPECTED)
    )
    # Release 4 lists names, release 5 names with both shapes.
    mismatched = sorted(
        each if isinstance(each, str) else str(each[0]) for each in told.get("mismatched_keys", ())
    )
    complaints = (
        (sorted(told.get("missing_keys", ())), "is in no weight file"),
        (mismatched, "has another shape than the config describes"),
        (unexpected, "is not part of the architecture that the config names"),
    )
    for names, complaint in complaints:
        if names:
            more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
            raise AdaptError(
                f"the tensor `{names[0]}` {complaint}{more}",
                where=str(checkpoint.directory),
                hint=f"trueup check {shlex.quote(str(checkpoint.directory))}",
            )


def _stop_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    for value in (
        model.generation_config.eos_token_id,
        model.config.eos_token_id,
        tokenizer.eos_token_id,
    ):
        if isinstance(value, int):
            return (value,)
        if value:
            return tuple(value)
    return ()
