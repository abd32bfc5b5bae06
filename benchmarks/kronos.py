"""CPU seconds of a Kronos forecast: here, by the public Kronos code, and by the tests' oracle.

`python -m benchmarks.kronos --original CLONE`: Kronos-small's sizes, random weights, fp32, one
thread, one process; the sides take turns, and every pair of turns gives one ratio. Seconds are of
this process alone, so that a busy machine says little. Exit status 1 when a median is below what
is wanted, or when the sides do not forecast the same bars.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.kronos_original import (
    Candles,
    Pair,
    commit_of,
    import_original,
    random_candles,
    random_pair,
    random_pairs,
)

SIZE, CONTEXT, SEED = "small", 512, 7
# What one core needs at least for a step of fp32, by the processor's 15 GB/s of memory, and for
# the prefill, by 90 GFLOP/s.
FLOOR_STEP_SECONDS, FLOOR_PREFILL_SECONDS = 94e6 / 15e9, 0.3
BARS_WITHIN = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """`wanted` times fewer CPU seconds than the original's."""

    lookback: int
    horizon: int
    samples: int
    wanted: float

    @property
    def name(self) -> str:
        """As the command line names it."""
        return f"{self.lookback}-{self.horizon}-{self.samples}"


CASES = (
    Case(lookback=392, horizon=120, samples=1, wanted=11.0),
    Case(lookback=400, horizon=120, samples=1, wanted=8.5),
    Case(lookback=392, horizon=120, samples=5, wanted=21.0),
    Case(lookback=392, horizon=120, samples=30, wanted=60.0),
)
Run = Callable[[Case, Candles], NDArray[np.float64]]


def predictor_side(kind: Any, pair: Pair) -> Run:
    """Either class `KronosPredictor`: they are called alike."""
    predictor = kind(pair.model, pair.tokenizer, device="cpu", max_context=CONTEXT)

    def run(case: Case, candles: Candles) -> NDArray[np.float64]:
        torch.manual_seed(SEED)
        frame = predictor.predict(
            candles.frame(),
            candles.past,
            candles.future,
            case.horizon,
            sample_count=case.samples,
            verbose=False,
        )
        values: NDArray[np.float64] = frame.to_numpy(dtype=np.float64)
        return values

    return run


def oracle_side(pair: Pair) -> Run:
    """The plain steps that the tests judge by."""
    from tests.kronos.oracle import Published, forecast

    published = Published(
        model=pair.model.state_dict(),
        tokenizer=pair.tokenizer.state_dict(),
        model_heads=pair.model.n_heads,
        tokenizer_heads=pair.tokenizer.n_heads,
    )

    def run(case: Case, candles: Candles) -> NDArray[np.float64]:
        bars = np.asfortranarray(candles.bars, dtype=np.float32)
        mean, unit = bars.mean(axis=0), bars.std(axis=0) + np.float32(1e-5)
        made = forecast(
            published,
            torch.from_numpy(np.ascontiguousarray(np.clip((bars - mean) / unit, -5, 5))),
            torch.from_numpy(candles.stamps()),
            horizon=case.horizon,
            samples=case.samples,
            context=CONTEXT,
            temperature=1.0,
            top_k=0,
            top_p=0.9,
            seed=SEED,
        )
        found: NDArray[np.float64] = made.bars.numpy().mean(axis=0) * unit + mean
        return found

    return run


def measured(run: Run, case: Case, candles: Candles) -> tuple[float, NDArray[np.float64]]:
    started = time.process_time()
    bars = run(case, candles)
    return time.process_time() - started, bars


def compare(case: Case, ours: Run, others: dict[str, Run], pairs: int) -> bool:
    """Prints a case; whether it is as wanted."""
    candles = random_candles(case.lookback, case.horizon, seed=1)
    unit = candles.bars.std(axis=0)
    floor = case.horizon * FLOOR_STEP_SECONDS + FLOOR_PREFILL_SECONDS
    mine: list[float] = []
    theirs: dict[str, list[float]] = {name: [] for name in others}
    apart = dict.fromkeys(others, 0.0)
    for _ in range(pairs):
        seconds, found = measured(ours, case, candles)
        mine.append(seconds)
        for name, run in others.items():
            taken, expected = measured(run, case, candles)
            theirs[name].append(taken)
            apart[name] = max(apart[name], float(np.abs((found - expected) / unit).max()))
    middle = statistics.median(mine)
    print(f"{case.name:>12}  ours      {middle:8.2f} s   {middle / floor:5.2f} of the floor")
    is_good = True
    for name, seconds_of in theirs.items():
        ratios = [their / my for their, my in zip(seconds_of, mine, strict=True)]
        ratio = statistics.median(ratios)
        is_good &= apart[name] <= BARS_WITHIN and (name != "original" or ratio >= case.wanted)
        print(
            f"{'':12}  {name:8}  {statistics.median(seconds_of):8.2f} s   {ratio:6.1f} times ours "
            f"({', '.join(f'{each:.1f}' for each in ratios)})   bars apart {apart[name]:.1e}",
            flush=True,
        )
    return is_good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--original", type=Path, help="clone of the public code")
    parser.add_argument("--oracle", action="store_true", help="measure the tests' oracle as well")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--cases", nargs="+", metavar="LOOKBACK-HORIZON-SAMPLES")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # pandas': the original's use of it
    from trueup.kronos import KronosPredictor

    others: dict[str, Run] = {}
    if arguments.original is not None:
        original = import_original(arguments.original)
        print(f"original  commit {commit_of(arguments.original)}")
        theirs, mine = random_pairs(original, SIZE, seed=0)
        others["original"] = predictor_side(original.KronosPredictor, theirs)
    else:
        mine = random_pair(SIZE, seed=0)
    if arguments.oracle:
        others["oracle"] = oracle_side(mine)
    print(f"sizes of Kronos-{SIZE}, fp32, one thread, torch {torch.__version__}")
    ours = predictor_side(KronosPredictor, mine)
    measured(ours, CASES[0], random_candles(64, 120, seed=2))  # what is done once for a model
    chosen = [case_of(name) for name in arguments.cases] if arguments.cases else CASES
    results = [compare(case, ours, others, arguments.pairs) for case in chosen]
    return 0 if all(results) else 1


def case_of(name: str) -> Case:
    lookback, horizon, samples = (int(part) for part in name.split("-"))
    known = {case.name: case for case in CASES}
    plain = Case(lookback=lookback, horizon=horizon, samples=samples, wanted=0.0)
    return known.get(name, plain)


if __name__ == "__main__":
    sys.exit(main())
