"""Which pairs a threshold is chosen on: never one that shares anything with those it judges.

Cross-validation by group. Where the data name no groups, snippets make them. Pure and
repeatable: the seed decides how groups are dealt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trueup.errors import ConfigError
from trueup.similarity.pair import Pair, counted
from trueup.similarity.threshold import Cell, Ints

DEFAULT_FOLDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """Which groups each pair belongs to: a row of numbers below `count`, filled up with -1.

    `by` says what a group is: `group` (named in the data), `joined group` (named ones, joined
    where pairs or snippets link them), `shared snippets` (pairs joined by common snippets) or
    `snippet` (each snippet is one).
    """

    groups: Ints
    count: int
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Pairs as arrays, and how they are split.

    `texts` are the distinct snippets, `sides` the numbers of each pair's two in it.
    """

    texts: tuple[str, ...]
    sides: Ints
    labels: Ints
    members: Membership
    cells: tuple[Cell, ...]
    folds: int
    seed: int


def split_pairs(pairs: Sequence[Pair], *, folds: int | None, seed: int) -> Split:
    """Split for cross-validation; without `folds` DEFAULT_FOLDS, or fewer for fewer groups.

    Raises:
        ConfigError: every pair has one label, there are fewer groups than folds, or the other
            folds leave no pairs or one label alone to choose a threshold on.
    """
    labels = np.array([pair.label for pair in pairs])
    if labels.min() == labels.max():
        raise ConfigError(
            f"all of {len(pairs):,} pairs have label `{labels[0]}`, expected both `1` and `0`",
            where=pairs[0].where.rpartition(":")[0] or pairs[0].where,
            hint="add pairs of the other label",
        )
    texts = dict.fromkeys(code.text for pair in pairs for code in (pair.left, pair.right))
    numbers = {text: i for i, text in enumerate(texts)}
    sides = np.array([(numbers[pair.left.text], numbers[pair.right.text]) for pair in pairs])
    members = membership([pair.groups for pair in pairs], sides, folds or DEFAULT_FOLDS)
    used = max(2, min(DEFAULT_FOLDS, members.count)) if folds is None else folds
    found = cells(members, sides, folds=used, seed=seed)
    for cell in found:
        _check_choice(labels[cell.chosen_on], len(cell.judged))
    return Split(
        texts=tuple(texts),
        sides=sides,
        labels=labels,
        members=members,
        cells=tuple(found),
        folds=used,
        seed=seed,
    )


def membership(groups: Sequence[tuple[str, ...]], sides: Ints, folds: int) -> Membership:
    """The groups of each pair, from the names that the data give and the snippets' numbers.

    1. Pairs that names or snippets link, however far, are one group. 2. Where so many hang
    together that folds could not be even, a pair belongs to each of its named groups, or to
    each of its two snippets.
    """
    is_named = bool(groups[0])
    names = sorted({name for each in groups for name in each})
    linked = _linked([(*each, *pair) for each, pair in zip(groups, sides.tolist(), strict=True)])
    count = int(linked.max()) + 1
    if np.bincount(linked).max() * folds <= len(sides):
        named = "group" if count == len(names) else "joined group"
        by = named if is_named else "shared snippets"
        return Membership(groups=linked[:, None], count=count, by=by)
    if is_named:
        numbers = {name: i for i, name in enumerate(names)}
        width = max(map(len, groups))
        rows = [[numbers[name] for name in each] + [-1] * (width - len(each)) for each in groups]
        return Membership(groups=np.array(rows), count=len(names), by="group")
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
            f"{folds} folds and {counted(members.count, 'group')}, expected at least one group for"
            " each fold",
            where="--folds",
            hint=(
                f"--folds {min(DEFAULT_FOLDS, members.count)}"
                if members.count > 1
                else "add pairs of other base problems"
            ),
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


def _check_choice(labels: Ints, judged: int) -> None:
    if len(labels) and labels.min() < labels.max():
        return
    there = f"label `{labels[0]}` alone" if len(labels) else "no pairs"
    raise ConfigError(
        f"{counted(judged, 'pair')} would be judged by a threshold from {there}, expected both"
        " labels in the other folds",
        where="--folds",
        hint="add pairs of other base problems, or try another --seed",
    )


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


def _linked(keys: Sequence[tuple[str | int, ...]]) -> Ints:
    """A number for each row of keys, the same for rows that common keys link, however far."""
    parent = {key: key for each in keys for key in each}

    def root(key: str | int) -> str | int:
        while parent[key] != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    for first, *others in keys:
        for other in others:
            parent[root(other)] = root(first)
    numbers: dict[str | int, int] = {}
    return np.array([numbers.setdefault(root(each[0]), len(numbers)) for each in keys])
