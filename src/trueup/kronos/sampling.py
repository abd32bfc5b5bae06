"""How tokens are chosen of logits: by the published arithmetic, so one seed gives the same ones.

Knows nothing of models; runs wherever the logits are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from trueup.errors import RequestError


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """`temperature` 0 takes the likeliest token; `top_k` above 0 sets `top_p` aside.

    Raises: RequestError for numbers that mean nothing.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 0.9

    def __post_init__(self) -> None:
        is_number = isinstance(self.temperature, (int, float))
        if not (is_number and math.isfinite(self.temperature) and self.temperature >= 0):
            raise RequestError(
                f"temperature is {self.temperature}, and must be 0 or more",
                param="temperature",
                hint="0 takes the likeliest token each time; 1.0 samples as the model was trained",
            )
        if isinstance(self.top_k, float) or self.top_k < 0:
            raise RequestError(
                f"top_k is {self.top_k}, and must be a whole number, 0 or more",
                param="top_k",
                hint="0 leaves the choice to top_p",
            )
        if not 0 <= self.top_p <= 1:
            raise RequestError(
                f"top_p is {self.top_p}, and must lie between 0 and 1",
                param="top_p",
                hint="1.0 keeps every token",
            )


def choose(logits: Tensor, sampling: Sampling, generator: torch.Generator | None) -> Tensor:
    """Token ids int64 [rows] of logits [rows, vocabulary]; draws once for all rows together.

    Without a `generator` torch's own of that device draws, as in the published code.
    """
    if sampling.temperature == 0:
        return logits.argmax(dim=-1)
    scaled = logits.float() / sampling.temperature
    if sampling.top_k > 0:
        kept = min(sampling.top_k, scaled.shape[-1])
        threshold = torch.topk(scaled, kept)[0][..., -1, None]
        scaled = scaled.masked_fill(scaled < threshold, -math.inf)
    elif sampling.top_p < 1:
        scaled = _nucleus(scaled, sampling.top_p)
    drawn: Tensor = torch.multinomial(scaled.softmax(dim=-1), 1, generator=generator)
    return drawn.squeeze(-1)


def _nucleus(logits: Tensor, top_p: float) -> Tensor:
    """Leaves the likeliest tokens up to the first with which their sum exceeds `top_p`."""
    ordered, order = torch.sort(logits, descending=True)
    beyond = ordered.softmax(dim=-1).cumsum(dim=-1) > top_p
    dropped = torch.zeros_like(beyond)
    dropped[..., 1:] = beyond[..., :-1]
    return logits.masked_fill(dropped.scatter(-1, order, dropped), -math.inf)
