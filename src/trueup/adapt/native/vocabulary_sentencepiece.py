"""A sentencepiece BPE model file -> a `tokenizers` tokenizer with the same ids.

Settings that the `tokenizers` library cannot reproduce exactly are refused, not approximated.
User-defined symbols become added tokens, which are found in a text before anything else is done
to it, the longest first: what sentencepiece does. Special tokens and chat formats are not known
here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from trueup.adapt.native.sentencepiece_file import PieceKind, SentencePieceFile
from trueup.adapt.native.vocabulary_merges import merges_in_order
from trueup.adapt.native.vocabulary_ties import pieces_in_order
from trueup.errors import AdaptError

if TYPE_CHECKING:
    from tokenizers import Tokenizer, decoders, normalizers

SPACE = "▁"
# More spaces than any text begins with.
ALL = 2**31


def sentencepiece_tokenizer(
    file: SentencePieceFile, path: Path, renamed: Mapping[int, str] | None = None
) -> Tokenizer:
    """Builds the tokenizer of a model file; a piece's id is its place in the file.

    `renamed` gives pieces by their id another text, which stands for no text of its own.

    Raises:
        AdaptError: the vocabulary cannot be reproduced exactly.
    """
    from tokenizers import AddedToken, Tokenizer, models

    renamed = renamed or {}
    scores = _scores(file)
    obstacle = _obstacle(file, scores)
    ordered = pieces_in_order(scores) if obstacle is None else None
    if ordered is None:
        obstacle = obstacle or "has several pieces of one score"
        raise AdaptError(
            f"`{path.name}` {obstacle}, which the native route cannot reproduce exactly",
            where=str(path),
            hint="choose another route for this model, or restore its published tokenizer.model",
        )
    unknown = next(piece.text for piece in file.pieces if piece.kind is PieceKind.UNKNOWN)
    tokenizer = Tokenizer(
        models.BPE(
            vocab={
                renamed.get(number, piece.text): number for number, piece in enumerate(file.pieces)
            },
            merges=merges_in_order(ordered),
            unk_token=unknown,
            fuse_unk=True,
            byte_fallback=file.falls_back_to_bytes,
        )
    )
    tokenizer.normalizer = _normalizer(file)
    tokenizer.decoder = _decoder(file)
    tokenizer.add_tokens(
        [
            AddedToken(piece.text, normalized=False, special=False)
            for number, piece in enumerate(file.pieces)
            if piece.kind is PieceKind.USER_DEFINED and number not in renamed
        ]
    )
    return tokenizer


def _scores(file: SentencePieceFile) -> dict[str, float]:
    """The pieces that merging can reach: a text never holds a symbol when it is merged."""
    normal = {piece.text: piece.score for piece in file.pieces if piece.kind is PieceKind.NORMAL}
    symbols = _symbols(file)
    if not symbols:
        return normal
    symbol = re.compile("|".join(map(re.escape, symbols)))
    return {text: score for text, score in normal.items() if not symbol.search(text)}


def _symbols(file: SentencePieceFile) -> list[str]:
    return [piece.text for piece in file.pieces if piece.kind is PieceKind.USER_DEFINED]


def _obstacle(file: SentencePieceFile, normal: Mapping[str, float]) -> str | None:
    """Says what about a model file has no exact counterpart."""
    symbols = _symbols(file)
    others = [piece for piece in file.pieces if piece.kind is not PieceKind.NORMAL]
    kinds = {piece.kind for piece in others}
    controls = [piece.text for piece in others if piece.kind is not PieceKind.USER_DEFINED]
    letters = {letter for text in normal for letter in text}
    touches_edges = file.adds_dummy_prefix or file.removes_extra_whitespace
    checks = (
        (file.model_type != "bpe", f"is of type `{file.model_type}`, not `bpe`"),
        (file.charsmap_bytes > 0, f"rewrites text by the `{file.normalizer}` table"),
        (file.denormalizes, "rewrites decoded text by a table"),
        (not file.escapes_whitespace, "does not escape whitespace"),
        (file.whitespace_is_suffix, "treats whitespace as a suffix"),
        (bool(symbols) and touches_edges, "has user-defined symbols and changes white space"),
        (
            any({" ", SPACE} & set(each) for each in symbols),
            "has a user-defined symbol with a space",
        ),
        (PieceKind.UNUSED in kinds, "has unused pieces"),
        (PieceKind.UNKNOWN not in kinds, "has no piece for unknown text"),
        (any(len(text) == 1 for text in controls), "has a control symbol of one character"),
        (len({piece.text for piece in file.pieces}) < len(file.pieces), "has a piece twice"),
        # sentencepiece takes one space off each piece until there is text, we take all off.
        (
            file.removes_extra_whitespace and any(SPACE * 2 in each.text for each in file.pieces),
            "removes extra whitespace and has pieces of it",
        ),
        (not letters <= normal.keys(), "has pieces with characters that are no pieces"),
    )
    return next((text for applies, text in checks if applies), None)


def _normalizer(file: SentencePieceFile) -> normalizers.Normalizer:
    from tokenizers import Regex, normalizers

    steps: list[normalizers.Normalizer] = []
    if file.removes_extra_whitespace:
        steps += [
            normalizers.Replace(Regex(r"\A +"), ""),
            normalizers.Replace(Regex(" {2,}"), " "),
            normalizers.Replace(Regex(f"[ {SPACE}]+\\z"), ""),
        ]
    if file.adds_dummy_prefix:
        steps.append(normalizers.Prepend(SPACE))
    steps.append(normalizers.Replace(" ", SPACE))
    return normalizers.Sequence(steps)


def _decoder(file: SentencePieceFile) -> decoders.Decoder:
    from tokenizers import decoders

    steps = [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    if file.removes_extra_whitespace:
        steps.append(decoders.Strip(" ", ALL, 0))
    elif file.adds_dummy_prefix:
        steps.append(decoders.Strip(" ", 1, 0))
    return decoders.Sequence(steps)
