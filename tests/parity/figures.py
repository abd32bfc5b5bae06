"""Prints how far native models are from the public code: `python -m tests.parity.figures`.

The figures of docs/parity.md, for whichever transformers this interpreter has.
"""

from __future__ import annotations

import platform
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import transformers

import trueup
from tests.parity import golden_cases
from tests.parity.comparison import MISTAKES, ROPE_RATIO_MISREAD, Distance, distance, with_mistake


def main() -> None:
    torch.set_num_threads(1)
    print(
        f"transformers {transformers.__version__}, torch {torch.__version__}, "
        f"Python {platform.python_version()}"
    )
    with TemporaryDirectory() as home:
        for name in golden_cases.CASES:
            _print_case(name, golden_cases.checkpoint(name, Path(home) / name))


def _print_case(name: str, directory: Path) -> None:
    batch, single = golden_cases.batch(name), golden_cases.single(name)
    for dtype in ("float32", "bfloat16"):
        model, _ = trueup.load(str(directory), device="cpu", dtype=dtype)
        _print_row(f"{name} {dtype} batch", distance(model, batch))
        _print_row(f"{name} {dtype} single", distance(model, single))
    model, _ = trueup.load(str(directory), device="cpu", dtype="float32")
    mistakes = dict(MISTAKES)
    if name in ROPE_RATIO_MISREAD:
        mistakes["rope_ratio misread"] = ROPE_RATIO_MISREAD[name]
    for label, mistake in mistakes.items():
        _print_row(f"{name} {label}", distance(with_mistake(model, mistake), batch))


def _print_row(label: str, measured: Distance) -> None:
    tokens = "equal" if measured.tokens_are_equal else "differ"
    print(f"{label:50} {measured.logits:9.1e}  tokens {tokens}")


if __name__ == "__main__":
    main()
