"""A demonstration without a download: a made-up series and a small model of random weights.

What comes of it shows how TrueUp works, and is no forecast of anything. Both are the same wherever
they are made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trueup.forecasting.bars import NANOSECONDS, Series, build_series
from trueup.protocol.candles import COLUMNS

if TYPE_CHECKING:
    from trueup.kronos.forecaster import Forecaster

NAME = "demo"
NOTICE = "a demonstration, not a forecast: the series is made up and the model has random weights"
SEED = 20240618
BARS = 624  # thirteen days of 48 bars
FIRST_DAY = np.datetime64("2024-05-31")
STEP = np.timedelta64(5, "m")
MORNING, AFTERNOON = np.timedelta64(575, "m"), np.timedelta64(785, "m")  # 9:35 and 13:05
HALF_DAY_BARS = 24
CONTEXT = 512
MODEL = {
    "s1_bits": 8,
    "s2_bits": 8,
    "n_layers": 2,
    "d_model": 64,
    "n_heads": 4,
    "ff_dim": 128,
    "ffn_dropout_p": 0.0,
    "attn_dropout_p": 0.0,
    "resid_dropout_p": 0.0,
}
TOKENIZER = {
    **{name: value for name, value in MODEL.items() if name != "n_layers"},
    "d_in": len(COLUMNS),
    "n_enc_layers": 2,
    "n_dec_layers": 2,
    "beta": 0.05,
    "gamma0": 1.0,
    "gamma": 1.1,
    "zeta": 0.05,
    "group_size": 4,
}


def demo_series() -> Series:
    """Five-minute bars of a stock that does not exist, with lunch breaks, nights and weekends."""
    # The legacy generator's numbers are promised never to change.
    random = np.random.RandomState(SEED)
    days = np.busday_offset(FIRST_DAY, np.arange(BARS // (2 * HALF_DAY_BARS)), roll="forward")
    half = np.arange(HALF_DAY_BARS) * STEP
    clock = np.concatenate([MORNING + half, AFTERNOON + half])
    times = (days[:, None] + clock[None, :]).ravel().astype(NANOSECONDS)
    of_day = np.tile(np.linspace(-1, 1, len(clock)), len(days))
    busy = 0.6 + 0.8 * of_day**2  # more happens when the market opens and closes
    calm = np.exp(np.cumsum(random.normal(0, 0.05, BARS)))
    moves = random.normal(0, 0.0012, BARS) * busy * calm / calm.mean()
    close = 11.2 * np.exp(np.cumsum(moves))
    opened = np.concatenate([[11.2], close[:-1]])
    spread = np.abs(random.normal(0, 0.0006, (2, BARS))) * busy * close
    high, low = np.maximum(opened, close) + spread[0], np.minimum(opened, close) - spread[1]
    volume = np.round(random.gamma(2.0, 250.0, BARS) * busy * (1 + 400 * np.abs(moves)))
    prices = {"open": opened, "high": high, "low": low, "close": close}
    prices = {name: np.round(values, 2) for name, values in prices.items()}
    amount = np.round(volume * 100 * (high + low) / 2, 2)
    return build_series(NAME, times, {**prices, "volume": volume, "amount": amount})


def demo_forecaster() -> Forecaster:
    """A small pair with random weights."""
    from trueup.kronos import Kronos, KronosTokenizer
    from trueup.kronos.forecaster import Forecaster

    model = Kronos(**MODEL, token_dropout_p=0.0, learn_te=True)
    tokenizer = KronosTokenizer(**TOKENIZER)
    random = np.random.RandomState(SEED)
    for module in (model, tokenizer):
        for name, parameter in sorted(module.named_parameters()):
            # Shares its memory; torch's own generator differs between releases.
            weights = parameter.detach().numpy()
            if name.endswith("bias"):
                weights[...] = 0
            elif parameter.dim() > 1:
                fan_in = 1 if "emb" in name.split(".")[-2] else weights.shape[1]
                weights[...] = random.normal(0, fan_in**-0.5, weights.shape)
    return Forecaster(model=model, tokenizer=tokenizer, context=CONTEXT)
