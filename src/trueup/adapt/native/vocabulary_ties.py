"""Pieces of a sentencepiece vocabulary in the order of their scores, and what equal scores mean.

Of two merges with one score sentencepiece does the left one first; a merge list has to put one of
them first for every text. Where no text can tell, or all texts agree, the list is exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby

# Groups are pairs and triples in published vocabularies.
LARGEST_GROUP = 32


def pieces_in_order(scores: Mapping[str, float]) -> list[str] | None:
    """Returns the pieces best first, None where equal scores have no order that is exact."""
    ordered: list[str] = []
    best_first = sorted(scores, key=lambda piece: -scores[piece])
    for _, equal in groupby(best_first, key=lambda piece: scores[piece]):
        group = list(equal)
        if len(group) > 1:
            placed = _placed(group, scores)
            if placed is None:
                return None
            group = placed
        ordered += group
    return ordered


def _placed(group: list[str], scores: Mapping[str, float]) -> list[str] | None:
    """The pieces of one score in an order in which each stands before what it must precede."""
    single = [piece for piece in group if len(piece) == 1]
    merged = [piece for piece in group if len(piece) > 1]
    if len(merged) > LARGEST_GROUP:
        return None
    splits = {piece: _splits(piece, scores) for piece in merged}
    placed: list[str] = []
    while merged:
        free = next(
            (
                piece
                for piece in merged
                if not any(
                    other != piece and _goes_first(other, piece, splits, scores) for other in merged
                )
            ),
            None,
        )
        if free is None:
            return None
        merged.remove(free)
        placed.append(free)
    return single + placed


def _splits(piece: str, scores: Mapping[str, float]) -> list[tuple[str, str]]:
    halves = ((piece[:at], piece[at:]) for at in range(1, len(piece)))
    return [(left, right) for left, right in halves if left in scores and right in scores]


def _goes_first(
    left: str, right: str, splits: Mapping[str, list[tuple[str, str]]], scores: Mapping[str, float]
) -> bool:
    """Whether a text with `left` in front of `right` comes out otherwise when `right` is first.

    It does where they share a part, and where the one that is merged first at once takes the
    nearest part of the other in a better piece.
    """
    ends = {half for _, half in splits[left]}
    starts = {half for half, _ in splits[right]}
    if ends & starts:
        return True
    score = scores[left]
    taken: Iterable[str] = (
        *(left + start for start in starts),
        *(end + right for end in ends),
    )
    return any(scores.get(piece, score) > score for piece in taken)
