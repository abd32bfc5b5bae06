"""A tokenizer that we build from a sentencepiece model against sentencepiece itself."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
from hypothesis import example, given
from hypothesis import strategies as st

from tests.adapt.native.vocabularies import FUZZ, texts, train_sentencepiece
from tests.checkpoints.build import DEMO
from trueup.adapt.native.sentencepiece_file import (
    PieceKind,
    SentencePieceFile,
    read_sentencepiece,
)
from trueup.adapt.native.vocabulary_sentencepiece import sentencepiece_tokenizer
from trueup.errors import AdaptError

VARIANTS: dict[str, dict[str, Any] | None] = {
    "the demo's": None,
    "as ChatGLM": {},
    "no dummy prefix": {"add_dummy_prefix": False},
    "extra whitespace removed": {"remove_extra_whitespaces": True},
    "neither": {"add_dummy_prefix": False, "remove_extra_whitespaces": True},
    "pieces across words": {"split_by_whitespace": False, "split_by_number": False},
    "control symbols": {"control_symbols": ["<mask>", "<|user|>"]},
    "user-defined symbols": {
        "add_dummy_prefix": False,
        "user_defined_symbols": ["<n>", "<n/>", "</n>", "\n", "--", "-", "a", "，", "the", "你"],
    },
}


class Pair:
    """One model file, read by sentencepiece and by us."""

    def __init__(self, path: Path) -> None:
        self.reference = sentencepiece.SentencePieceProcessor(model_file=str(path))
        self.ours = sentencepiece_tokenizer(read_sentencepiece(path), path)

    def ids(self, text: str) -> list[int]:
        return list(self.ours.encode(text, add_special_tokens=False).ids)


@pytest.fixture(scope="module", params=VARIANTS)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    options = VARIANTS[request.param]
    if options is None:
        return Pair(DEMO / "tokenizer.model")
    path = tmp_path_factory.mktemp("sentencepiece") / "tokenizer.model"
    path.write_bytes(train_sentencepiece(**options))
    return Pair(path)


def test_any_text_has_the_same_ids_and_decodes_to_the_same_text(pair: Pair) -> None:
    pieces = [pair.reference.id_to_piece(number) for number in range(len(pair.reference))]
    words = [piece.replace("▁", " ") for piece in pieces]

    @FUZZ
    @example("▁▁a")
    @given(texts(words))
    def same(text: str) -> None:
        expected = pair.reference.encode(text)
        assert pair.ids(text) == expected
        assert pair.ours.decode(expected) == pair.reference.decode(expected)

    same()


def test_every_run_of_one_character_has_the_same_ids(pair: Pair) -> None:
    for run in (" ", "-", "=", "a", "ab", "哈", ".", "\n"):
        for times in range(1, 80):
            for text in (run * times, f"x{run * times}y", f" {run * times} ("):
                assert pair.ids(text) == pair.reference.encode(text)


def test_unknown_characters_without_byte_fallback_are_the_unknown_piece(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.model"
    path.write_bytes(train_sentencepiece(byte_fallback=False, vocab_size=400))
    pair = Pair(path)

    @FUZZ
    @given(texts(["the", "问题"]))
    def same(text: str) -> None:
        assert pair.ids(text) == pair.reference.encode(text)

    same()
    assert 0 in pair.ids("😀😀 the")


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        ({"model_type": "unigram"}, "is of type `unigram`, not `bpe`"),
        ({"normalization_rule_name": "nmt_nfkc"}, "rewrites text by the `nmt_nfkc` table"),
        ({"user_defined_symbols": ["<n>"]}, "has user-defined symbols and changes white space"),
        (
            {"user_defined_symbols": ["a b"], "add_dummy_prefix": False},
            "has a user-defined symbol with a space",
        ),
        ({"treat_whitespace_as_suffix": True}, "treats whitespace as a suffix"),
        ({"control_symbols": ["¤"]}, "has a control symbol of one character"),
    ],
)
def test_what_cannot_be_reproduced_exactly_is_refused(
    options: dict[str, Any], cause: str, tmp_path: Path
) -> None:
    path = tmp_path / "tokenizer.model"
    path.write_bytes(train_sentencepiece(**options))
    with pytest.raises(AdaptError) as caught:
        sentencepiece_tokenizer(read_sentencepiece(path), path)
    assert caught.value.cause.startswith(f"`tokenizer.model` {cause}")
    assert caught.value.where == str(path)


def test_pieces_of_one_score_are_merged_from_the_left(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.model"
    for equal in ({"ab", "bc"}, {"ba", "cb"}, {"abc", "cc"}, {"ab", "cd"}, {"abab", "bab"}):
        letters = "abcd▁"
        scores = {letter: -100.0 for letter in letters} | dict.fromkeys(equal, -5.0)
        scores |= {"bab": -5.0, "ab": -5.0} if "abab" in equal else {}
        scores |= {"ca": -6.0, "dd": -7.0}
        pieces = [("<unk>", 0.0, 2), ("<s>", 0.0, 3), ("</s>", 0.0, 3)]
        path.write_bytes(model_of([*pieces, *((text, score, 1) for text, score in scores.items())]))
        _same_ids_for_any_text_of("abcd", Pair(path))


def _same_ids_for_any_text_of(letters: str, pair: Pair) -> None:
    @FUZZ
    @given(st.text(alphabet=letters, max_size=12))
    def same(text: str) -> None:
        assert (text, pair.ids(text)) == (text, pair.reference.encode(text))

    same()


def model_of(pieces: list[tuple[str, float, int]]) -> bytes:
    """A sentencepiece BPE model file of `pieces`: text, score and kind, without a dummy prefix."""

    def field(number: int, kind: int, value: bytes) -> bytes:
        length = bytes([len(value)]) if kind == 2 else b""
        return bytes([number << 3 | kind]) + length + value

    written = b""
    for text, score, kind in pieces:
        piece = field(1, 2, text.encode()) + field(2, 5, struct.pack("<f", score))
        written += field(1, 2, piece + field(3, 0, bytes([kind])))
    trainer = field(3, 0, bytes([2]))
    normalizer = field(1, 2, b"identity") + b"".join(
        field(number, 0, bytes([value])) for number, value in ((3, 0), (4, 0), (5, 1))
    )
    return written + field(2, 2, trainer) + field(3, 2, normalizer)


def test_damaged_vocabularies_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.model"
    path.write_bytes(train_sentencepiece())
    file = read_sentencepiece(path)
    last = file.pieces[-1]
    merged = next(piece for piece in file.pieces if piece.text == "▁the")

    def with_piece(**changes: Any) -> SentencePieceFile:
        return replace(file, pieces=(*file.pieces, replace(merged, **{"score": -9e9} | changes)))

    def with_equal_pieces(*texts: str) -> SentencePieceFile:
        equal = tuple(replace(merged, text=text, score=-9e9) for text in texts)
        return replace(file, pieces=(*file.pieces, *equal))

    cases = {
        "does not escape whitespace": replace(file, escapes_whitespace=False),
        "rewrites decoded text by a table": replace(file, denormalizes=True),
        "has a piece twice": replace(file, pieces=(*file.pieces, last)),
        "has unused pieces": with_piece(text="qqq", kind=PieceKind.UNUSED),
        "has pieces with characters that are no pieces": with_piece(text="a☃"),
        "has several pieces of one score": with_equal_pieces("bq", "qb"),
        "has no piece for unknown text": replace(file, pieces=file.pieces[1:]),
    }
    for cause, damaged in cases.items():
        with pytest.raises(AdaptError) as caught:
            sentencepiece_tokenizer(damaged, path)
        assert caught.value.cause.startswith(f"`tokenizer.model` {cause}")
