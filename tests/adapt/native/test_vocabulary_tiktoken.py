"""A tokenizer that we build from a tiktoken vocabulary against tiktoken itself."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import pytest
import tiktoken
from hypothesis import given

from tests.adapt.native.vocabularies import FUZZ, texts
from tests.checkpoints.vocabularies import TIKTOKEN
from trueup.adapt.native.vocabulary_tiktoken import GLM4_PATTERN, tiktoken_tokenizer
from trueup.errors import CheckpointError

# Pieces that repeat themselves, and one whose parts were never tokens: found whole, never merged.
REPEATING = [
    b"  ",
    b"    ",
    b"   ",
    b"--",
    b"----",
    b"---",
    b"aa",
    b"aaa",
    b"aaaa",
    b"aba",
    b"ababa",
]
UNREACHABLE = b"qzxj"


def written(path: Path, tokens: list[bytes]) -> Path:
    lines = (f"{base64.b64encode(token).decode()} {rank}\n" for rank, token in enumerate(tokens))
    path.write_text("".join(lines), encoding="ascii")
    return path


@pytest.fixture(scope="module")
def tokens() -> list[bytes]:
    lines = TIKTOKEN.read_bytes().splitlines()
    known = [base64.b64decode(line.split()[0]) for line in lines]
    return known + [token for token in [*REPEATING, UNREACHABLE] if token not in known]


def test_any_text_has_the_same_ids_and_decodes_to_the_same_text(
    tokens: list[bytes], tmp_path: Path
) -> None:
    ours = tiktoken_tokenizer(written(tmp_path / "tokenizer.model", tokens))
    reference = tiktoken.Encoding(
        "reference",
        pat_str=GLM4_PATTERN,
        mergeable_ranks={token: rank for rank, token in enumerate(tokens)},
        special_tokens={},
    )
    words = [token.decode(errors="ignore") for token in tokens]

    @FUZZ
    @given(texts(words))
    def same(text: str) -> None:
        expected = reference.encode(text)
        assert ours.encode(text).ids == expected
        assert ours.decode(expected) == reference.decode(expected)

    same()
    for run in (" ", "-", "a", "ab", "aba", "\n"):
        for times in range(1, 80):
            for text in (run * times, f"x{run * times}y", f" {run * times} ("):
                assert ours.encode(text).ids == reference.encode(text)
    assert ours.encode("qzxj").ids == [tokens.index(UNREACHABLE)]


@pytest.mark.parametrize(
    ("spoil", "cause"),
    [
        (lambda lines: lines[:100], "156 of the 256 single bytes are missing"),
        (lambda lines: [*lines[:300], b"%%% 300"], "Only base64 data is allowed"),
        (lambda lines: [*lines[:300], b"YWJj"], "not enough values to unpack"),
        (lambda lines: [*lines[:300], b"YWJj 301"], "rank 301 where 300 is expected"),
        (lambda lines: [*lines[:300], b"YQ== 300"], "a token stands in it twice"),
        (lambda lines: [], "256 of the 256 single bytes are missing"),
    ],
)
def test_a_broken_vocabulary_is_an_error_with_its_place(
    spoil: Callable[[list[bytes]], list[bytes]], cause: str, tokens: list[bytes], tmp_path: Path
) -> None:
    path = written(tmp_path / "tokenizer.model", tokens)
    path.write_bytes(b"\n".join(spoil(path.read_bytes().splitlines())))
    with pytest.raises(CheckpointError, match=r"`tokenizer.model` is not a complete tik") as caught:
        tiktoken_tokenizer(path)
    assert cause in caught.value.cause
    assert str(path) in str(caught.value.where)
    assert caught.value.hint
