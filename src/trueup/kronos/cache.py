"""Keys and values of series that many sampled paths continue: what paths share is kept once.

A `Continuation` runs a stack of blocks over histories, then over what is added to them; it does
not know what the blocks' inputs and outputs mean.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from trueup.kronos.folded import Rotation, Stack

# Histories of one length run together up to so many tokens: more costs memory and gains nothing.
TOKENS_AT_ONCE = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """What may be attended to: shared positions `low` to `shared`, and `own` from `own_low` on.

    `rows` chooses series. `bias` [series, 1, 1, shared - low] is set where their lengths differ.
    """

    rows: slice
    low: int
    shared: int
    own_low: int
    own: int
    bias: Tensor | None


class KeysValues:
    """Of one attention. Histories are aligned at their ends, right before what follows them.

    `shared` is [series, heads, capacity, head_dim] for keys and for values; `own` has a dimension
    of samples after the heads, and is absent where there is one path, which goes on in `shared`.
    """

    def __init__(
        self, series: int, heads: int, head_dim: int, rooms: tuple[int, int, int], like: Tensor
    ) -> None:
        shared, samples, own = rooms
        # Zeros: where histories are shorter, what is masked is still multiplied, and memory as it
        # comes may hold NaN.
        self.shared = like.new_zeros(2, series, heads, shared, head_dim)
        self.own = like.new_zeros(2, series, heads, samples, own, head_dim) if samples else None

    def put_history(self, rows: slice, end: int, keys: Tensor, values: Tensor) -> None:
        """Keys and values [rows, positions, heads, head_dim] of histories that end at `end`."""
        start = end - keys.shape[1]
        self.shared[0, rows, :, start:end] = keys.transpose(1, 2)
        self.shared[1, rows, :, start:end] = values.transpose(1, 2)

    def append(self, span: Span, keys: Tensor, values: Tensor) -> None:
        """Keys and values [series, samples, positions, heads, head_dim] up to the span's end."""
        if self.own is None:
            place = self.shared[:, span.rows, :, span.shared - keys.shape[2] : span.shared]
            place[0], place[1] = keys[:, 0].transpose(1, 2), values[:, 0].transpose(1, 2)
        else:
            place = self.own[:, span.rows, :, :, span.own - keys.shape[2] : span.own]
            place[0], place[1] = keys.permute(0, 3, 1, 2, 4), values.permute(0, 3, 1, 2, 4)

    def attend(self, queries: Tensor, span: Span) -> Tensor:
        """[series, samples, positions, d_model] for queries [..., heads, head_dim] of that shape.

        Several positions see each other causally; what is shared comes before them all.
        """
        keys, values = self.shared[:, span.rows, :, span.low : span.shared]
        if self.own is None:
            attended = F.scaled_dot_product_attention(
                queries[:, 0].transpose(1, 2), keys, values, attn_mask=span.bias
            )
            return attended.transpose(1, 2).flatten(-2)[:, None]
        series, samples, positions, heads, width = queries.shape
        asked = queries.permute(0, 3, 1, 2, 4) * (1 / math.sqrt(width))
        flat = asked.reshape(series, heads, samples * positions, width)
        own_keys, own_values = self.own[:, span.rows, :, :, span.own_low : span.own]
        before = torch.matmul(flat, keys.transpose(-1, -2))
        if span.bias is not None:
            before = before + span.bias
        among = torch.matmul(asked, own_keys.transpose(-1, -2))
        if positions > 1:
            later = torch.ones(among.shape[-2:], dtype=torch.bool, device=among.device)
            among = among.masked_fill(later.triu(1 + among.shape[-1] - positions), -math.inf)
        shape = (series, heads, samples, positions, -1)
        scores = torch.cat((before.view(*shape[:-1], before.shape[-1]), among), dim=-1)
        weights = scores.softmax(dim=-1)
        split = before.shape[-1]
        attended = torch.matmul(weights[..., :split].flatten(2, 3), values).view(shape)
        attended = attended + torch.matmul(weights[..., split:], own_values)
        return attended.permute(0, 2, 3, 1, 4).flatten(-2)


