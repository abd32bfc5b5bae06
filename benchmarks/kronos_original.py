"""The public Kronos code, imported from a clone that the user names, and random models of it.

Nothing of it is in this repository. It needs einops, tqdm and pandas beside what we need.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

# layers, d_model, heads, ff_dim, context: as published.
SIZES = {
    "mini": (4, 256, 4, 512, 2048),
    "small": (8, 512, 8, 1024, 512),
    "base": (12, 832, 16, 2048, 512),
}
DROPOUTS = {"ffn_dropout_p": 0.2, "attn_dropout_p": 0.0, "resid_dropout_p": 0.2}


def import_original(clone: Path) -> Any:
    """The package `model` of a clone of the public repository."""
    if not (clone / "model" / "kronos.py").is_file():
        raise SystemExit(f"{clone} is no clone of the public Kronos repository: no model/kronos.py")
    sys.path.insert(0, str(clone))
    try:
        return importlib.import_module("model")
    except ModuleNotFoundError as error:
        raise SystemExit(f"the public Kronos code wants `{error.name}`: install it") from error


def commit_of(clone: Path) -> str:
    """The clone's commit."""
    asked = subprocess.run(
        ["git", "-C", str(clone), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() or "unknown"


def model_arguments(size: str) -> dict[str, Any]:
    """What both classes `Kronos` are made with."""
    layers, width, heads, inner, _ = SIZES[size]
    return {
        "s1_bits": 10,
        "s2_bits": 10,
        "n_layers": layers,
        "d_model": width,
        "n_heads": heads,
        "ff_dim": inner,
        **DROPOUTS,
        "token_dropout_p": 0.0,
        "learn_te": True,
    }


def tokenizer_arguments(size: str) -> dict[str, Any]:
    """What both classes `KronosTokenizer` are made with."""
    return {
        "d_in": 6,
        "d_model": 256,
        "n_heads": 4,
        "ff_dim": 512,
        "n_enc_layers": 4,
        "n_dec_layers": 4,
        **dict.fromkeys(DROPOUTS, 0.0),
        "s1_bits": 10,
        "s2_bits": 10,
        "beta": 0.05,
        "gamma0": 1.0,
        "gamma": 1.1,
        "zeta": 0.05,
        "group_size": 5 if size == "mini" else 4,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A model and its tokenizer, of one side."""

    model: Any
    tokenizer: Any


def random_pairs(original: Any, size: str, seed: int) -> tuple[Pair, Pair]:
    """The original's and ours with the same weights."""
    from trueup.kronos.model import Kronos
    from trueup.kronos.tokenizer import KronosTokenizer

    torch.manual_seed(seed)
    theirs = _stirred(_pair(original.Kronos, original.KronosTokenizer, size))
    ours = _pair(Kronos, KronosTokenizer, size)
    for mine, other in ((ours.model, theirs.model), (ours.tokenizer, theirs.tokenizer)):
        mine.load_state_dict(other.state_dict())
    return theirs, ours


def random_pair(size: str, seed: int) -> Pair:
    """Ours alone."""
    from trueup.kronos.model import Kronos
    from trueup.kronos.tokenizer import KronosTokenizer

    torch.manual_seed(seed)
    return _stirred(_pair(Kronos, KronosTokenizer, size))


def _pair(model: Any, tokenizer: Any, size: str) -> Pair:
    return Pair(
        model=model(**model_arguments(size)).eval(),
        tokenizer=tokenizer(**tokenizer_arguments(size)).eval(),
    )


def _stirred(pair: Pair) -> Pair:
    """Draws biases and norms too: as constructed, most biases are zero and all norms one."""
    with torch.no_grad():
        for module in (pair.model, pair.tokenizer):
            for name, parameter in module.named_parameters():
                if name.endswith("bias"):
                    parameter.normal_(0, 0.02)
                elif "norm" in name:
                    parameter.normal_(1, 0.1)
    return pair


@dataclass(frozen=True, slots=True, kw_only=True)
class Candles:
    """Bars [length, 6] and timestamps of them and of those that follow."""

    bars: NDArray[np.float64]
    past: Any
    future: Any

    def frame(self) -> Any:
        """As a pandas frame with the original's columns."""
        import pandas

        columns = ["open", "high", "low", "close", "volume", "amount"]
        return pandas.DataFrame(self.bars, columns=columns)

    def stamps(self) -> NDArray[np.int64]:
        """[bars + horizon, 5]: minute, hour, weekday, day, month."""
        import pandas

        times = pandas.concat((self.past, self.future)).dt
        parts = (times.minute, times.hour, times.dayofweek, times.day, times.month)
        return np.stack([np.asarray(each, dtype=np.int64) for each in parts], axis=1)


def random_candles(length: int, horizon: int, seed: int) -> Candles:
    """A random walk of five-minute bars."""
    import pandas

    numbers = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(numbers.normal(0, 0.003, length)))
    opened = np.concatenate(([100.0], close[:-1]))
    high = np.maximum(opened, close) * (1 + np.abs(numbers.normal(0, 0.001, length)))
    low = np.minimum(opened, close) * (1 - np.abs(numbers.normal(0, 0.001, length)))
    volume = numbers.lognormal(10, 1, length)
    amount = volume * (opened + high + low + close) / 4
    times = pandas.Series(
        pandas.date_range("2024-01-03 09:30", periods=length + horizon, freq="5min")
    )
    return Candles(
        bars=np.stack((opened, high, low, close, volume, amount), axis=1),
        past=times[:length].reset_index(drop=True),
        future=times[length:].reset_index(drop=True),
    )
