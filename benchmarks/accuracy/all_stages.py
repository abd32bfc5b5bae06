"""The table of what can be run, by the names that labels have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.accuracy import silence, stages, weights

STAGES: Mapping[str, Callable[[Path], Any]] = {
    "import.config": stages.import_config,
    "import.model": stages.import_model,
    "import.tokenizer": stages.import_tokenizer,
    "config": stages.config,
    "tokenizer": stages.tokenizer,
    "init": stages.init,
    "load": stages.load,
    "forward": stages.forward,
    "generate.cached": stages.generate_cached,
    "generate.uncached": stages.generate_uncached,
    "save": stages.save,
    "silent": silence.silent,
    "weights": weights.make_weights,
}
