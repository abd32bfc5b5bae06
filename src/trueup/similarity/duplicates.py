"""Pairs within one collection that are alike, and groups of places with the very same text.

1. The same text at several places is a group, found by digest. 2. Distinct texts are compared
once, in the kind they have in common. 3. Places that share code are never a pair. 4. What lies
within a group or pair that is reported anyway is counted, not repeated.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trueup.similarity.search import SCORE_DIGITS, Pair, score_of
from trueup.similarity.snippet import Kind, Place

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from trueup.similarity.collection import Collection

    # Score, number of the earlier text, number of the later one.
    Rows = NDArray[np.float64]

BLOCK_TEXTS = 1024
# More is no list that anybody reads; the best are kept and all are counted.
CANDIDATES_MAX = 20_000
NEIGHBOURS = 64
ROUNDING = 0.5e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Places with the same text, at least two."""

    digest: str
    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicates:
    """What was found, best and longest first, and how much of it is not listed.

    `within_count` groups and pairs lie inside listed ones; `left_out_count` were too many.
    `best_score` is that of all of them, None where nothing was found.
    """

    groups: tuple[Group, ...]
    pairs: tuple[Pair, ...]
    within_count: int
    left_out_count: int
    best_score: float | None


def find_duplicates(collection: Collection, *, min_score: float, top: int) -> Duplicates:
    """At most `top` groups and `top` pairs whose score is `min_score` or more."""
    around = _around(collection)
    groups, inner_groups = _groups(collection, around)
    candidates, total = _candidates(collection, min_score)
    pairs: list[Pair] = []
    inner_pairs = impossible = 0
    best_score = 1.0 if groups else None
    known = {(one, other) for _, one, other in candidates}
    for score, one, other in candidates:
        chosen = _apart(collection.places[one], collection.places[other])
        if chosen is None:
            impossible += 1
            continue
        best_score = score if best_score is None else best_score
        if _is_within(around, *chosen, known):
            inner_pairs += 1
        elif len(pairs) < top:
            pairs.append(_pair(collection, score, (one, other), chosen))
    listed = groups[:top]
    left_out = len(groups) - len(listed) + total - impossible - inner_pairs - len(pairs)
    return Duplicates(
        groups=tuple(listed),
        pairs=tuple(pairs),
        within_count=inner_groups + inner_pairs,
        left_out_count=left_out,
        best_score=best_score,
    )


def _around(collection: Collection) -> dict[Place, tuple[int, ...]]:
    """For each place the texts of the places that it lies within."""
    by_path: dict[str, list[tuple[Place, int]]] = {}
    for text, places in enumerate(collection.places):
        for place in places:
            by_path.setdefault(place.path, []).append((place, text))
    around: dict[Place, tuple[int, ...]] = {}
    for members in by_path.values():
        members.sort(key=lambda each: (each[0].first_byte, -each[0].end_byte))
        outer: list[tuple[Place, int]] = []
        for place, text in members:
            while outer and outer[-1][0].end_byte <= place.first_byte:
                outer.pop()
            around[place] = tuple(
                number for container, number in outer if container.contains(place)
            )
            outer.append((place, text))
    return around


def _groups(
    collection: Collection, around: dict[Place, tuple[int, ...]]
) -> tuple[list[Group], int]:
    """The groups, longest texts first, and how many lie within those."""
    found = {
        text: places for text, places in enumerate(collection.places) if _has_two_apart(places)
    }
    groups, inner = [], 0
    for text, places in found.items():
        shared = set.intersection(*(set(around[place]) for place in places))
        # As many places as the copy around them: it is the copying of that one, seen again.
        if any(len(found.get(container, ())) == len(places) for container in shared):
            inner += 1
        else:
            groups.append(Group(digest=collection.digests[text], places=places))
    groups.sort(key=lambda each: each.places[0].first_line - each.places[0].last_line)
    return groups, inner


