"""What the tokenizer and the language model of Kronos are built of, with the published names.

These modules hold the weights and say what they mean, one plain forward pass over a whole window.
Forecasts run the same weights through `folded.py`, which keeps what it has computed.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NORM_EPS = 1e-5
ROTARY_BASE = 10000.0


class RMSNorm(nn.Module):
    """Root mean square norm over the last dimension, computed in fp32."""

    def __init__(self, dim: int, eps: float = NORM_EPS) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        """The same shape and dtype as `x`."""
        wide = x.float()
        scale = torch.rsqrt(torch.mean(wide * wide, dim=-1, keepdim=True) + self.eps)
        return (wide * scale).type_as(x) * self.weight


class FeedForward(nn.Module):
    """`w2(silu(w1 x) * w3 x)`, without biases."""

    def __init__(self, d_model: int, ff_dim: int, ffn_dropout_p: float = 0.0) -> None:
        super().__init__()
        self.w1 = nn.Linear(d_model, ff_dim, bias=False)
        self.w3 = nn.Linear(d_model, ff_dim, bias=False)
        self.w2 = nn.Linear(ff_dim, d_model, bias=False)
        self.ffn_dropout = nn.Dropout(ffn_dropout_p)

    def forward(self, x: Tensor) -> Tensor:
        """[..., d_model] to the same."""
        hidden: Tensor = F.silu(self.w1(x)) * self.w3(x)
        dropped: Tensor = self.ffn_dropout(self.w2(hidden))
        return dropped


def rotary_tables(inv_freq: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines and sines of these positions, each `positions.shape + [head_dim]`, in fp32."""
    angles = positions.to(torch.float32)[..., None] * inv_freq.float()
    both = torch.cat((angles, angles), dim=-1)
    return both.cos(), both.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """`x` turned by its positions; the second half of each head is the imaginary part."""
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin


class RotaryPositionalEmbedding(nn.Module):
    """Keeps `inv_freq`, which published files carry though it follows from the head's width."""

    inv_freq: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        exponents = torch.arange(0, dim, 2).float() / dim
        self.register_buffer("inv_freq", 1.0 / (ROTARY_BASE**exponents))

    def forward(self, q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        """`q` and `k`, [..., length, head_dim], turned by positions from 0 on."""
        positions = torch.arange(q.shape[-2], device=q.device)
        cos, sin = (table.type_as(q) for table in rotary_tables(self.inv_freq, positions))
        return rotate(q, cos, sin), rotate(k, cos, sin)


class _Attention(nn.Module):
    """Four projections with biases; what attends to what is a subclass's."""

    def __init__(
        self, d_model: int, n_heads: int, attn_dropout_p: float = 0.0, resid_dropout_p: float = 0.0
    ) -> None:
        super().__init__()
        self.d_model = d_model
        self.n_heads = n_heads
        self.head_dim = d_model // n_heads
        self.q_proj = nn.Linear(d_model, d_model)
        self.k_proj = nn.Linear(d_model, d_model)
        self.v_proj = nn.Linear(d_model, d_model)
        self.out_proj = nn.Linear(d_model, d_model)
        self.rotary = RotaryPositionalEmbedding(self.head_dim)
        self.attn_dropout_p = attn_dropout_p
        self.resid_dropout = nn.Dropout(resid_dropout_p)

    def heads(self, x: Tensor) -> Tensor:
        """[batch, length, d_model] to [batch, n_heads, length, head_dim]."""
        batch, length, _ = x.shape
        return x.view(batch, length, self.n_heads, self.head_dim).transpose(1, 2)

    def joined(self, x: Tensor) -> Tensor:
        """[batch, n_heads, length, head_dim] through the out projection."""
        batch, _, length, _ = x.shape
        together = x.transpose(1, 2).reshape(batch, length, self.d_model)
        out: Tensor = self.resid_dropout(self.out_proj(together))
        return out

    def _dropout(self) -> float:
        return self.attn_dropout_p if self.training else 0.0


class SelfAttention(_Attention):
    """Causal attention with rotary positions from 0."""

    def forward(self, x: Tensor) -> Tensor:
        """[batch, length, d_model] to the same."""
        q, k = self.rotary(self.heads(self.q_proj(x)), self.heads(self.k_proj(x)))
        v = self.heads(self.v_proj(x))
        return self.joined(
            F.scaled_dot_product_attention(q, k, v, dropout_p=self._dropout(), is_causal=True)
        )


class CrossAttention(_Attention):
    """One query for each window: position 0 turns nothing, and every key is attended to.

    In training mode the published code masks causally, which leaves one query with key 0 alone:
    s2 would be silently wrong. So this module has one meaning in either mode.
    """

    def forward(self, query: Tensor, states: Tensor) -> Tensor:
        """`query` [batch, 1, d_model] over `states` [batch, length, d_model]."""
        q, k = self.heads(self.q_proj(query)), self.heads(self.k_proj(states))
        v = self.heads(self.v_proj(states))
        return self.joined(F.scaled_dot_product_attention(q, k, v, dropout_p=self._dropout()))


class Block(nn.Module):
    """Attention and feed-forward, each behind a norm and added to what came in."""

    def __init__(
        self,
        d_model: int,
        n_heads: int,
        ff_dim: int = 1024,
        ffn_dropout_p: float = 0.0,
        attn_dropout_p: float = 0.0,
        resid_dropout_p: float = 0.0,
    ) -> None:
        super().__init__()
        self.norm1 = RMSNorm(d_model)
        self.self_attn = SelfAttention(d_model, n_heads, attn_dropout_p, resid_dropout_p)
        self.norm2 = RMSNorm(d_model)
        self.ffn = FeedForward(d_model, ff_dim, ffn_dropout_p)

    def forward(self, x: Tensor) -> Tensor:
        """[batch, length, d_model] to the same."""
        x = x + self.self_attn(self.norm1(x))
        out: Tensor = x + self.ffn(self.norm2(x))
        return out
