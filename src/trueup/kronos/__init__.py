"""Kronos, the public forecasting model of candles: our own implementation of its published weights.

torch is imported when a name is first used, never before.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "KNOWN_MODELS": "trueup.kronos.known",
    "Kronos": "trueup.kronos.model",
    "KronosPredictor": "trueup.kronos.predictor",
    "KronosTokenizer": "trueup.kronos.tokenizer",
    "load_forecaster": "trueup.kronos.loading",
}

__all__ = ["Kronos", "KronosPredictor", "KronosTokenizer"]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(home), name)
