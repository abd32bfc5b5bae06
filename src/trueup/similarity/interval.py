"""95 % intervals by a bootstrap over groups: pairs of one base problem come and go together.

The thresholds stay as they are: an interval tells what other pairs would do to a figure, not what
another choice of threshold would. Pure and repeatable: the seed decides every draw.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trueup.similarity.split import Membership
from trueup.similarity.threshold import Floats, Ints

RESAMPLES = 2000
CONFIDENCE = 0.95
NORMAL_QUANTILE = 1.959964
# Weights held at a time; a set of 400,000 pairs takes its resamples in small blocks.
BLOCK_NUMBERS = 4_000_000
# A figure that fewer of the resamples have (no pair of that kind in them) gets no interval.
LEAST_DEFINED = 0.5

Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What is known of each pair: its label, its score and whether it was called alike."""

    labels: Ints
    scores: Floats
    said: Bools

    @property
    def right(self) -> Bools:
        """Whether the judgement equals the label."""
        return np.asarray(self.said == (self.labels == 1))


def figures(judged: Judged, weights: Floats) -> dict[str, Floats]:
    """accuracy, precision, recall, f1 and roc_auc for each row of weights; nan where undefined."""
    alike = judged.labels == 1
    true_alike = weights @ (judged.said & alike).astype(float)
    said, are = weights @ judged.said.astype(float), weights @ alike.astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "accuracy": weights @ judged.right.astype(float) / weights.sum(axis=1),
            "precision": true_alike / said,
            "recall": true_alike / are,
            "f1": 2 * true_alike / (said + are),
            "roc_auc": area_under_curve(judged, weights),
        }


def area_under_curve(judged: Judged, weights: Floats) -> Floats:
    """The chance that a pair that is alike scores above one that is not; ties count half."""
    order = np.argsort(judged.scores, kind="stable")
    ordered = judged.scores[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    weights, labels = weights[:, order], judged.labels[order]
    alike = np.add.reduceat(weights * labels, starts, axis=1)
    different = np.add.reduceat(weights * (1 - labels), starts, axis=1)
    below = np.cumsum(different, axis=1) - different
    with np.errstate(invalid="ignore", divide="ignore"):
        won = (alike * (below + different / 2)).sum(axis=1)
        return np.asarray(won / (alike.sum(axis=1) * different.sum(axis=1)))


def intervals(
    members: Membership, measure: Callable[[Floats], Mapping[str, Floats]], *, seed: int
) -> dict[str, tuple[float, float] | None]:
    """The interval of every figure that `measure` makes of rows of weights for the pairs.

    Groups are drawn with replacement; a pair of several groups counts with the product of their
    numbers, which is on the safe side.
    """
    generator = np.random.default_rng(seed)
    drawn: dict[str, list[Floats]] = {}
    rows = max(1, min(RESAMPLES, BLOCK_NUMBERS // max(1, len(members.groups))))
    for start in range(0, RESAMPLES, rows):
        size = min(rows, RESAMPLES - start)
        counts = generator.multinomial(
            members.count, np.full(members.count, 1 / members.count), size=size
        )
        # The column that -1 points to: a group that is not there changes nothing.
        counts = np.hstack((counts, np.ones((size, 1), dtype=counts.dtype)))
        weights = counts[:, members.groups].prod(axis=2).astype(float)
        for name, values in measure(weights).items():
            drawn.setdefault(name, []).append(values)
    return {name: _interval(np.concatenate(values)) for name, values in drawn.items()}


def wilson(share: float, count: int) -> tuple[float, float]:
    """Wilson's interval of a share of `count` independent cases."""
    z = NORMAL_QUANTILE**2
    middle = (share + z / (2 * count)) / (1 + z / count)
    half = (
        NORMAL_QUANTILE
        * float(np.sqrt(share * (1 - share) / count + z / (4 * count**2)))
        / (1 + z / count)
    )
    return max(0.0, middle - half), min(1.0, middle + half)


def _interval(values: Floats) -> tuple[float, float] | None:
    defined = values[np.isfinite(values)]
    if len(defined) < LEAST_DEFINED * len(values):
        return None
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(defined, [tail, 100 - tail])
    return float(low), float(high)
