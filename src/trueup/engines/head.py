"""The language-model head in fp32, whatever the model's dtype.

Rounding logits to bf16 makes ties and swaps the best tokens; a resumed answer would differ.
The weights stay as they are: they are widened block by block while they are used.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

# Widened weights of one block: on a CPU they should stay in the cache (a whole copy in fp32 is
# no faster), a GPU wants few large steps.
_CPU_BLOCK_ELEMENTS = 2**20
_GPU_BLOCK_ELEMENTS = 2**26


def widen_head(model: Any) -> None:
    """Make the model's logits fp32 from the last hidden state on; changes the model."""
    head = model.get_output_embeddings()
    if isinstance(head, nn.Linear) and head.weight.dtype in (torch.float16, torch.bfloat16):
        # On the instance: no module is added, so names and tied weights stay what they were.
        head.forward = partial(_wide_linear, head)  # type: ignore[method-assign]


def _wide_linear(head: nn.Linear, hidden: Tensor) -> Tensor:
    weight = head.weight
    limit = _CPU_BLOCK_ELEMENTS if weight.device.type == "cpu" else _GPU_BLOCK_ELEMENTS
    rows = max(1, limit // weight.shape[1])
    wide = hidden.float()
    logits = torch.cat([wide @ block.float().T for block in torch.split(weight, rows)], dim=-1)
    return logits if head.bias is None else logits + head.bias.float()
