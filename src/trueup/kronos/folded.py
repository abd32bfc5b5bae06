"""The weights of Kronos laid out for forecasts: fused, folded and packed for the processor.

Reads modules once; later changes to their weights are not seen. Knows no caches and no sampling.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trueup.kronos.blocks import Block, RMSNorm, SelfAttention, rotary_tables
from trueup.kronos.model import Kronos
from trueup.kronos.tokenizer import KronosTokenizer

# The number of rows that a packed weight is laid out for; measured to serve 1 to 512 rows alike.
PACKED_ROWS = 64


class Linear:
    """`x W^T + b` over several layers at once, whose outputs lie side by side.

    On CPUs the weight is packed by oneDNN, which reads it twice as fast as the plain layout is read
    by MKL on AMD processors, for one row as for hundreds.
    """

    def __init__(self, layers: Sequence[nn.Linear]) -> None:
        self._weight = torch.cat([layer.weight.detach() for layer in layers])
        biases = [layer.bias.detach() for layer in layers if layer.bias is not None]
        self._bias = torch.cat(biases) if biases else None
        self._is_packed = _can_pack(self._weight)
        if self._is_packed:
            self._weight = torch.ops.mkldnn._reorder_linear_weight(self._weight, PACKED_ROWS)

    def __call__(self, x: Tensor) -> Tensor:
        """[..., in] to [..., out]."""
        if self._is_packed:
            out: Tensor = torch.ops.mkldnn._linear_pointwise(
                x, self._weight, self._bias, "none", [], ""
            )
            return out
        return F.linear(x, self._weight, self._bias)


def _can_pack(weight: Tensor) -> bool:
    """Whether torch's packed product, which is not of its public surface, is here and right."""
    if weight.device.type != "cpu":
        return False
    probe = weight[:2].contiguous()
    row = torch.ones(1, probe.shape[1], dtype=probe.dtype)
    try:
        packed = torch.ops.mkldnn._reorder_linear_weight(probe, PACKED_ROWS)
        found = torch.ops.mkldnn._linear_pointwise(row, packed, None, "none", [], "")
    except (AttributeError, RuntimeError, TypeError):
        return False
    return bool(torch.allclose(found, F.linear(row, probe), rtol=1e-2, atol=1e-2))


