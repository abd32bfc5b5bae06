"""Encoders: rows of token ids in, one pooled vector for each row out, in fp32.

`TorchEncoder` runs a class of the library as it is; the int8 encoder of onnxruntime is
`engines/encoder_int8.py`. They do not normalise, batch or tokenize.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trueup.adapt.plan import Pooling

# What computes fastest: large enough for the processor's units, small enough for its caches.
CPU_BUDGET_TOKENS = {"float32": 512, "bfloat16": 1024, "int8": 1024}
GPU_BUDGET_TOKENS = 16384
PAD_ID = 0

TokenIds = Sequence[int]
Vectors = NDArray[np.float32]


class Encoder(Protocol):
    """A model that makes vectors.

    `lanes` is how many calls of `encode` run best at the same time, each in a thread of its own;
    `budget_tokens` how many tokens a call should have.
    """

    lanes: int
    budget_tokens: int

    def encode(self, rows: Sequence[TokenIds], *, threads: int) -> Vectors:
        """One vector for each row (rows x dimensions), with `threads` threads in the processor."""
        ...


class TorchEncoder:
    """A model of the library without a head; `pad_id` is never attended to."""

    def __init__(self, model: Any, pooling: Pooling, *, pad_id: int | None) -> None:
        self._model = model
        self._pooling = pooling
        self._pad_id = PAD_ID if pad_id is None else pad_id
        self._device = next(model.parameters()).device
        self._options = {"use_cache": False} if getattr(model.config, "use_cache", None) else {}
        is_cpu = self._device.type == "cpu"
        self.lanes = torch.get_num_threads() if is_cpu else 1
        dtype = str(model.dtype).removeprefix("torch.")
        cpu_tokens = CPU_BUDGET_TOKENS.get(dtype, CPU_BUDGET_TOKENS["float32"])
        self.budget_tokens = cpu_tokens if is_cpu else GPU_BUDGET_TOKENS

    def encode(self, rows: Sequence[TokenIds], *, threads: int) -> Vectors:
        """See `Encoder.encode`."""
        if torch.get_num_threads() != threads:  # the number of this very thread
            torch.set_num_threads(threads)
        token_ids, mask = padded(rows, self._pad_id)
        lengths = [len(row) for row in rows]
        has_padding = min(lengths) != max(lengths)
        with torch.inference_mode():
            hidden = self._model(
                input_ids=torch.from_numpy(token_ids).to(self._device),
                # Without a mask attention takes the faster path.
                attention_mask=torch.from_numpy(mask).to(self._device) if has_padding else None,
                **self._options,
            )[0]
            vectors = _pooled(hidden, torch.from_numpy(mask).to(self._device), self._pooling)
        result: Vectors = vectors.cpu().numpy()
        return result


def padded(rows: Sequence[TokenIds], pad_id: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Token ids and mask (rows x longest), padded at the end."""
    width = max(len(row) for row in rows)
    token_ids = np.full((len(rows), width), pad_id, dtype=np.int64)
    mask = np.zeros((len(rows), width), dtype=np.int64)
    for number, row in enumerate(rows):
        token_ids[number, : len(row)] = row
        mask[number, : len(row)] = 1
    return token_ids, mask


def _pooled(hidden: Tensor, mask: Tensor, pooling: Pooling) -> Tensor:
    """One vector for each row, summed in fp32 whatever the model computes in."""
    if pooling == "cls":
        return hidden[:, 0].float()
    lengths = mask.sum(dim=1)
    if pooling == "last":
        return hidden[torch.arange(len(hidden), device=hidden.device), lengths - 1].float()
    weights = mask.unsqueeze(-1).float()
    return (hidden.float() * weights).sum(dim=1) / lengths.unsqueeze(-1).float()
