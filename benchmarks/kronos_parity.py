"""Tokens and logits of Kronos here against the public Kronos code, on the same random weights.

`python -m benchmarks.kronos_parity --original CLONE`: both predictors run with the same seed of
torch, every draw is compared: its logits, and the tokens that came of it. Exit status 1 when a
token differs or a logit is further away than 1e-5.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.kronos_original import (
    Pair,
    commit_of,
    import_original,
    random_candles,
    random_pairs,
)

WANTED = 1e-5
SIZES = ("mini", "small")
# name, T, top_k, top_p: the likeliest token, each filter alone, none at all, both asked for.
SAMPLINGS = (
    ("greedy", 1.0, 1, 1.0),
    ("top_k", 1.0, 20, 1.0),
    ("top_p", 1.0, 0, 0.9),
    ("neither", 1.0, 0, 1.0),
    ("warm", 0.7, 0, 0.95),
)
# How the 120 cases go: 100 stay within the context, 20 slide beyond it.
WITHIN, SLIDING = 100, 20
CONTEXT = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One forecast; `context` is what the predictors are given as `max_context`."""

    size: str
    lookback: int
    horizon: int
    context: int
    samples: int
    sampling: tuple[str, float, int, float]
    seed: int


@dataclass(slots=True)
class Draws:
    """Logits and tokens in the order in which they were drawn."""

    logits: list[torch.Tensor] = field(default_factory=list)
    tokens: list[torch.Tensor] = field(default_factory=list)


def cases(size: str) -> Iterator[Case]:
    """Of one size: half of all."""
    numbers = np.random.default_rng(SIZES.index(size))
    for number in range((WITHIN + SLIDING) // len(SIZES)):
        slides = number >= WITHIN // len(SIZES)
        horizon = int(numbers.integers(3, 9)) if slides else int(numbers.integers(1, 13))
        context = int(numbers.integers(32, 193)) if slides else CONTEXT
        lookback = (
            context + int(numbers.integers(2 - horizon, 20))
            if slides
            else int(numbers.integers(1, CONTEXT - horizon + 1))
        )
        yield Case(
            size=size,
            lookback=lookback,
            horizon=horizon,
            context=context,
            samples=(1, 5)[number % 2],
            sampling=SAMPLINGS[number // 2 % len(SAMPLINGS)],
            seed=1000 * SIZES.index(size) + number,
        )


def predict(kind: Callable[..., Any], pair: Pair, case: Case) -> Any:
    """The frame that a predictor gives."""
    candles = random_candles(case.lookback, case.horizon, case.seed)
    predictor = kind(pair.model, pair.tokenizer, device="cpu", max_context=case.context)
    torch.manual_seed(case.seed)
    _, temperature, top_k, top_p = case.sampling
    return predictor.predict(
        candles.frame(),
        candles.past,
        candles.future,
        case.horizon,
        T=temperature,
        top_k=top_k,
        top_p=top_p,
        sample_count=case.samples,
        verbose=False,
    )


@contextmanager
def recorded(module: Any, name: str) -> Iterator[Draws]:
    """What a function of a module that draws tokens is given, and what it gives."""
    draws, original = Draws(), getattr(module, name)

    def record(logits: torch.Tensor, *arguments: Any, **options: Any) -> torch.Tensor:
        draws.logits.append(logits.detach().clone())
        tokens: torch.Tensor = original(logits, *arguments, **options)
        draws.tokens.append(tokens.detach().clone().flatten())
        return tokens

    setattr(module, name, record)
    try:
        yield draws
    finally:
        setattr(module, name, original)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """`tokens` that differ, the furthest logit up to the first of them, the furthest bar.

    Bars are measured in deviations of their column over the lookback.
    """

    tokens: int
    drawn: int
    logits: float
    bars: float


def compare(original: Any, pairs: tuple[Pair, Pair], case: Case) -> Difference:
    """Runs a case on both sides."""
    from trueup.kronos import KronosPredictor, generating

    with recorded(sys.modules["model.kronos"], "sample_from_logits") as theirs:
        expected = predict(original.KronosPredictor, pairs[0], case)
    with recorded(generating, "choose") as ours:
        found = predict(KronosPredictor, pairs[1], case)
    wrong, furthest = 0, 0.0
    for a, b, c, d in zip(theirs.logits, ours.logits, theirs.tokens, ours.tokens, strict=True):
        if not wrong:
            furthest = max(furthest, float((a - b).abs().max()))
        wrong += int((c != d).sum())
    unit = random_candles(case.lookback, case.horizon, case.seed).bars.std(axis=0) + 1e-5
    bars = float(np.abs((found.to_numpy() - expected.to_numpy()) / unit).max())
    if list(found.columns) != list(expected.columns) or not found.index.equals(expected.index):
        raise SystemExit(f"{case}: the frames differ in their columns or their index")
    return Difference(tokens=wrong, drawn=sum(map(len, theirs.tokens)), logits=furthest, bars=bars)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--original", type=Path, required=True, help="clone of the public code")
    parser.add_argument("--verbose", action="store_true", help="a line for each case")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # pandas': the original's use of it
    original = import_original(arguments.original)
    print(f"original  commit {commit_of(arguments.original)}, torch {torch.__version__}, CPU, fp32")
    worst = 0
    for size in SIZES:
        pairs = random_pairs(original, size, seed=0)
        rows: dict[tuple[str, str, int], list[Difference]] = {}
        for case in cases(size):
            difference = compare(original, pairs, case)
            last = case.lookback + case.horizon - 1
            place = "slides" if last > case.context else "within"
            rows.setdefault((place, case.sampling[0], case.samples), []).append(difference)
            if arguments.verbose:
                print(case, difference, flush=True)
        for (place, name, samples), found in sorted(rows.items()):
            tokens, drawn = sum(d.tokens for d in found), sum(d.drawn for d in found)
            logits, bars = max(d.logits for d in found), max(d.bars for d in found)
            worst |= tokens > 0 or logits > WANTED
            print(
                f"{size:6} {place:7} {name:8} samples {samples}  cases {len(found):2}  "
                f"tokens {drawn - tokens}/{drawn} equal  logits {logits:.1e}  bars {bars:.1e}"
            )
    return int(worst)


if __name__ == "__main__":
    sys.exit(main())
