"""The score from which two snippets count as alike. Pure: arrays in, arrays out.

What a threshold is chosen on, and what it judges, is `split.py`'s part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Sums of weights that differ by less are equal: they differ by rounding alone.
WEIGHT_TOLERANCE = 1e-9

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """Scores from `value` on count as alike; `tied` cuts between scores are right as often.

    `lowest` and `highest` are the first and the last of the tied cuts.
    """

    value: float
    tied: int
    lowest: float
    highest: float


def best_threshold(scores: Floats, labels: Ints, weights: Floats | None = None) -> Threshold:
    """The cut with the most accuracy; among equals the one in the widest gap, then the lowest.

    Cuts lie halfway between neighbouring scores; two more say the same of every pair, at the
    lowest score and just above the highest.
    """
    values, position = np.unique(scores, return_inverse=True)
    weights = np.ones(len(scores)) if weights is None else weights
    alike = np.bincount(position, weights * labels, minlength=len(values))
    different = np.bincount(position, weights * (1 - labels), minlength=len(values))
    # Of the cut before value k: what is alike from k on, and different below, is judged right.
    right = np.concatenate(([0.0], np.cumsum(different))) + np.concatenate(
        (np.cumsum(alike[::-1])[::-1], [0.0])
    )
    halfway = values[:-1] + np.diff(values) / 2
    between = np.where(halfway > values[:-1], halfway, values[1:])
    cuts = np.concatenate((values[:1], between, [np.nextafter(values[-1], np.inf)]))
    gaps = np.concatenate(([0.0], np.diff(values), [0.0]))
    tied = np.flatnonzero(right >= right.max() - WEIGHT_TOLERANCE * max(1.0, weights.sum()))
    chosen = tied[np.argmax(gaps[tied])]
    return Threshold(
        value=float(cuts[chosen]),
        tied=len(tied),
        lowest=float(cuts[tied[0]]),
        highest=float(cuts[tied[-1]]),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """Pairs that are judged together, and those that their threshold is chosen on."""

    judged: Ints
    chosen_on: Ints


def thresholds(scores: Floats, labels: Ints, cells: Sequence[Cell]) -> Floats:
    """The threshold of each pair, chosen on pairs that share nothing with it.

    Where more than the judged pairs is kept out (pairs of several groups, shared snippets), one
    label may lose more than the other: then labels are weighted to their share of the whole.
    """
    chosen = np.empty(len(scores))
    is_crossed = any(len(cell.judged) + len(cell.chosen_on) < len(scores) for cell in cells)
    for cell in cells:
        seen = labels[cell.chosen_on]
        alike = int(seen.sum())
        weights = None
        if is_crossed:
            share = labels.mean()
            weights = np.where(seen == 1, share / alike, (1 - share) / (len(seen) - alike))
        best = best_threshold(scores[cell.chosen_on], seen, weights)
        chosen[cell.judged] = best.value
    return chosen
