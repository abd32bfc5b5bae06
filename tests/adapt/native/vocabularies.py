"""Texts and small vocabularies for the tests of the tokenizers."""

from __future__ import annotations

import io
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from tests.checkpoints.vocabularies import CORPUS

FUZZ = settings(max_examples=300, deadline=None, derandomize=True)
SPACES = ["", " ", "  ", "    ", "\t", "\n", "\n\n", "\r\n", "\u3000", "\xa0", "▁", " \n ", "\x00"]
RUNS = ["-", "=", "a", "ab", "aba", "哈", " ", "\n", "\t", ".", "0", "。", "\r\n"]


def texts(words: list[str]) -> st.SearchStrategy[str]:
    """Any Unicode, whole words and parts of them, runs, and much whitespace."""
    run = st.builds(lambda each, times: each * times, st.sampled_from(RUNS), st.integers(1, 40))
    part = st.one_of(
        st.sampled_from(words),
        st.sampled_from(SPACES),
        st.text(max_size=5),
        st.text(alphabet="abcdehilnorst", max_size=8),
        st.sampled_from(
            [
                "😀",
                "👨\u200d👩\u200d👧",
                "你好",
                "，",
                "é",
                "e\u0301",
                "𠮷",
                "\ufeff",
                "don't",
                "2023",
            ]
        ),
        run,
    )
    return st.lists(part, max_size=12).map("".join)


def train_sentencepiece(**options: Any) -> bytes:
    """A model of 600 pieces, in the settings of ChatGLM's vocabulary unless told otherwise."""
    import sentencepiece

    lines = CORPUS.read_text(encoding="utf-8").splitlines()
    lines += [
        "a ------ b ====== c",
        "aaaaaaaaaaaa abababababab 哈哈哈哈哈哈",
        "x    y        z",
    ] * 20
    settings: dict[str, Any] = {
        "model_type": "bpe",
        "vocab_size": 600,
        "character_coverage": 0.99,
        "normalization_rule_name": "identity",
        "remove_extra_whitespaces": False,
        "allow_whitespace_only_pieces": True,
        "byte_fallback": True,
        "num_threads": 1,
        "minloglevel": 2,
    }
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=written, **settings | options
    )
    return written.getvalue()
