"""The score from which two snippets count as alike, and the split it is chosen on.

A threshold never judges a pair that it was chosen on, nor one that shares a group or a snippet
with such a pair. Pure: arrays in, arrays out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trueup.errors import ConfigError

MOST_FOLDS = 50
DEFAULT_FOLDS = 5
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """Which groups each pair belongs to: a row of numbers below `count`, filled up with -1.

    `by` says what a group is: `group` (named in the data), `shared snippets` (pairs joined by
    common snippets) or `snippet` (each snippet is one).
    """

    groups: Ints
    count: int
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """Pairs that are judged together, and those that their threshold is chosen on."""

    judged: Ints
    chosen_on: Ints


def best_threshold(scores: Floats, labels: Ints, weights: Floats | None = None) -> Threshold:
    """The cut with the most accuracy; among equals the one in the widest gap, then the lowest.

    Cuts lie halfway between neighbouring scores; two more say the same of every pair.
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


def membership(groups: list[tuple[str, ...]], sides: Ints, folds: int) -> Membership:
    """The groups of each pair: those that the data name, else what shares snippets.

    `sides` holds the numbers of each pair's two snippets. Where so many pairs hang together that
    folds could not be even, each snippet is a group of its own.
    """
    if groups and groups[0]:
        numbers = {name: i for i, name in enumerate(sorted({n for each in groups for n in each}))}
        width = max(map(len, groups))
        rows = [[numbers[name] for name in each] + [-1] * (width - len(each)) for each in groups]
        return Membership(groups=np.array(rows), count=len(numbers), by="group")
    joined = _joined(sides)
    if np.bincount(joined).max() * folds <= len(sides):
        return Membership(groups=joined[:, None], count=int(joined.max()) + 1, by="shared snippets")
    _, numbered = np.unique(sides, return_inverse=True)
    return Membership(
        groups=numbered.reshape(sides.shape), count=int(numbered.max()) + 1, by="snippet"
    )


def cells(members: Membership, sides: Ints, *, folds: int, seed: int) -> list[Cell]:
    """Every pair once, with the pairs that its threshold may be chosen on.

    1. Groups are dealt to folds, evenly by the number of pairs. 2. Pairs whose groups lie in the
    same folds are judged together. 3. Their threshold may see the pairs without a group in those
    folds and without a snippet in common with them.

    Raises:
        ConfigError: there are fewer groups than folds.
    """
    if members.count < folds:
        raise ConfigError(
            f"{folds} folds and {members.count} groups, expected at least one group for each fold",
            where="--folds",
            hint="--folds 2" if folds > 2 <= members.count else "add pairs of other base problems",
        )
    fold = np.append(_dealt(members, folds, seed), -1)[members.groups]
    bits = np.where(fold < 0, 0, np.left_shift(1, np.maximum(fold, 0)))
    keys = np.bitwise_or.reduce(bits, axis=1)
    found = []
    for key in np.unique(keys):
        judged = np.flatnonzero(keys == key)
        shares_snippet = np.isin(sides, sides[judged]).any(axis=1)
        free = ((keys & key) == 0) & ~shares_snippet
        found.append(Cell(judged=judged, chosen_on=np.flatnonzero(free)))
    return found


def thresholds(scores: Floats, labels: Ints, split: list[Cell]) -> Floats:
    """The threshold of each pair, chosen on pairs that share nothing with it.

    Where pairs belong to several groups the folds hold fewer of one label than the whole: then
    labels are weighted to their share of the whole.

    Raises:
        ConfigError: some pairs leave none, or one label alone, to choose a threshold on.
    """
    chosen = np.empty(len(scores))
    is_crossed = len(split) > 1 and any(
        len(cell.judged) + len(cell.chosen_on) < len(scores) for cell in split
    )
    for cell in split:
        seen = labels[cell.chosen_on]
        alike = int(seen.sum())
        if alike in (0, len(seen)):
            there = f"label `{seen[0]}` alone" if len(seen) else "no pairs"
            raise ConfigError(
                f"{len(cell.judged)} pairs would be judged by a threshold from {there},"
                " expected both labels in the other folds",
                where="--folds",
                hint="add pairs of other base problems, or try another --seed",
            )
        weights = None
        if is_crossed:
            share = labels.mean()
            weights = np.where(seen == 1, share / alike, (1 - share) / (len(seen) - alike))
        best = best_threshold(scores[cell.chosen_on], seen, weights)
        chosen[cell.judged] = best.value
    return chosen


def _dealt(members: Membership, folds: int, seed: int) -> Ints:
    """The fold of each group: the largest first, each to the fold with the fewest pairs."""
    sizes = np.bincount(members.groups[members.groups >= 0], minlength=members.count)
    order = np.random.default_rng(seed).permutation(members.count)
    order = order[np.argsort(-sizes[order], kind="stable")]
    fold = np.empty(members.count, dtype=np.int64)
    filled = np.zeros(folds, dtype=np.int64)
    for group in order:
        fold[group] = np.argmin(filled)
        filled[fold[group]] += max(1, sizes[group])
    return fold


def _joined(sides: Ints) -> Ints:
    """A number for each pair, the same for pairs that common snippets join, however far."""
    parent = {int(each): int(each) for each in np.unique(sides)}

    def root(each: int) -> int:
        while parent[each] != each:
            parent[each] = parent[parent[each]]
            each = parent[each]
        return each

    for left, right in sides.tolist():
        parent[root(left)] = root(right)
    _, joined = np.unique([root(left) for left, _ in sides.tolist()], return_inverse=True)
    return np.asarray(joined, dtype=np.int64)
