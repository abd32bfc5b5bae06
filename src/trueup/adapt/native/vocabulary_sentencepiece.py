"""A sentencepiece BPE model file -> a `tokenizers` tokenizer with the same ids.

Settings that the `tokenizers` library cannot reproduce exactly are refused, not approximated.
Special tokens and chat formats are not known here.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from trueup.adapt.native.sentencepiece_file import PieceKind, SentencePieceFile
from trueup.adapt.native.vocabulary_merges import merges_in_order
from trueup.errors import AdaptError

if TYPE_CHECKING:
    from tokenizers import Tokenizer, decoders, normalizers

SPACE = "▁"


def sentencepiece_tokenizer(file: SentencePieceFile, path: Path) -> Tokenizer:
    """Builds the tokenizer of a model file; a piece's id is its place in the file.

    Raises:
        AdaptError: the vocabulary cannot be reproduced exactly.
    """
    from tokenizers import Tokenizer, models

    obstacle = _obstacle(file)
    if obstacle:
        raise AdaptError(
            f"`{path.name}` {obstacle}, which the native route cannot reproduce exactly",
            where=str(path),
            hint="choose another route for this model, or restore its published tokenizer.model",
        )
    normal = [piece for piece in file.pieces if piece.kind is PieceKind.NORMAL]
    normal.sort(key=lambda piece: -piece.score)
    unknown = next(piece.text for piece in file.pieces if piece.kind is PieceKind.UNKNOWN)
    tokenizer = Tokenizer(
        models.BPE(
            vocab={piece.text: number for number, piece in enumerate(file.pieces)},
            merges=merges_in_order(piece.text for piece in normal),
            unk_token=unknown,
            fuse_unk=True,
            byte_fallback=file.falls_back_to_bytes,
        )
    )
    tokenizer.normalizer = _normalizer(file)
    tokenizer.decoder = _decoder(file)
    return tokenizer


def _obstacle(file: SentencePieceFile) -> str | None:
    """Says what about a model file has no exact counterpart."""
    normal = {piece.text: piece.score for piece in file.pieces if piece.kind is PieceKind.NORMAL}
    others = [piece for piece in file.pieces if piece.kind is not PieceKind.NORMAL]
    kinds = {piece.kind for piece in others}
    letters = {letter for text in normal for letter in text}
    merged = [score for text, score in normal.items() if len(text) > 1]
    checks = (
        (file.model_type != "bpe", f"is of type `{file.model_type}`, not `bpe`"),
        (file.charsmap_bytes > 0, f"rewrites text by the `{file.normalizer}` table"),
        (file.denormalizes, "rewrites decoded text by a table"),
        (not file.escapes_whitespace, "does not escape whitespace"),
        (file.whitespace_is_suffix, "treats whitespace as a suffix"),
        (PieceKind.USER_DEFINED in kinds, "has user-defined symbols"),
        (PieceKind.UNUSED in kinds, "has unused pieces"),
        (PieceKind.UNKNOWN not in kinds, "has no piece for unknown text"),
        (any(len(piece.text) == 1 for piece in others), "has a control symbol of one character"),
        (len({piece.text for piece in file.pieces}) < len(file.pieces), "has a piece twice"),
        (not letters <= normal.keys(), "has pieces with characters that are no pieces"),
        (len(set(merged)) < len(merged), "has several pieces of one score"),
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
    if file.adds_dummy_prefix or file.removes_extra_whitespace:
        steps.append(decoders.Strip(" ", 1, 0))
    return decoders.Sequence(steps)
