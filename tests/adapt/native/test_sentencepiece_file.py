from __future__ import annotations

from pathlib import Path

import pytest
import sentencepiece

from tests.adapt.native.vocabularies import train_sentencepiece
from trueup.adapt.native.sentencepiece_file import PieceKind, read_sentencepiece
from trueup.errors import CheckpointError


@pytest.fixture(scope="module")
def model() -> bytes:
    return train_sentencepiece(control_symbols=["<mask>"], user_defined_symbols=["<n>"])


def test_every_piece_is_read_as_sentencepiece_reads_it(model: bytes, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.model"
    path.write_bytes(model)
    reference = sentencepiece.SentencePieceProcessor(model_proto=model)
    file = read_sentencepiece(path)
    assert len(file.pieces) == reference.vocab_size()
    for number, piece in enumerate(file.pieces):
        assert piece.text == reference.id_to_piece(number)
        assert piece.score == reference.get_score(number)
        assert (piece.kind is PieceKind.CONTROL) == reference.is_control(number)
        assert (piece.kind is PieceKind.UNKNOWN) == reference.is_unknown(number)
        assert (piece.kind is PieceKind.BYTE) == reference.is_byte(number)
    assert file.pieces[reference.piece_to_id("<n>")].kind is PieceKind.USER_DEFINED


def test_the_settings_are_read(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.model"
    path.write_bytes(train_sentencepiece(normalization_rule_name="nfkc", add_dummy_prefix=False))
    file = read_sentencepiece(path)
    assert (file.model_type, file.normalizer) == ("bpe", "nfkc")
    assert file.charsmap_bytes > 100_000
    assert file.falls_back_to_bytes
    assert file.escapes_whitespace
    assert not file.adds_dummy_prefix
    assert not file.removes_extra_whitespace
    assert not file.whitespace_is_suffix
    assert not file.denormalizes


def test_a_file_cut_short_anywhere_is_an_error(model: bytes, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.model"
    # The last bytes are optional messages: all that a tokenizer needs stands before them.
    for size in [*range(0, len(model) - 40, 97), *range(40)]:
        path.write_bytes(model[:size])
        with pytest.raises(CheckpointError, match="is not a complete sentencepiece model"):
            read_sentencepiece(path)


@pytest.mark.parametrize(
    "content", [b"", b"<html>not found</html>", b"\xff" * 64, b"{}", bytes(64)]
)
def test_a_file_that_is_no_model_is_an_error(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.model"
    path.write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        read_sentencepiece(path)
    assert caught.value.where == str(path)
    assert caught.value.hint
