"""Kronos step by step, written from its equations: no caches, every window computed whole.

Works on tensors by their published names; imports nothing of what it judges.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

Weights = Mapping[str, Tensor]
EPS = 1e-5
CROSS_HEADS = 4


@dataclass(frozen=True, kw_only=True)
class Published:
    """A checkpoint's tensors and the sizes that do not follow from them."""

    model: Weights
    tokenizer: Weights
    model_heads: int
    tokenizer_heads: int


@dataclass(kw_only=True)
class Forecast:
    """`logits` are in the order of draws, [samples, vocabulary]; `bars` [samples, horizon, 6]."""

    logits: list[Tensor] = field(default_factory=list)
    s1: Tensor
    s2: Tensor
    bars: Tensor


def linear(w: Weights, name: str, x: Tensor) -> Tensor:
    product = x @ w[f"{name}.weight"].T
    return product + w[f"{name}.bias"] if f"{name}.bias" in w else product


def rms_norm(w: Weights, name: str, x: Tensor) -> Tensor:
    return x / (x.square().mean(-1, keepdim=True) + EPS).sqrt() * w[f"{name}.weight"]


def turned(x: Tensor) -> Tensor:
    """Pairs (i, i + half) of each head turned by position * 10000^(-i / half)."""
    length, half = x.shape[-2], x.shape[-1] // 2
    speed = 10000.0 ** (-torch.arange(half) / half)
    angle = torch.arange(length)[:, None] * speed
    real, imaginary = x[..., :half], x[..., half:]
    cos, sin = angle.cos(), angle.sin()
    return torch.cat((real * cos - imaginary * sin, imaginary * cos + real * sin), dim=-1)


def attention(
    w: Weights, name: str, heads: int, asking: Tensor, asked: Tensor, is_causal: bool
) -> Tensor:
    def split(x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:2], heads, -1).transpose(1, 2)

    q = split(linear(w, f"{name}.q_proj", asking))
    k = split(linear(w, f"{name}.k_proj", asked))
    v = split(linear(w, f"{name}.v_proj", asked))
    if is_causal:
        q, k = turned(q), turned(k)
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    if is_causal:
        later = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
        scores = scores.masked_fill(later, -math.inf)
    mixed = (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)
    return linear(w, f"{name}.out_proj", mixed)


def blocks(w: Weights, prefix: str, heads: int, x: Tensor) -> Tensor:
    count = len({name.split(".")[1] for name in w if name.startswith(f"{prefix}.")})
    for name in (f"{prefix}.{number}" for number in range(count)):
        normed = rms_norm(w, f"{name}.norm1", x)
        x = x + attention(w, f"{name}.self_attn", heads, normed, normed, is_causal=True)
        normed = rms_norm(w, f"{name}.norm2", x)
        gate = linear(w, f"{name}.ffn.w1", normed)
        gate = gate * gate.sigmoid()
        x = x + linear(w, f"{name}.ffn.w2", gate * linear(w, f"{name}.ffn.w3", normed))
    return x


def encode(it: Published, bars: Tensor) -> tuple[Tensor, Tensor]:
    x = blocks(it.tokenizer, "encoder", it.tokenizer_heads, linear(it.tokenizer, "embed", bars))
    bits = (linear(it.tokenizer, "quant_embed", x) > 0).long()
    first = it.tokenizer["post_quant_embed_pre.weight"].shape[1]

    def number(part: Tensor) -> Tensor:
        return sum((part[..., i] << i for i in range(part.shape[-1])), torch.zeros(()).long())

    return number(bits[..., :first]), number(bits[..., first:])


def decode(it: Published, s1: Tensor, s2: Tensor) -> Tensor:
    first = it.tokenizer["post_quant_embed_pre.weight"].shape[1]
    count = it.tokenizer["post_quant_embed.weight"].shape[1]
    bits = [(s1 >> i) & 1 for i in range(first)] + [(s2 >> i) & 1 for i in range(count - first)]
    signs = (torch.stack(bits, dim=-1) * 2 - 1) / math.sqrt(count)
    x = linear(it.tokenizer, "post_quant_embed", signs.to(torch.float32))
    return linear(it.tokenizer, "head", blocks(it.tokenizer, "decoder", it.tokenizer_heads, x))


def states(it: Published, s1: Tensor, s2: Tensor, stamps: Tensor) -> Tensor:
    w = it.model
    scale = math.sqrt(w["embedding.emb_s1.weight"].shape[1])
    both = (w["embedding.emb_s1.weight"][s1] * scale, w["embedding.emb_s2.weight"][s2] * scale)
    x = linear(w, "embedding.fusion_proj", torch.cat(both, dim=-1))
    for column, part in enumerate(("minute", "hour", "weekday", "day", "month")):
        x = x + w[f"time_emb.{part}_embed.weight"][stamps[:, column]]
    return rms_norm(w, "norm", blocks(w, "transformer", it.model_heads, x))


def s2_logits(it: Published, seen: Tensor, s1: Tensor) -> Tensor:
    """[samples, vocabulary] for states [samples, length, width] and the s1 chosen [samples]."""
    asking = it.model["embedding.emb_s1.weight"][s1][:, None]
    mixed = attention(it.model, "dep_layer.cross_attn", CROSS_HEADS, asking, seen, is_causal=False)
    last = rms_norm(it.model, "dep_layer.norm", seen[:, -1] + mixed[:, 0])
    return linear(it.model, "head.proj_s2", last)


def draw(
    logits: Tensor, temperature: float, top_k: int, top_p: float, generator: torch.Generator
) -> Tensor:
    if temperature == 0:
        return logits.argmax(-1)
    logits = logits / temperature
    ranked, order = logits.sort(dim=-1, descending=True)
    if top_k > 0:
        logits = logits.masked_fill(logits < ranked[:, top_k - 1 : top_k], -math.inf)
    elif top_p < 1:
        chances = ranked.softmax(-1)
        for row in range(len(logits)):
            kept = 1 + int((chances[row].cumsum(-1) <= top_p).sum())
            logits[row, order[row, kept:]] = -math.inf
    return torch.multinomial(logits.softmax(-1), 1, generator=generator)[:, 0]


@torch.no_grad()
def forecast(
    it: Published,
    bars: Tensor,
    stamps: Tensor,
    *,
    horizon: int,
    samples: int,
    context: int,
    temperature: float,
    top_k: int,
    top_p: float,
    seed: int,
) -> Forecast:
    """For normalised `bars` [length, 6] and `stamps` [length + horizon, 5] of one series."""
    generator = torch.Generator().manual_seed(seed)
    s1, s2 = (ids.repeat(samples, 1) for ids in encode(it, bars[None]))
    logits = []
    for _ in range(horizon):
        length = s1.shape[1]
        window = slice(max(0, length - context), length)
        seen = states(it, s1[:, window], s2[:, window], stamps[window])
        logits.append(linear(it.model, "head.proj_s1", seen[:, -1]))
        coarse = draw(logits[-1], temperature, top_k, top_p, generator)
        logits.append(s2_logits(it, seen, coarse))
        fine = draw(logits[-1], temperature, top_k, top_p, generator)
        s1 = torch.cat((s1, coarse[:, None]), dim=1)
        s2 = torch.cat((s2, fine[:, None]), dim=1)
    start = max(0, s1.shape[1] - context)
    decoded = decode(it, s1[:, start:], s2[:, start:])[:, -horizon:]
    return Forecast(logits=logits, s1=s1[:, -horizon:], s2=s2[:, -horizon:], bars=decoded)
