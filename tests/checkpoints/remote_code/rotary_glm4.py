class RotaryEmbedding(nn.Module):
    """`rope_ratio` multiplies the base."""

    def __init__(self, dim, rope_ratio=1, original_impl=False, device=None, dtype=None):
        super().__init__()
        inv_freq = 1.0 / (10000 ** (torch.arange(0, dim, 2, device=device).to(dtype=dtype) / dim))
        self.register_buffer("inv_freq", inv_freq)
        self.dim = dim
        self.rope_ratio = rope_ratio
        self.original_impl = original_impl

    def forward_impl(self, seq_len, n_elem, dtype, device, base=10000):
        base = base * self.rope_ratio
        exponents = torch.arange(0, n_elem, 2, dtype=torch.float, device=device) / n_elem
        theta = 1.0 / (base ** exponents)
        seq_idx = torch.arange(seq_len, dtype=torch.float, device=device)
        angles = torch.outer(seq_idx, theta).float()
        return torch.stack((angles.cos(), angles.sin()), dim=-1).to(dtype)

    def forward(self, max_seq_len, offset=0):
        return self.forward_impl(
            max_seq_len, self.dim, dtype=self.inv_freq.dtype, device=self.inv_freq.device
        )