def _heads(x: Tensor, count: int) -> Tensor:
    """[..., count * head_dim] to [..., count, head_dim]."""
    return x.view(*x.shape[:-1], count, x.shape[-1] // count)


class Norm:
    """Root mean square norm, in fp32 whatever comes."""

    def __init__(self, norm: RMSNorm) -> None:
        self._weight, self._eps = norm.weight.detach(), norm.eps
        self._shape = tuple(norm.weight.shape)

    def __call__(self, x: Tensor) -> Tensor:
        """The same shape and dtype."""
        if x.dtype == torch.float32:
            return F.rms_norm(x, self._shape, self._weight, self._eps)
        normed = F.rms_norm(x.float(), self._shape, None, self._eps)
        return normed.type_as(x) * self._weight


@dataclass(frozen=True, slots=True)
class Rotation:
    """Cosines and signed sines, [positions, 1, head_dim] or with a dimension of series before."""

    cos: Tensor
    sin: Tensor

    def __getitem__(self, where: slice | Tensor) -> Rotation:
        return Rotation(self.cos[where], self.sin[where])

    def __call__(self, x: Tensor) -> Tensor:
        """`x` [..., positions, heads, head_dim] turned."""
        half = x.shape[-1] // 2
        return x * self.cos + x.roll(half, dims=-1) * self.sin


class Layer:
    """One block: what goes into its attention, and what becomes of what comes out."""

    def __init__(self, block: Block) -> None:
        attention = block.self_attn
        self._heads = attention.n_heads
        self._norm1, self._norm2 = Norm(block.norm1), Norm(block.norm2)
        self._qkv = Linear([attention.q_proj, attention.k_proj, attention.v_proj])
        self._out = Linear([attention.out_proj])
        self._gate_up = Linear([block.ffn.w1, block.ffn.w3])
        self._down = Linear([block.ffn.w2])

    def project(self, x: Tensor, rotation: Rotation) -> tuple[Tensor, Tensor, Tensor]:
        """q, k and v, each [..., positions, heads, head_dim], of `x` [..., positions, d_model]."""
        qkv = _heads(self._qkv(self._norm1(x)), 3 * self._heads)
        turned = rotation(qkv[..., : 2 * self._heads, :])
        q, k = torch.split(turned, self._heads, dim=-2)
        return q, k, qkv[..., 2 * self._heads :, :]

    def finish(self, x: Tensor, attended: Tensor) -> Tensor:
        """The block's output for its input and what was attended, both [..., d_model]."""
        x = x + self._out(attended)
        gate, up = self._gate_up(self._norm2(x)).chunk(2, dim=-1)
        return x + self._down(F.silu(gate) * up)


class Stack:
    """Blocks one after another; `heads` of `head_dim` each."""

    def __init__(self, blocks: Iterable[nn.Module]) -> None:
        found = [block for block in blocks if isinstance(block, Block)]
        self.layers = [Layer(block) for block in found]
        self._attention: SelfAttention | None = found[0].self_attn if found else None
        self.heads = self._attention.n_heads if self._attention else 1
        self.head_dim = self._attention.head_dim if self._attention else 1

    def rotation(self, length: int, like: Tensor) -> Rotation:
        """Of positions 0 to `length`, on the device and in the dtype of `like`."""
        if self._attention is None:
            empty = like.new_zeros(length, 1, self.head_dim)
            return Rotation(empty, empty)
        inverse = self._attention.rotary.inv_freq
        cos, sin = rotary_tables(inverse, torch.arange(length, device=inverse.device))
        sin = torch.cat((-sin[:, : self.head_dim // 2], sin[:, self.head_dim // 2 :]), dim=-1)
        return Rotation(cos.to(like)[:, None], sin.to(like)[:, None])


class FoldedModel:
    """A language model's weights; tables stand where one of few inputs meets a product."""

    def __init__(self, model: Kronos) -> None:
        embedding, cross = model.embedding, model.dep_layer.cross_attn
        scale, width = math.sqrt(model.d_model), model.d_model
        first, second = embedding.emb_s1.weight.detach(), embedding.emb_s2.weight.detach()
        fusion = embedding.fusion_proj.weight.detach()
        self._coarse = F.linear(first * scale, fusion[:, :width], embedding.fusion_proj.bias)
        self._fine = F.linear(second * scale, fusion[:, width:])
        self.time = model.time_emb
        self.stack = Stack(model.transformer)
        self.norm = Norm(model.norm)
        self.head_s1 = Linear([model.head.proj_s1])
        # For each s1 the query that it asks the states with.
        queries = F.linear(first, cross.q_proj.weight, cross.q_proj.bias)
        self._queries = _heads(queries.detach(), cross.n_heads)
        self.cross_heads, self.cross_dim = cross.n_heads, cross.head_dim
        self._keys_values = Linear([cross.k_proj, cross.v_proj])
        self._out, self._norm = Linear([cross.out_proj]), Norm(model.dep_layer.norm)
        self._head_s2 = Linear([model.head.proj_s2])

    def embed(self, s1_ids: Tensor, s2_ids: Tensor) -> Tensor:
        """[..., d_model] of pairs of tokens, without their timestamps."""
        return F.embedding(s1_ids, self._coarse) + F.embedding(s2_ids, self._fine)

    def cross_keys_values(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values [..., heads, head_dim] by which s2 looks at the states [..., d_model]."""
        both = _heads(self._keys_values(states), 2 * self.cross_heads)
        keys, values = torch.split(both, self.cross_heads, dim=-2)
        return keys, values

    def cross_queries(self, s1_ids: Tensor) -> Tensor:
        """[..., heads, head_dim] of tokens."""
        queries: Tensor = self._queries[s1_ids]
        return queries

    def logits_s2(self, state: Tensor, attended: Tensor) -> Tensor:
        """Of the last state and what s1's query attended to, both [..., d_model]."""
        return self._head_s2(self._norm(state + self._out(attended)))


class FoldedDecoder:
    """The half of a tokenizer that makes bars of tokens."""

    def __init__(self, tokenizer: KronosTokenizer) -> None:
        self._tokenizer = tokenizer
        self._embed = Linear([tokenizer.post_quant_embed])
        self.stack = Stack(tokenizer.decoder)
        self.head = Linear([tokenizer.head])
        self.width = tokenizer.d_in

    def embed(self, s1_ids: Tensor, s2_ids: Tensor) -> Tensor:
        """[..., d_model] of pairs of tokens."""
        return self._embed(self._tokenizer.codes(s1_ids, s2_ids))
