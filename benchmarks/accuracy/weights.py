"""Small random weights for a directory that has none. Imported in the environment only."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from benchmarks.accuracy.stages import built, read

WEIGHT_STD = 0.02


def make_weights(directory: Path) -> None:
    """Write random weights with the code's own names into the directory, tied ones twice."""
    import torch
    from safetensors.torch import save_file

    model = built(directory)
    with contextlib.suppress(Exception):  # some do it only when they are loaded
        model.tie_weights()
    dtype = read(directory, "config.json").get("torch_dtype") or "float32"
    parameters = {name for name, _ in model.named_parameters()}
    held: dict[str, Any] = {}
    written: dict[tuple[int, Any], Any] = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        key = (tensor.data_ptr(), tensor.shape)
        if key not in written:
            wanted = getattr(torch, str(dtype)) if tensor.is_floating_point() else tensor.dtype
            value = _random(name, tensor.detach()) if name in parameters else tensor.detach()
            written[key] = value.to(wanted)
        held[name] = written[key].contiguous().clone()
    save_file(held, str(directory / "model.safetensors"), metadata={"format": "pt"})


def _random(name: str, tensor: Any) -> Any:
    """A finite value: some code leaves what it will load uninitialised."""
    import torch

    if not tensor.is_floating_point():
        return tensor
    if tensor.ndim > 1:
        return torch.randn(tensor.shape) * WEIGHT_STD
    if name.endswith("bias"):
        return torch.zeros_like(tensor)
    if name.endswith("weight"):
        return torch.ones_like(tensor)
    return tensor if torch.isfinite(tensor).all() else torch.zeros_like(tensor)
