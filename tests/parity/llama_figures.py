"""Prints how far native Baichuan and InternLM are from the remote code of their kinds.

`python -m tests.parity.llama_figures [CASE...]`: the figures of docs/parity.md, for whichever
transformers this interpreter has. The remote code runs under transformers 4.41.2 in an
environment of its own.
"""

from __future__ import annotations

import platform
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
import transformers

import trueup
from tests.parity.comparison import Answers, Distance, distance, with_mistake
from tests.parity.llama_cases import KINDS, write_answers
from tests.parity.llama_mistakes import LLAMA_MISTAKES

DTYPES = ("float32", "bfloat16")


def main() -> None:
    torch.set_num_threads(1)
    print(
        f"transformers {transformers.__version__}, torch {torch.__version__}, "
        f"Python {platform.python_version()}"
    )
    with TemporaryDirectory() as home:
        names = sys.argv[1:] or list(KINDS)
        write_answers(Path(home), DTYPES, names)
        for name in names:
            _print_case(name, Path(home))


def _print_case(name: str, home: Path) -> None:
    answers = {dtype: Answers.load(home / f"{name}.{dtype}.npz") for dtype in DTYPES}
    apart = np.abs(answers["bfloat16"].logits - answers["float32"].logits)
    print(f"{name + ' remote code in bfloat16 from fp32':50} {apart.max():9.1e}")
    for dtype in DTYPES:
        model, _ = trueup.load(str(home / name), device="cpu", dtype=dtype)
        for against in sorted({dtype, "float32"}):
            label = f"{name} {dtype} from the remote code in {against}"
            _print_row(label, distance(model, answers[against], gives_positions=True))
    model, _ = trueup.load(str(home / name), device="cpu", dtype="float32")
    for label, mistake in LLAMA_MISTAKES.get(name, {}).items():
        mistaken = with_mistake(model, mistake)
        measured = distance(mistaken, answers["float32"], gives_positions=True)
        _print_row(f"{name} {label}", measured)


def _print_row(label: str, measured: Distance) -> None:
    tokens = "equal" if measured.tokens_are_equal else "differ"
    print(f"{label:60} {measured.logits:9.1e}  tokens {tokens}")


if __name__ == "__main__":
    main()