def _candidates(
    collection: Collection, min_score: float
) -> tuple[list[tuple[float, int, int]], int]:
    """The best pairs of texts `(score, earlier, later)`, best first, and how many there are."""
    import numpy as np

    least = min_score - ROUNDING  # what is shown as `min_score` has it
    blocks = (_pairs_of_all if collection.is_exact else _pairs_by_graph)(collection, least)
    kept = np.empty((0, 3), np.float64)
    total = 0
    for rows in blocks:
        total += len(rows)
        kept = np.concatenate([kept, rows])
        if len(kept) > 2 * CANDIDATES_MAX:
            kept = _best(kept)
    return [
        (score_of(score), int(one), int(other)) for score, one, other in _best(kept).tolist()
    ], total


def _best(rows: Rows) -> Rows:
    """The best candidates in the order in which they are told."""
    import numpy as np

    return rows[np.lexsort((rows[:, 2], rows[:, 1], -rows[:, 0].round(SCORE_DIGITS)))][
        :CANDIDATES_MAX
    ]


def _pairs_of_all(collection: Collection, least: float) -> Iterator[Rows]:
    """Every pair of one kind that scores `least` or more, a block at a time."""
    import numpy as np

    kinds: dict[Kind, list[int]] = {}
    for text, places in enumerate(collection.places):
        kinds.setdefault(places[0].kind, []).append(text)
    for members in kinds.values():
        texts = np.array(members)
        vectors = collection.matrix[texts]
        for row in range(0, len(texts), BLOCK_TEXTS):
            for column in range(row, len(texts), BLOCK_TEXTS):
                block = vectors[row : row + BLOCK_TEXTS] @ vectors[column : column + BLOCK_TEXTS].T
                is_alike = block >= least
                # Each pair once, and nothing with itself.
                one, other = np.nonzero(np.triu(is_alike, 1) if row == column else is_alike)
                yield np.column_stack([block[one, other], texts[row + one], texts[column + other]])


def _pairs_by_graph(collection: Collection, least: float) -> Iterator[Rows]:
    """The same among each text's nearest ones; a text with more than those loses some."""
    import numpy as np

    seen: set[tuple[int, int]] = set()
    for start in range(0, len(collection.digests), BLOCK_TEXTS):
        queries = collection.matrix[start : start + BLOCK_TEXTS]
        rows = []
        for text, found in enumerate(collection.nearest(queries, NEIGHBOURS), start):
            for other, score in zip(*(each.tolist() for each in found), strict=True):
                pair = (min(text, other), max(text, other))
                same_kind = collection.places[text][0].kind == collection.places[other][0].kind
                if text != other and same_kind and score >= least and pair not in seen:
                    seen.add(pair)
                    rows.append((score, *pair))
        yield np.array(rows, np.float64).reshape(-1, 3)


def _has_two_apart(places: tuple[Place, ...]) -> bool:
    return any(not places[0].overlaps(place) for place in places[1:])


def _apart(ones: tuple[Place, ...], others: tuple[Place, ...]) -> tuple[Place, Place] | None:
    """The first two places of two texts that share no code."""
    pairs = itertools.product(ones, others)
    return next(((one, other) for one, other in pairs if not one.overlaps(other)), None)


def _is_within(
    around: dict[Place, tuple[int, ...]], one: Place, other: Place, known: set[tuple[int, int]]
) -> bool:
    """Whether what lies around the two is a pair itself."""
    return any(
        (min(outer), max(outer)) in known for outer in itertools.product(around[one], around[other])
    )


def _pair(
    collection: Collection, score: float, texts: tuple[int, int], places: tuple[Place, Place]
) -> Pair:
    (one, other), (first, second) = texts, places
    return Pair(
        score=score,
        first=first,
        second=second,
        first_digest=collection.digests[one],
        second_digest=collection.digests[other],
        first_copies=tuple(each for each in collection.places[one] if each != first),
        second_copies=tuple(each for each in collection.places[other] if each != second),
    )
