"""Puts a checkpoint's tensors into a model of its own code, which stands on the CPU already.

Every tensor is accounted for. What no file holds must be a buffer: it has the value that the
model's constructor gave it. Tensors that need no conversion stay mapped from their files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from trueup.adapt.load_weights import Progress, read_tensors, refuse_missing
from trueup.checkpoint.checkpoint import Weights
from trueup.errors import AdaptError

if TYPE_CHECKING:
    import torch


def fill_own_weights(
    model: torch.nn.Module, weights: Weights, directory: Path, progress: Progress | None = None
) -> None:
    """Give every parameter of `model` its values, in the dtype that the constructor gave it.

    A tensor of the files may stand for several parameters that are one, and may be left out where
    the model has a buffer of that name that it does not save, or says itself that it is not needed.

    Raises: AdaptError for a tensor too many, too few or of another shape; CheckpointError for a
    file that cannot be read.
    """
    targets: Mapping[str, torch.Tensor] = model.state_dict(keep_vars=True)
    computed = {name for name, _ in model.named_buffers(remove_duplicate=False)} - set(targets)
    filled: dict[int, str] = {}
    done_bytes = 0
    for name, file, tensor in read_tensors(weights, directory):
        done_bytes += tensor.nbytes
        own_name = _own_name(model, name, targets)
        if own_name is None:
            if name not in computed and not _is_unneeded(model, name):
                raise AdaptError(
                    f"the tensor `{name}` is not part of the model that its code builds",
                    where=str(directory / file),
                )
            continue
        _fill(targets[own_name], tensor, name, filled, directory / file)
        if progress is not None:
            progress(min(done_bytes / max(weights.size_bytes, 1), 1.0))
    _check_filled(model, filled, directory)


def _own_name(model: torch.nn.Module, name: str, targets: Mapping[str, torch.Tensor]) -> str | None:
    """The name in the model: files of a model without its head lack its prefix, or have it."""
    prefix = f"{getattr(model, 'base_model_prefix', '')}."
    for candidate in (name, prefix + name, name.removeprefix(prefix)):
        if candidate in targets:
            return candidate
    return None


def _is_unneeded(model: torch.nn.Module, name: str) -> bool:
    patterns: Iterable[str] = getattr(model, "_keys_to_ignore_on_load_unexpected", None) or ()
    # Rope's frequencies were saved once; every code computes them.
    return name.endswith("rotary_emb.inv_freq") or any(
        re.search(pattern, name) for pattern in patterns
    )


def _fill(
    target: torch.Tensor, tensor: torch.Tensor, name: str, filled: dict[int, str], path: Path
) -> None:
    import torch

    if target.shape != tensor.shape:
        raise AdaptError(
            f"the tensor `{name}` has the shape {list(tensor.shape)}, the model's code wants "
            f"{list(target.shape)}",
            where=str(path),
        )
    before = filled.setdefault(id(target), name)
    if before != name:
        if not torch.equal(target.detach(), tensor.to(target.dtype)):
            raise AdaptError(
                f"the tensors `{before}` and `{name}` differ, and the model's code ties them",
                where=str(path),
            )
        return
    if isinstance(target, torch.nn.Parameter):
        target.requires_grad_(False)
        # Its own object stays: whatever else of the model refers to it sees the values.
        target.data = tensor.to(target.dtype).contiguous()
    else:
        target.copy_(tensor)


def _check_filled(model: torch.nn.Module, filled: Mapping[int, str], directory: Path) -> None:
    missing = [name for name, each in model.named_parameters() if id(each) not in filled]
    refuse_missing(missing, directory)
