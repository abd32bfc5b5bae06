"""The loop of a forecast: histories of tokens in, one pair of tokens a step for every path out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trueup.kronos.model import Kronos
from trueup.kronos.sampling import Sampling, choose
from trueup.kronos.tokenizer import KronosTokenizer


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """One series: normalised bars [length, 6] and stamps int64 [length + horizon, 5]."""

    bars: Tensor
    stamps: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is wanted of every series."""

    horizon: int
    samples: int
    sampling: Sampling
    context: int
    rolling: bool
    generator: torch.Generator | None
    on_step: Callable[[int, Tensor], None] | None
    is_cancelled: Callable[[], bool]


@torch.inference_mode()
def generate(
    model: Kronos, tokenizer: KronosTokenizer, histories: Sequence[History], order: Order
) -> Tensor:
    """Normalised bars [series, samples, steps, 6]; fewer steps than the horizon if cancelled."""
    s1, s2 = [], []
    for history in histories:
        coarse, fine = tokenizer.encode(history.bars[None])
        s1.append(coarse.expand(order.samples, -1))
        s2.append(fine.expand(order.samples, -1))
    steps = 0
    shown: list[Tensor] = []
    for step in range(order.horizon):
        if order.is_cancelled():
            break
        coarse_logits, states = [], []
        for number, history in enumerate(histories):
            length = s1[number].shape[1]
            start = max(0, length - order.context)
            stamp = history.stamps[None, start:length]
            logits, state = model.decode_s1(s1[number][:, start:], s2[number][:, start:], stamp)
            coarse_logits.append(logits[:, -1])
            states.append(state)
        coarse = choose(torch.cat(coarse_logits), order.sampling, order.generator)
        split = coarse.view(len(histories), order.samples, 1)
        fine_logits = [
            model.decode_s2(state, part)[:, -1] for state, part in zip(states, split, strict=True)
        ]
        fine = choose(torch.cat(fine_logits), order.sampling, order.generator)
        fine_split = fine.view(len(histories), order.samples, 1)
        s1 = [torch.cat(pair, dim=1) for pair in zip(s1, split, strict=True)]
        s2 = [torch.cat(pair, dim=1) for pair in zip(s2, fine_split, strict=True)]
        steps += 1
        if order.on_step is not None:
            shown.append(_bars(tokenizer, histories, s1, s2, steps, order)[:, :, -1])
            order.on_step(step, shown[-1])
    return _bars(tokenizer, histories, s1, s2, steps, order)


def _bars(
    tokenizer: KronosTokenizer,
    histories: Sequence[History],
    s1: Sequence[Tensor],
    s2: Sequence[Tensor],
    steps: int,
    order: Order,
) -> Tensor:
    decoded = []
    for history, coarse, fine in zip(histories, s1, s2, strict=True):
        start = max(0, len(history.bars) + order.horizon - order.context)
        bars = tokenizer.decode(coarse[:, start:], fine[:, start:])
        decoded.append(bars[:, bars.shape[1] - steps :])
    return torch.stack(decoded)
