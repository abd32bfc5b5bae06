"""Models that load without an error and compute something else. Imported under test only."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.accuracy.stages import auto, built, inputs, logits

SILENT_DIFFERENCE = 1e-3


def silent(directory: Path) -> Mapping[str, Any]:
    """Compare what from_pretrained gives with a CPU construction and load_state_dict.

    Both in fp32; the buffers that no file holds are named where they differ.
    """
    import torch

    with _dtype_argument() as name:
        loaded = auto(directory).from_pretrained(
            str(directory), trust_remote_code=True, **{name: torch.float32}
        )
    reference = built(directory).float()
    reference.load_state_dict(_weights(directory), strict=False)
    with contextlib.suppress(Exception):
        reference.tie_weights()
    buffers = _buffers_apart(loaded, reference)
    with torch.no_grad():
        one = logits(loaded.eval()(**inputs(directory, loaded))).float()
        other = logits(reference.eval()(**inputs(directory, reference))).float()
    if not torch.isfinite(other).all():
        return {"difference": None, "reason": "the reference itself is not finite"}
    difference = (one - other).abs().max().item() if torch.isfinite(one).all() else float("inf")
    return {
        "difference": difference if difference != float("inf") else "not finite",
        "is_silent": difference > SILENT_DIFFERENCE,
        "buffers": buffers,
    }


@contextlib.contextmanager
def _dtype_argument() -> Any:
    import transformers

    yield "torch_dtype" if transformers.__version__.startswith("4.") else "dtype"


def _weights(directory: Path) -> Mapping[str, Any]:
    from safetensors.torch import load_file

    return dict(load_file(str(directory / "model.safetensors")))


def _buffers_apart(loaded: Any, reference: Any) -> list[str]:
    import torch

    others = dict(reference.named_buffers())
    return [
        name
        for name, buffer in loaded.named_buffers()
        if name in others
        and not (
            buffer.shape == others[name].shape
            and torch.equal(buffer.float().nan_to_num(), others[name].float().nan_to_num())
        )
    ]