class Continuation:
    """Histories in falling order of length, each continued by `samples` paths.

    `room` is how many positions are added to a history at most, one by one (`is_stepwise`) or all
    at once. `window` limits how far back a position sees (None: to the beginning).
    """

    def __init__(
        self,
        stack: Stack,
        lengths: Sequence[int],
        *,
        samples: int,
        room: int,
        rotation: Rotation,
        like: Tensor,
        window: int | None = None,
        is_stepwise: bool = True,
    ) -> None:
        self._stack, self._rotation, self._window = stack, rotation, window
        self._lengths = lengths
        self._longest = max(lengths, default=0)
        self._is_single = samples == 1 and is_stepwise
        self.rooms = (
            (self._longest + room, 0, 0) if self._is_single else (self._longest, samples, room)
        )
        self._caches = [
            KeysValues(len(lengths), stack.heads, stack.head_dim, self.rooms, like)
            for _ in stack.layers
        ]
        self._starts = torch.tensor([self._longest - n for n in lengths], device=like.device)
        self._added = 0

    @property
    def end(self) -> int:
        """Where histories end in the caches."""
        return self._longest

    def groups(self) -> Iterator[slice]:
        """Series of one length, as many as run together."""
        start = 0
        while start < len(self._lengths):
            length = self._lengths[start]
            most = max(1, TOKENS_AT_ONCE // max(1, length))
            stop = start
            while stop < len(self._lengths) and stop - start < most:
                if self._lengths[stop] != length:
                    break
                stop += 1
            yield slice(start, stop)
            start = stop

    def prefill(self, rows: slice, x: Tensor) -> Tensor:
        """The output [rows, length, d_model] for the histories' inputs of that shape."""
        rotation = self._rotation[: x.shape[1]]
        for layer, cache in zip(self._stack.layers, self._caches, strict=True):
            q, k, v = layer.project(x, rotation)
            cache.put_history(rows, self._longest, k, v)
            attended = F.scaled_dot_product_attention(
                q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), is_causal=True
            )
            x = layer.finish(x, attended.transpose(1, 2).flatten(-2))
        return x

    def extend(self, x: Tensor, first: int = 0) -> tuple[Tensor, Span]:
        """Output of added inputs [series from `first`, samples, positions, d_model], and its span.

        The span says what the last of these positions sees, for attentions beyond the stack.
        """
        positions = x.shape[2]
        self._added += positions
        span = self._span(first)
        rotation = self._turned(first, positions)
        for layer, cache in zip(self._stack.layers, self._caches, strict=True):
            q, k, v = layer.project(x, rotation)
            cache.append(span, k, v)
            x = layer.finish(x, cache.attend(q, span))
        return x, span

    def at_start(self, first: int = 0) -> Span:
        """The span before anything is added."""
        return self._span(first)

    def _span(self, first: int) -> Span:
        own = self._added
        low, own_low = 0, 0
        starts = self._starts[first:]
        lengths = self._lengths[first:]
        bias = None
        if self._window is not None and self._longest + own > self._window:
            low = self._longest + own - self._window
        least = self._longest - max(lengths)
        low = max(low, least)
        shared = self._longest + own if self._is_single else self._longest
        if not self._is_single and low > shared:
            own_low, low = low - shared, shared
        if low < self._longest - min(lengths):
            seen = torch.arange(low, shared, device=starts.device) >= starts[:, None]
            bias = torch.zeros(seen.shape, device=starts.device, dtype=self._rotation.cos.dtype)
            bias = bias.masked_fill(~seen, -math.inf)[:, None, None]
        return Span(
            rows=slice(first, len(self._lengths)),
            low=low,
            shared=shared,
            own_low=own_low,
            own=own,
            bias=bias,
        )

    def _turned(self, first: int, positions: int) -> Rotation:
        """Rotation of the positions just added: each series goes on from its own length."""
        lengths = self._lengths[first:]
        start = self._added - positions
        if min(lengths) == max(lengths):
            return self._rotation[lengths[0] + start : lengths[0] + start + positions]
        places = torch.tensor(lengths, device=self._starts.device)[:, None] + torch.arange(
            start, start + positions, device=self._starts.device
        )
        turned = self._rotation[places]
        return Rotation(turned.cos[:, None], turned.sin[:, None])
