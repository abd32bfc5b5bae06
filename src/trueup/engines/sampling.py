"""Choosing the next token by Gumbel-max: the same seed and position draw the same noise.

The order is fixed: (1) presence and frequency penalties, (2) temperature, (3) top-k,
(4) top-p, (5) Gumbel noise, argmax. Nothing here keeps a generator: the noise of a token is a
function of (seed, choice, position, token id), so an answer can be resumed at any token.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from trueup.errors import BackendError
from trueup.protocol.sampling import Sampling

_MASK = 0xFFFFFFFF
_FIRST_NUCLEUS = 256
_LEADERS = 64
# Below it the best token wins always, and fp32 cannot divide by much less.
_GREEDY_TEMPERATURE = 1e-6

Key = tuple[int, int]


def noise_key(seed: int, choice: int, position: int) -> Key:
    """The key of all noise at one position of one choice; 64 bits in two halves."""
    packed = b"".join(part.to_bytes(8, "little", signed=True) for part in (seed, choice, position))
    digest = hashlib.blake2b(packed, digest_size=8).digest()
    return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:], "little")


def _mix(x: Tensor) -> Tensor:
    # A 32-bit bijection with low bias. Both factors are below 2**31, so the products stay
    # positive in int64 and every device computes the same bits.
    x = x ^ (x >> 16)
    x = (x * 0x21F0AAAD) & _MASK
    x = x ^ (x >> 15)
    x = (x * 0x735A2D97) & _MASK
    return x ^ (x >> 15)


def _noise_bits(token_ids: Tensor, key: Key) -> Tensor:
    return _mix((_mix(token_ids ^ key[0]) + key[1]) & _MASK)


def gumbel_noise(token_ids: Tensor, key: Key) -> Tensor:
    """Standard Gumbel noise (float64) of each token id (int64) under a key."""
    uniform = (_noise_bits(token_ids, key).double() + 0.5) * 2.0**-32
    return -torch.log(-torch.log(uniform))


def penalties(counts: Tensor, sampling: Sampling) -> Tensor:
    """What to take from the logits of tokens that the answer has `counts` times (float)."""
    return counts * sampling.frequency_penalty + (counts > 0) * sampling.presence_penalty


def _nucleus(scaled: Tensor, token_ids: Tensor | None, top_p: float) -> tuple[Tensor, Tensor]:
    """The most probable tokens whose probabilities first reach `top_p`, at least one."""
    probabilities = torch.softmax(scaled, dim=-1)
    size = min(_FIRST_NUCLEUS, len(scaled))
    while True:
        # A full sort of a large vocabulary costs ten times what the top few hundred do.
        best, order = torch.topk(probabilities, size)
        total = best.cumsum(dim=-1)
        if size == len(scaled) or total[-1] >= top_p:
            break
        size = min(8 * size, len(scaled))
    is_kept = total - best < top_p
    is_kept[0] = True
    kept = order[is_kept]
    return scaled[kept], kept if token_ids is None else token_ids[kept]


def _possible_winners(scaled: Tensor, key: Key) -> Tensor:
    """The ids among which the best noisy score of the whole vocabulary is, for less work.

    Whoever is not among the leaders needs more noise than the best leader is ahead of the
    last one: that is a limit on the bits, and few tokens have to be looked at further.
    """
    lead, leaders = torch.topk(scaled, min(_LEADERS, len(scaled)))
    best = float((lead.double() + gumbel_noise(leaders, key)).max())
    if len(leaders) == len(scaled) or not math.isfinite(best):
        return leaders
    needed = best - float(lead[-1])
    limit = int(2**32 * math.exp(-math.exp(-needed))) - 2
    bits = _noise_bits(torch.arange(len(scaled), device=scaled.device), key)
    return torch.cat([leaders, torch.nonzero(bits >= limit).squeeze(-1)])


def candidates(logits: Tensor, sampling: Sampling, key: Key) -> tuple[Tensor, Tensor]:
    """The tokens that may be chosen where the choice is not greedy: (ids, noisy scores in float64).

    `logits` [vocabulary] are penalised already. The best score is the choice.
    """
    # Less the maximum first: a tiny temperature must not overflow.
    scaled = (logits - logits.max()) / sampling.temperature
    token_ids: Tensor | None = None
    if 0 < sampling.top_k < len(scaled):
        scaled, token_ids = torch.topk(scaled, sampling.top_k)
    if sampling.top_p < 1:
        scaled, token_ids = _nucleus(scaled, token_ids, sampling.top_p)
    if token_ids is None:
        token_ids = _possible_winners(scaled, key)
        scaled = scaled[token_ids]
    return token_ids, scaled.double() + gumbel_noise(token_ids, key)


class Sampler:
    """Chooses the tokens of one answer, position by position."""

    def __init__(self, sampling: Sampling, *, seed: int, choice: int = 0) -> None:
        self._sampling = sampling
        self._seed = seed
        self._choice = choice
        self._penalises = bool(sampling.presence_penalty or sampling.frequency_penalty)
        self._counts = torch.zeros(0)
        self._penalty = torch.zeros(0)

    def choose(self, logits: Tensor, answer: Sequence[int]) -> int:
        """The token after `answer`; `logits` are fp32 [vocabulary].

        Call it once for each position: the penalties count the last token of each call.

        Raises:
            BackendError: the logits are not finite.
        """
        if self._penalises:
            logits = logits - self._updated_penalty(logits, answer)
        if self._sampling.temperature < _GREEDY_TEMPERATURE:
            best, index = logits.max(dim=-1)
            token = int(index)
        else:
            key = noise_key(self._seed, self._choice, len(answer))
            token_ids, scores = candidates(logits, self._sampling, key)
            best, index = scores.max(dim=-1)
            token = int(token_ids[index])
        if not math.isfinite(best):
            raise BackendError(
                f"the model computed `{float(best)}` as its best logit at position {len(answer)} "
                "of the answer, expected a finite number",
                retryable=True,
                code="logits_not_finite",
                hint="plan the model with `--dtype float32`, or by another route",
            )
        return token

    def _updated_penalty(self, logits: Tensor, answer: Sequence[int]) -> Tensor:
        fresh = answer[-1:]
        if not len(self._counts):
            self._counts, self._penalty = torch.zeros_like(logits), torch.zeros_like(logits)
            fresh = answer
        for token in fresh:
            self._counts[token] += 1
            self._penalty[token] = penalties(self._counts[token], self._sampling)
        return self._penalty
