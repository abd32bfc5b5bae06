"""The recorded answers of the public code: what they are of, and the checkpoints they need."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.checkpoints.build import build_checkpoint
from tests.parity.comparison import Answers

GOLDEN = Path(__file__).parent / "golden"
CASES: dict[str, dict[str, Any]] = json.loads((GOLDEN / "logits.json").read_text())["cases"]


def checkpoint(name: str, directory: Path, **config_overrides: Any) -> Path:
    """The random checkpoint that the answers `name` were recorded from."""
    case = CASES[name]
    config = case["config"] | config_overrides
    return build_checkpoint(case["family"], directory, seed=case["seed"], **config)


def batch(name: str) -> Answers:
    """Three prompts of different lengths, padded on the left."""
    return Answers.load(GOLDEN / f"{name}.npz")


def single(name: str) -> Answers:
    """One prompt without padding."""
    return Answers.load(GOLDEN / f"{name}-single.npz")
