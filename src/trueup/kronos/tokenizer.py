"""The tokenizer of Kronos: normalised bars to pairs of tokens and back."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from trueup.kronos.blocks import Block
from trueup.kronos.part import TOKENIZER
from trueup.kronos.pretrained import Pretrained


class BinarySphericalQuantizer(nn.Module):
    """The buffers that published files carry; their values follow from the two sizes."""

    basis: Tensor
    group_basis: Tensor

    def __init__(self, codebook_dim: int, group_size: int) -> None:
        super().__init__()
        if group_size < 1 or codebook_dim % group_size:
            raise ValueError(
                f"group_size {group_size} does not divide s1_bits + s2_bits = {codebook_dim}"
            )
        self.register_buffer("basis", 2 ** torch.arange(codebook_dim - 1, -1, -1))
        self.register_buffer("group_basis", 2 ** torch.arange(group_size - 1, -1, -1))


class BSQuantizer(nn.Module):
    """Bits by the sign of each number; what its losses need is for training, and not kept."""

    def __init__(
        self,
        s1_bits: int,
        s2_bits: int,
        beta: float,
        gamma0: float,
        gamma: float,
        zeta: float,
        group_size: int,
    ) -> None:
        super().__init__()
        self.s1_bits = s1_bits
        self.codebook_dim = s1_bits + s2_bits
        self.losses = {"beta": beta, "gamma0": gamma0, "gamma": gamma, "zeta": zeta}
        self.bsq = BinarySphericalQuantizer(self.codebook_dim, group_size)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens s1 and s2 of `z` [..., s1_bits + s2_bits]; the first bit is worth 1."""
        bits = (z > 0).to(torch.int64)
        weights = 2 ** torch.arange(self.codebook_dim, device=z.device)
        coarse, fine = bits[..., : self.s1_bits], bits[..., self.s1_bits :]
        return (
            (coarse * weights[: self.s1_bits]).sum(-1),
            (fine * weights[: fine.shape[-1]]).sum(-1),
        )


class KronosTokenizer(Pretrained):
    """Causal both ways: a bar's tokens depend on earlier bars alone, and so does a token's bar."""

    part = TOKENIZER

    def __init__(
        self,
        d_in: int,
        d_model: int,
        n_heads: int,
        ff_dim: int,
        n_enc_layers: int,
        n_dec_layers: int,
        ffn_dropout_p: float,
        attn_dropout_p: float,
        resid_dropout_p: float,
        s1_bits: int,
        s2_bits: int,
        beta: float,
        gamma0: float,
        gamma: float,
        zeta: float,
        group_size: int,
    ) -> None:
        super().__init__()
        self.d_in = d_in
        self.d_model = d_model
        self.n_heads = n_heads
        self.ff_dim = ff_dim
        self.n_enc_layers = n_enc_layers
        self.n_dec_layers = n_dec_layers
        self.ffn_dropout_p = ffn_dropout_p
        self.attn_dropout_p = attn_dropout_p
        self.resid_dropout_p = resid_dropout_p
        self.s1_bits = s1_bits
        self.s2_bits = s2_bits
        self.beta = beta
        self.gamma0 = gamma0
        self.gamma = gamma
        self.zeta = zeta
        self.group_size = group_size
        self.codebook_dim = s1_bits + s2_bits

        def blocks(count: int) -> nn.ModuleList:
            dropouts = (ffn_dropout_p, attn_dropout_p, resid_dropout_p)
            return nn.ModuleList(Block(d_model, n_heads, ff_dim, *dropouts) for _ in range(count))

        self.embed = nn.Linear(d_in, d_model)
        self.head = nn.Linear(d_model, d_in)
        # The published class builds one block fewer than its arguments say, on both sides.
        self.encoder = blocks(n_enc_layers - 1)
        self.decoder = blocks(n_dec_layers - 1)
        self.quant_embed = nn.Linear(d_model, self.codebook_dim)
        self.post_quant_embed_pre = nn.Linear(s1_bits, d_model)  # in training only
        self.post_quant_embed = nn.Linear(self.codebook_dim, d_model)
        self.tokenizer = BSQuantizer(s1_bits, s2_bits, beta, gamma0, gamma, zeta, group_size)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens s1 and s2, int64 [batch, length], of normalised bars [batch, length, d_in]."""
        z = self.embed(x)
        for block in self.encoder:
            z = block(z)
        tokens: tuple[Tensor, Tensor] = self.tokenizer(self.quant_embed(z))
        return tokens

    def codes(self, s1_ids: Tensor, s2_ids: Tensor) -> Tensor:
        """+-1/sqrt(bits) for each bit of the tokens: [..., s1_bits + s2_bits]."""
        parts = []
        for ids, bits in ((s1_ids, self.s1_bits), (s2_ids, self.s2_bits)):
            mask = 2 ** torch.arange(bits, device=ids.device)
            parts.append((ids.unsqueeze(-1) & mask) != 0)
        signs = torch.cat(parts, dim=-1).to(self.post_quant_embed.weight.dtype) * 2 - 1
        scaled: Tensor = signs * (1.0 / self.codebook_dim**0.5)
        return scaled

    def decode(self, s1_ids: Tensor, s2_ids: Tensor) -> Tensor:
        """Normalised bars [batch, length, d_in] of tokens [batch, length]."""
        z = self.post_quant_embed(self.codes(s1_ids, s2_ids))
        for block in self.decoder:
            z = block(z)
        bars: Tensor = self.head(z)
        return bars

    def forward(self, x: Tensor) -> Tensor:
        """Bars as they come back from their tokens."""
        return self.decode(*self.encode(x))
