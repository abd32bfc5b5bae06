"""Trains the small vocabularies of the test checkpoints from `corpus.txt`.

`python -m tests.checkpoints.vocabularies` writes `sentencepiece.model` (trained with the settings
of ChatGLM's vocabulary), `symbols.model` (sentencepiece as well, with what Baichuan's and
InternLM's vocabularies have in common: user-defined symbols and no space put before a text) and
`tiktoken.model` (the base64 rank lines of GLM-4's) anew.
"""

from __future__ import annotations

import base64
import io
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CORPUS = HERE / "corpus.txt"
SENTENCEPIECE = HERE / "sentencepiece.model"
SYMBOLS = HERE / "symbols.model"
TIKTOKEN = HERE / "tiktoken.model"
SENTENCEPIECE_TOKENS = 640
# Symbols are never cut and never merged; Baichuan2's vocabulary has plain characters among them.
USER_DEFINED_SYMBOLS = (
    *("<SEP>", "<CLS>", "\n", "\t", "<h1>", "<h1/>", "</h1>", "+", "-", "=", "，", "。", "——"),
    *(f"<reserved_{number}>" for number in range(106, 110)),
    *("<eoh>", "<eoa>", "<TOKENS_UNUSED_2>"),
    *(f"[UNUSED_TOKEN_{number}]" for number in range(141, 147)),
)
# Coarser than the pattern that the tokenizer splits by, so every merge stays inside its pieces.
WORD = re.compile(r" ?[^\W\d_]+|\d{1,3}| ?[^\w\s]+|\s+")


def train_sentencepiece(**settings: Any) -> bytes:
    import sentencepiece

    # From lines to bytes: given paths, the trainer would write them into the model.
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS.read_text(encoding="utf-8").splitlines()),
        model_writer=written,
        model_type="bpe",
        vocab_size=SENTENCEPIECE_TOKENS,
        character_coverage=0.995,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        split_digits=True,
        allow_whitespace_only_pieces=True,
        byte_fallback=True,
        num_threads=1,
        minloglevel=2,
        **settings,
    )
    return written.getvalue()


def train_symbols() -> bytes:
    return train_sentencepiece(
        add_dummy_prefix=False, user_defined_symbols=list(USER_DEFINED_SYMBOLS)
    )


def train_tiktoken() -> bytes:
    """The 256 bytes, then one rank for each merge of a pair that occurs twice, frequent first."""
    words = Counter(WORD.findall(CORPUS.read_text(encoding="utf-8")))
    split = {word: [bytes([byte]) for byte in word.encode()] for word in words}
    ranks = [bytes([byte]) for byte in range(256)]
    while True:
        pairs: Counter[tuple[bytes, bytes]] = Counter()
        for word, parts in split.items():
            for pair in pairwise(parts):
                pairs[pair] += words[word]
        left, right = max(pairs, key=lambda pair: (pairs[pair], pair))
        if pairs[left, right] < 2:
            break
        ranks.append(left + right)
        split = {word: _merge(parts, left, right) for word, parts in split.items()}
    lines = (f"{base64.b64encode(token).decode()} {rank}\n" for rank, token in enumerate(ranks))
    return "".join(lines).encode()


def _merge(parts: list[bytes], left: bytes, right: bytes) -> list[bytes]:
    merged: list[bytes] = []
    for part in parts:
        if merged and merged[-1] == left and part == right:
            merged[-1] = left + right
        else:
            merged.append(part)
    return merged


if __name__ == "__main__":
    SENTENCEPIECE.write_bytes(train_sentencepiece())
    SYMBOLS.write_bytes(train_symbols())
    TIKTOKEN.write_bytes(train_tiktoken())
