"""One step after another of the language model, for many series and many paths of each.

A series whose window has outgrown the context is computed anew at every step, as the published code
does: what its later layers kept depends on bars that the window has dropped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trueup.kronos.cache import TOKENS_AT_ONCE, Continuation, KeysValues, Span
from trueup.kronos.folded import FoldedModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Tail:
    """What the model can see of a history: tokens [length] and time [length + horizon, d_model]."""

    s1: Tensor
    s2: Tensor
    time: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ready:
    """Paths whose next pair is to be chosen: their last states [series, samples, 1, d_model]."""

    rows: slice
    samples: slice
    state: Tensor
    cross: KeysValues
    span: Span


class Steps:
    """The state of a forecast: `logits_s1`, `logits_s2` and `advance` in turn, `horizon` times.

    `tails` stand in falling order of length; results and choices are [series, samples, …].
    """

    def __init__(
        self,
        model: FoldedModel,
        tails: Sequence[Tail],
        *,
        samples: int,
        horizon: int,
        context: int,
        rolling: bool,
    ) -> None:
        self._model, self._samples, self._context = model, samples, context
        self._rolling, self._horizon = rolling, horizon
        self._lengths = [len(tail.s1) for tail in tails]
        self._inputs = [model.embed(tail.s1, tail.s2) + tail.time[: len(tail.s1)] for tail in tails]
        self._later = torch.stack([tail.time[len(tail.s1) :] for tail in tails])
        longest = max(self._lengths) + horizon
        self._rotation = model.stack.rotation(longest, self._later)
        self._added = self._later.new_empty(len(tails), samples, horizon, self._later.shape[-1])
        self._step = 0
        self._kept = self._continuation(
            self._lengths, samples, self._room(), window=context if rolling else None
        )
        self._cross = self._cross_of(self._kept, len(tails))
        self._ready = [self._begin()]

    def logits_s1(self) -> Tensor:
        """[series, samples, 2^s1_bits]."""
        return self._gather(self._model.head_s1(part.state).squeeze(2) for part in self._ready)

    def logits_s2(self, s1_ids: Tensor) -> Tensor:
        """[series, samples, 2^s2_bits] for the chosen s1 [series, samples]."""
        found = []
        for part in self._ready:
            queries = self._model.cross_queries(s1_ids[part.rows, part.samples, None])
            attended = part.cross.attend(queries, part.span)
            found.append(self._model.logits_s2(part.state, attended).squeeze(2))
        return self._gather(found)

    def advance(self, s1_ids: Tensor, s2_ids: Tensor) -> None:
        """Adds a pair to every path, [series, samples], and looks at what came before it."""
        embedded = self._model.embed(s1_ids, s2_ids) + self._later[:, None, self._step]
        self._added[:, :, self._step] = embedded
        self._step += 1
        outgrown = self._outgrown()
        self._ready = [part for row in range(outgrown) for part in self._anew(row)]
        if outgrown < len(self._lengths):
            self._ready.append(self._extend(embedded[outgrown:, :, None], outgrown))

    def _gather(self, parts: Iterator[Tensor] | Sequence[Tensor]) -> Tensor:
        found = list(parts)
        if len(found) == 1:
            return found[0].expand(-1, self._samples, -1)
        size = (len(self._lengths), self._samples, found[0].shape[-1])
        logits = found[0].new_empty(size)
        for part, values in zip(self._ready, found, strict=True):
            logits[part.rows, part.samples] = values
        return logits

    def _outgrown(self) -> int:
        """How many series have a window that began to slide: the first, for they are longest."""
        if self._rolling:
            return 0
        return sum(length + self._step > self._context for length in self._lengths)

    def _room(self) -> int:
        """Steps that the caches hold: in exact mode none is kept beyond the context."""
        steps = self._horizon - 1
        if not self._rolling:
            steps = min(steps, self._context - min(self._lengths))
        return max(0, steps)

    def _continuation(
        self,
        lengths: Sequence[int],
        samples: int,
        room: int,
        *,
        window: int | None = None,
        is_stepwise: bool = True,
    ) -> Continuation:
        return Continuation(
            self._model.stack,
            lengths,
            samples=samples,
            room=room,
            rotation=self._rotation,
            like=self._later,
            window=window,
            is_stepwise=is_stepwise,
        )

    def _cross_of(self, continuation: Continuation, series: int) -> KeysValues:
        model = self._model
        return KeysValues(
            series, model.cross_heads, model.cross_dim, continuation.rooms, self._later
        )

    def _begin(self) -> _Ready:
        """The histories, once for all their paths."""
        last = []
        for rows in self._kept.groups():
            out = self._kept.prefill(rows, torch.stack(self._inputs[rows]))
            states = self._model.norm(out)
            self._cross.put_history(rows, self._kept.end, *self._model.cross_keys_values(states))
            last.append(states[:, -1:])
        return _Ready(
            rows=slice(0, len(self._lengths)),
            samples=slice(0, self._samples),
            state=torch.cat(last)[:, None],
            cross=self._cross,
            span=self._kept.at_start(),
        )

    def _extend(self, x: Tensor, first: int) -> _Ready:
        """One position more of the series from `first` on."""
        out, span = self._kept.extend(x, first)
        state = self._model.norm(out)
        self._cross.append(span, *self._model.cross_keys_values(state))
        return _Ready(
            rows=slice(first, len(self._lengths)),
            samples=slice(0, self._samples),
            state=state,
            cross=self._cross,
            span=span,
        )

    def _anew(self, row: int) -> Iterator[_Ready]:
        """A series from the beginning of its window: what its paths share once, then theirs."""
        step = self._step
        before = self._inputs[row][self._lengths[row] + step - self._context :]
        at_once = max(1, TOKENS_AT_ONCE // step)
        for start in range(0, self._samples, at_once):
            samples = slice(start, min(start + at_once, self._samples))
            yield self._window_of(row, samples, before, self._added[row, samples, :step])

    def _window_of(self, row: int, samples: slice, before: Tensor, added: Tensor) -> _Ready:
        """`before` [length, d_model] and `added` [samples, steps, d_model] are the window."""
        model, count = self._model, len(added)
        is_single = count == 1
        if is_single:
            before = torch.cat((before, added[0]))
        fresh = self._continuation(
            [len(before)], count, 0 if is_single else added.shape[1], is_stepwise=is_single
        )
        cross = self._cross_of(fresh, 1)
        states = model.norm(fresh.prefill(slice(0, 1), before[None]))
        cross.put_history(slice(0, 1), fresh.end, *model.cross_keys_values(states))
        state, span = states[:, None, -1:], fresh.at_start()
        if not is_single:
            out, span = fresh.extend(added[None])
            states = model.norm(out)
            cross.append(span, *model.cross_keys_values(states))
            state = states[:, :, -1:]
        return _Ready(
            rows=slice(row, row + 1), samples=samples, state=state, cross=cross, span=span
        )
