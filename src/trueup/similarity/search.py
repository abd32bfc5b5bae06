"""What is like what: the nearest places to a snippet, and the best pairs between two files.

A function is compared with functions and a class with classes; a whole file with everything.
Scores are cosine similarities; the same text scores 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trueup.similarity.snippet import Kind, Place, Snippet

if TYPE_CHECKING:
    from trueup.similarity.collection import Collection
    from trueup.similarity.embedder import Vectors

SCORE_DIGITS = 4
# How many more than wanted are asked for: some are of another kind, or the query itself.
SURPLUS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A text that is like the query: its first place, and where else it stands."""

    score: float
    digest: str
    place: Place
    copies: tuple[Place, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two places that are alike; `copies` are further places of either text."""

    score: float
    first: Place
    second: Place
    first_digest: str
    second_digest: str
    first_copies: tuple[Place, ...] = ()
    second_copies: tuple[Place, ...] = ()


def comparable(one: Kind, other: Kind) -> bool:
    """Whether two kinds are compared."""
    return one == other or "file" in (one, other)


def score_of(value: float) -> float:
    """A cosine as it is shown: rounding errors do not leave [-1, 1]."""
    return round(min(1.0, max(-1.0, float(value))), SCORE_DIGITS)


def nearest_matches(
    collection: Collection,
    queries: Sequence[tuple[Snippet, Vectors]],
    *,
    top: int,
    min_score: float | None,
    is_query_itself: Callable[[Place, Place], bool],
) -> list[list[Match]]:
    """For each query the best `top` texts; `is_query_itself(query, place)` leaves places out."""
    import numpy as np

    if not queries:
        return []
    wanted = len(collection.digests) if collection.is_exact else 4 * top + SURPLUS
    found = collection.nearest(np.stack([vector for _, vector in queries]), wanted)
    answers = []
    for (snippet, _), (positions, scores) in zip(queries, found, strict=True):
        matches: list[Match] = []
        for position, score in zip(positions.tolist(), scores.tolist(), strict=True):
            digest = collection.digests[position]
            shown = 1.0 if digest == snippet.digest else score_of(score)
            if len(matches) == top or (min_score is not None and shown < min_score):
                break
            places = [
                place
                for place in collection.places[position]
                if comparable(snippet.place.kind, place.kind)
                and not is_query_itself(snippet.place, place)
            ]
            if places:
                matches.append(
                    Match(score=shown, digest=digest, place=places[0], copies=tuple(places[1:]))
                )
        answers.append(matches)
    return answers


def best_pairs(
    first: Sequence[tuple[Snippet, Vectors]],
    second: Sequence[tuple[Snippet, Vectors]],
    *,
    min_score: float | None,
) -> list[Pair]:
    """Each snippet with at most one of the other file, the best pair first."""
    import numpy as np

    if not first or not second:
        return []
    scores = (
        np.stack([vector for _, vector in first]) @ np.stack([vector for _, vector in second]).T
    )
    pairs: list[Pair] = []
    used_first: set[int] = set()
    used_second: set[int] = set()
    for flat in np.argsort(-scores, axis=None, kind="stable").tolist():
        row, column = divmod(flat, len(second))
        one, other = first[row][0], second[column][0]
        is_free = row not in used_first and column not in used_second
        if not is_free or not comparable(one.place.kind, other.place.kind):
            continue
        score = 1.0 if one.digest == other.digest else score_of(scores[row, column])
        if min_score is not None and score < min_score:
            break
        used_first.add(row)
        used_second.add(column)
        pairs.append(
            Pair(
                score=score,
                first=one.place,
                second=other.place,
                first_digest=one.digest,
                second_digest=other.digest,
            )
        )
        if len(pairs) == min(len(first), len(second)):
            break
    return pairs
