"""The loop of a forecast: normalised histories in, sampled normalised bars out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trueup.kronos.cache import TOKENS_AT_ONCE, Continuation
from trueup.kronos.folded import FoldedDecoder, FoldedModel
from trueup.kronos.model import Kronos
from trueup.kronos.sampling import Sampling, choose
from trueup.kronos.stepping import Steps, Tail
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


class Folded:
    """A tokenizer and a model as forecasts run them."""

    def __init__(self, model: Kronos, tokenizer: KronosTokenizer) -> None:
        self.tokenizer = tokenizer
        self.model = FoldedModel(model)
        self.decoder = FoldedDecoder(tokenizer)


@torch.inference_mode()
def generate(folded: Folded, histories: Sequence[History], order: Order) -> Tensor:
    """Normalised bars [series, samples, steps, 6]; fewer steps than the horizon if cancelled."""
    # Longest first, as what continues them wants it; draws are made in the caller's order.
    ranking = sorted(range(len(histories)), key=lambda number: -len(histories[number].bars))
    places = torch.tensor(sorted(range(len(ranking)), key=ranking.__getitem__))
    ranks = torch.tensor(ranking)
    tokens = [folded.tokenizer.encode(histories[number].bars[None]) for number in ranking]
    past = [(coarse[0], fine[0]) for coarse, fine in tokens]
    tails = [
        _tail(folded, histories[number], pair, order)
        for number, pair in zip(ranking, past, strict=True)
    ]
    shape = (len(ranking), order.samples)

    def chosen(logits: Tensor) -> Tensor:
        rows = logits[places.to(logits.device)].flatten(0, 1)
        drawn = choose(rows, order.sampling, order.generator).view(shape)
        return drawn[ranks.to(drawn.device)]

    stream = _BarStream(folded.decoder, past, order) if order.on_step is not None else None
    coarse = past[0][0].new_empty(*shape, order.horizon)
    fine = torch.empty_like(coarse)
    steps, taken = None, 0
    for step in range(order.horizon):
        if order.is_cancelled():
            break
        if steps is None:
            steps = Steps(
                folded.model,
                tails,
                samples=order.samples,
                horizon=order.horizon,
                context=order.context,
                rolling=order.rolling,
            )
        else:
            steps.advance(coarse[:, :, step - 1], fine[:, :, step - 1])
        coarse[:, :, step] = chosen(steps.logits_s1())
        fine[:, :, step] = chosen(steps.logits_s2(coarse[:, :, step]))
        taken = step + 1
        if stream is not None and order.on_step is not None:
            bars = stream.bars(coarse[:, :, step], fine[:, :, step])
            order.on_step(step, bars[places.to(bars.device)])
    if stream is not None:
        found = stream.so_far()
    else:
        del steps
        found = _decoded(folded.decoder, past, (coarse[:, :, :taken], fine[:, :, :taken]), order)
    return found[places.to(found.device)]


def _tail(folded: Folded, history: History, tokens: tuple[Tensor, Tensor], order: Order) -> Tail:
    """What the model sees of a history: as many bars as its context holds."""
    length = min(len(history.bars), order.context)
    stamps = history.stamps[len(history.bars) - length :]
    coarse, fine = tokens
    return Tail(s1=coarse[-length:], s2=fine[-length:], time=folded.model.time(stamps))


def _before(past: tuple[Tensor, Tensor], order: Order) -> tuple[Tensor, Tensor]:
    """The end of a history that is decoded with the forecast: together they fill the context."""
    kept = max(0, min(len(past[0]), order.context - order.horizon))
    return past[0][len(past[0]) - kept :], past[1][len(past[1]) - kept :]


class _BarStream:
    """Decodes each step's tokens as they are chosen; the decoder is causal, so nothing changes."""

    def __init__(
        self, decoder: FoldedDecoder, past: Sequence[tuple[Tensor, Tensor]], order: Order
    ) -> None:
        self._decoder = decoder
        before = [_before(pair, order) for pair in past]
        lengths = [len(coarse) for coarse, _ in before]
        like = decoder.embed(*(ids[:1] for ids in past[0]))
        self._paths = Continuation(
            decoder.stack,
            lengths,
            samples=order.samples,
            room=order.horizon,
            rotation=decoder.stack.rotation(max(lengths) + order.horizon, like),
            like=like,
        )
        for rows in self._paths.groups():
            together = [torch.stack([pair[part] for pair in before[rows]]) for part in (0, 1)]
            self._paths.prefill(rows, decoder.embed(*together))
        self._shape = (len(past), order.samples, 0, decoder.width)
        self._shown: list[Tensor] = []
        self._empty = like.new_empty(self._shape)

    def bars(self, s1_ids: Tensor, s2_ids: Tensor) -> Tensor:
        """[series, samples, 6] of tokens [series, samples]."""
        x = self._decoder.embed(s1_ids, s2_ids)[:, :, None]
        out, _ = self._paths.extend(x)
        self._shown.append(self._decoder.head(out))
        return self._shown[-1][:, :, 0]

    def so_far(self) -> Tensor:
        """[series, samples, steps, 6]."""
        return torch.cat(self._shown, dim=2) if self._shown else self._empty


def _decoded(
    decoder: FoldedDecoder,
    past: Sequence[tuple[Tensor, Tensor]],
    chosen: tuple[Tensor, Tensor],
    order: Order,
) -> Tensor:
    """[series, samples, steps, 6], all steps at once behind what their paths share."""
    if not chosen[0].shape[-1]:  # cancelled before the first
        like = decoder.embed(*(ids[:1] for ids in past[0]))
        return like.new_empty(*chosen[0].shape, decoder.width)
    return torch.stack(
        [
            torch.cat(list(_decoded_paths(decoder, _before(pair, order), (coarse, fine))))
            for pair, coarse, fine in zip(past, *chosen, strict=True)
        ]
    )


def _decoded_paths(
    decoder: FoldedDecoder, before: tuple[Tensor, Tensor], chosen: tuple[Tensor, Tensor]
) -> Iterator[Tensor]:
    """[samples, steps, 6] for as many paths at once as fit."""
    samples, steps = chosen[0].shape
    earlier = decoder.embed(*(ids[None] for ids in before))
    rotation = decoder.stack.rotation(earlier.shape[1] + steps, earlier)
    at_once = max(1, TOKENS_AT_ONCE // max(1, steps))
    for start in range(0, samples, at_once):
        coarse, fine = (ids[start : start + at_once] for ids in chosen)
        paths = Continuation(
            decoder.stack,
            [earlier.shape[1]],
            samples=len(coarse),
            room=steps,
            rotation=rotation,
            like=earlier,
            is_stepwise=False,
        )
        paths.prefill(slice(0, 1), earlier)
        out, _ = paths.extend(decoder.embed(coarse, fine)[None])
        yield decoder.head(out)[0]
