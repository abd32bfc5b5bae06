"""The language model of Kronos: the next pair of tokens from those before and their timestamps."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from trueup.kronos.blocks import Block, CrossAttention, RMSNorm
from trueup.kronos.config import CROSS_ATTENTION_HEADS
from trueup.kronos.part import LANGUAGE_MODEL
from trueup.kronos.pretrained import Pretrained

# How many values each part of a timestamp has, in the order of a stamp's columns.
TIME_SIZES = {"minute": 60, "hour": 24, "weekday": 7, "day": 32, "month": 13}


class HierarchicalEmbedding(nn.Module):
    """One vector for a pair of tokens."""

    def __init__(self, s1_bits: int, s2_bits: int, d_model: int) -> None:
        super().__init__()
        self.d_model = d_model
        self.emb_s1 = nn.Embedding(2**s1_bits, d_model)
        self.emb_s2 = nn.Embedding(2**s2_bits, d_model)
        self.fusion_proj = nn.Linear(d_model * 2, d_model)

    def forward(self, s1_ids: Tensor, s2_ids: Tensor) -> Tensor:
        """[batch, length, d_model] of tokens [batch, length]."""
        scale = math.sqrt(self.d_model)
        both = torch.cat((self.emb_s1(s1_ids) * scale, self.emb_s2(s2_ids) * scale), dim=-1)
        fused: Tensor = self.fusion_proj(both)
        return fused


class FixedEmbedding(nn.Module):
    """A table of sines and cosines, of models with `learn_te` false."""

    def __init__(self, size: int, d_model: int) -> None:
        super().__init__()
        angles = torch.arange(size).float()[:, None] * torch.exp(
            torch.arange(0, d_model, 2).float() * -(math.log(10000.0) / d_model)
        )
        table = torch.zeros(size, d_model)
        table[:, 0::2], table[:, 1::2] = angles.sin(), angles.cos()
        self.emb = nn.Embedding(size, d_model)
        self.emb.weight = nn.Parameter(table, requires_grad=False)

    def forward(self, ids: Tensor) -> Tensor:
        """[..., d_model] of values [...]."""
        out: Tensor = self.emb(ids)
        return out


class TemporalEmbedding(nn.Module):
    """The sum of what the five parts of a timestamp mean."""

    def __init__(self, d_model: int, learn_te: bool) -> None:
        super().__init__()
        kind = nn.Embedding if learn_te else FixedEmbedding
        for name, size in TIME_SIZES.items():
            self.add_module(f"{name}_embed", kind(size, d_model))

    def forward(self, stamp: Tensor) -> Tensor:
        """[..., d_model] of integers [..., 5]: minute, hour, weekday, day, month."""
        minute, hour, weekday, day, month = (
            self.get_submodule(f"{name}_embed")(stamp[..., column])
            for column, name in enumerate(TIME_SIZES)
        )
        # The published order of addition: sums in another order differ in the last bit.
        total: Tensor = hour + weekday + day + month + minute
        return total


class DependencyAwareLayer(nn.Module):
    """What a token s1 that was chosen adds to a window's state, for s2."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.cross_attn = CrossAttention(d_model, CROSS_ATTENTION_HEADS)
        self.norm = RMSNorm(d_model)

    def forward(self, states: Tensor, sibling: Tensor) -> Tensor:
        """[batch, length, d_model] of `states` of that shape and `sibling` [batch, 1, d_model]."""
        normed: Tensor = self.norm(states + self.cross_attn(sibling, states))
        return normed


class DualHead(nn.Module):
    """Logits of both tokens."""

    def __init__(self, s1_bits: int, s2_bits: int, d_model: int) -> None:
        super().__init__()
        self.proj_s1 = nn.Linear(d_model, 2**s1_bits)
        self.proj_s2 = nn.Linear(d_model, 2**s2_bits)


class Kronos(Pretrained):
    """A causal transformer over pairs of tokens; `decode_s1`, then `decode_s2` is one step."""

    part = LANGUAGE_MODEL

    def __init__(
        self,
        s1_bits: int,
        s2_bits: int,
        n_layers: int,
        d_model: int,
        n_heads: int,
        ff_dim: int,
        ffn_dropout_p: float,
        attn_dropout_p: float,
        resid_dropout_p: float,
        token_dropout_p: float,
        learn_te: bool,
    ) -> None:
        super().__init__()
        self.s1_bits = s1_bits
        self.s2_bits = s2_bits
        self.n_layers = n_layers
        self.d_model = d_model
        self.n_heads = n_heads
        self.ff_dim = ff_dim
        self.ffn_dropout_p = ffn_dropout_p
        self.attn_dropout_p = attn_dropout_p
        self.resid_dropout_p = resid_dropout_p
        self.token_dropout_p = token_dropout_p
        self.learn_te = learn_te
        self.token_drop = nn.Dropout(token_dropout_p)
        self.embedding = HierarchicalEmbedding(s1_bits, s2_bits, d_model)
        self.time_emb = TemporalEmbedding(d_model, learn_te)
        dropouts = (ffn_dropout_p, attn_dropout_p, resid_dropout_p)
        self.transformer = nn.ModuleList(
            Block(d_model, n_heads, ff_dim, *dropouts) for _ in range(n_layers)
        )
        self.norm = RMSNorm(d_model)
        self.dep_layer = DependencyAwareLayer(d_model)
        self.head = DualHead(s1_bits, s2_bits, d_model)
        self.apply(self._initialise)

    def _initialise(self, module: nn.Module) -> None:
        """As the published class does, so that random models behave alike."""
        if isinstance(module, nn.Linear):
            nn.init.xavier_normal_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, mean=0.0, std=self.d_model**-0.5)

    def decode_s1(
        self, s1_ids: Tensor, s2_ids: Tensor, stamp: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Logits of s1 [batch, length, 2^s1_bits] and the states [batch, length, d_model].

        `stamp` is integers [batch, length, 5].
        """
        x = self.embedding(s1_ids, s2_ids)
        if stamp is not None:
            x = x + self.time_emb(stamp.long())
        x = self.token_drop(x)
        for block in self.transformer:
            x = block(x)
        states = self.norm(x)
        return self.head.proj_s1(states), states

    def decode_s2(self, states: Tensor, s1_ids: Tensor) -> Tensor:
        """Logits of s2 [batch, length, 2^s2_bits] given one s1 [batch, 1] for each window."""
        sibling = self.embedding.emb_s1(s1_ids)
        logits: Tensor = self.head.proj_s2(self.dep_layer(states, sibling))
        return logits
