"""Pieces with a priority -> the ordered merge list of a `tokenizers` BPE model.

sentencepiece and tiktoken merge by the priority of the *result* and take the leftmost of equals;
a merge list gives every pair of parts a rank of its own. Every way to split a piece becomes a
merge, in an order that keeps "leftmost first" where two splits of one piece overlap in a text.
"""

from __future__ import annotations

from collections.abc import Iterable


def merges_in_order(pieces: Iterable[str]) -> list[tuple[str, str]]:
    """Returns every merge of two pieces into a third, best first.

    `pieces` has the best piece first; pieces of one character are the alphabet.
    """
    ordered = list(pieces)
    known = set(ordered)
    merges: list[tuple[str, str]] = []
    for piece in ordered:
        splits = [at for at in range(1, len(piece)) if piece[:at] in known and piece[at:] in known]
        if len(splits) > 1:
            splits = _leftmost_first(piece, splits)
        merges += [(piece[:at], piece[at:]) for at in splits]
    return merges


def _leftmost_first(piece: str, splits: list[int]) -> list[int]:
    """Orders the splits of one piece.

    Two of them can overlap in a text only as `X Y Z` with `XY` and `YZ` both the piece, so only
    a split and its mirror image compete, and only where the piece repeats itself. In a plain
    repetition (`----`) both overlaps can be spelled; text is merged from the left, so the longer
    part is the left one there.
    """
    length = len(piece)
    present = set(splits)
    ordered: list[int] = []
    for at in sorted(splits, key=lambda at: (max(at, length - at), at), reverse=True):
        mirror = length - at
        if at > mirror and mirror in present and _overlaps(piece, mirror) > _overlaps(piece, at):
            ordered += [mirror, at]
        elif at not in ordered:
            ordered.append(at)
    return ordered


def _overlaps(piece: str, at: int) -> bool:
    """Says whether the right part of this split is the left part of its mirror image."""
    return piece.startswith(piece[at:])
