"""A small model and tokenizer with random weights, windows for them, and what the oracle makes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from tests.kronos.oracle import Forecast, Published, forecast
from trueup.kronos.forecaster import Forecaster, Window
from trueup.kronos.model import Kronos
from trueup.kronos.tokenizer import KronosTokenizer

NONE = {"ffn_dropout_p": 0.1, "attn_dropout_p": 0.1, "resid_dropout_p": 0.1}
CONTEXT = 24


def forecaster(context: int = CONTEXT, seed: int = 0) -> Forecaster:
    """Biases and norms are drawn as well: as constructed, most biases are zero and norms one."""
    torch.manual_seed(seed)
    model = Kronos(
        s1_bits=6, s2_bits=5, n_layers=3, d_model=32, n_heads=2, ff_dim=48, **NONE,
        token_dropout_p=0.1, learn_te=True,
    )  # fmt: skip
    tokenizer = KronosTokenizer(
        d_in=6, d_model=24, n_heads=3, ff_dim=40, n_enc_layers=3, n_dec_layers=3, **NONE,
        s1_bits=6, s2_bits=5, beta=0.05, gamma0=1.0, gamma=1.1, zeta=0.05, group_size=11,
    )  # fmt: skip
    with torch.no_grad():
        for module in (model, tokenizer):
            for name, parameter in module.named_parameters():
                if name.endswith("bias"):
                    parameter.normal_(0, 0.1)
                elif "norm" in name:
                    parameter.normal_(1, 0.2)
    return Forecaster(model=model, tokenizer=tokenizer, context=context)


def window(lookback: int, horizon: int, seed: int = 0) -> Window:
    """A random walk, with any timestamps."""
    numbers = np.random.default_rng(seed)
    bars = 50 + np.cumsum(numbers.normal(0, 1, (lookback, 6)), axis=0)
    stamps = np.stack(
        [numbers.integers(0, size, lookback + horizon) for size in (60, 24, 7, 32, 13)], axis=1
    )
    return Window(bars=bars, past=stamps[:lookback], future=stamps[lookback:])


def scale(bars: Any) -> tuple[Any, Any]:
    columns = np.asfortranarray(bars, dtype=np.float32)
    return columns.mean(axis=0), columns.std(axis=0) + np.float32(1e-5)


def expected(it: Forecaster, window: Window, **options: Any) -> tuple[Forecast, Any]:
    """The oracle's forecast, and its bars [samples, horizon, 6] in data units."""
    published = Published(
        model=it.model.state_dict(),
        tokenizer=it.tokenizer.state_dict(),
        model_heads=it.model.n_heads,
        tokenizer_heads=it.tokenizer.n_heads,
    )
    mean, unit = scale(window.bars)
    normalised = np.clip((np.asfortranarray(window.bars, dtype=np.float32) - mean) / unit, -5, 5)
    made = forecast(
        published,
        torch.from_numpy(np.ascontiguousarray(normalised)),
        torch.from_numpy(np.concatenate((window.past, window.future))),
        horizon=len(window.future),
        context=it.context,
        **options,
    )
    return made, made.bars.numpy() * unit + mean
