"""A tiktoken vocabulary file (base64 token and rank on each line) -> a `tokenizers` tokenizer.

Special tokens and chat formats are not known here.
"""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import TYPE_CHECKING

from trueup.adapt.native.vocabulary_merges import merges_in_order
from trueup.errors import CheckpointError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# How GLM-4 cuts text before it merges bytes, as its published tokenizer says.
GLM4_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def tiktoken_tokenizer(path: Path) -> Tokenizer:
    """Builds the tokenizer of a vocabulary file; a token's id is its rank.

    Raises:
        CheckpointError: the file is no complete vocabulary.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    letters = _byte_letters()
    tokens = [token.decode("latin-1").translate(letters) for token in _read_tokens(path)]
    tokenizer = Tokenizer(
        models.BPE(
            vocab={token: rank for rank, token in enumerate(tokens)},
            merges=merges_in_order(tokens),
            ignore_merges=True,
        )
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(GLM4_PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _read_tokens(path: Path) -> list[bytes]:
    """The tokens in the order of their ranks, which run from 0 without a gap."""
    tokens: list[bytes] = []
    try:
        for line in path.read_bytes().splitlines():
            if line.strip():
                token, rank = line.split()
                tokens.append(base64.b64decode(token, validate=True))
                if int(rank) != len(tokens) - 1:
                    raise ValueError(f"rank {int(rank)} where {len(tokens) - 1} is expected")
        known = set(tokens)
        if len(known) < len(tokens):
            raise ValueError("a token stands in it twice")
        missing = sum(bytes([value]) not in known for value in range(256))
        if missing:
            raise ValueError(f"{missing} of the 256 single bytes are missing")
    except (ValueError, binascii.Error) as error:
        raise CheckpointError(
            f"`{path.name}` is not a complete tiktoken vocabulary: {error}",
            where=f"{path}:{len(tokens) + 1}",
            hint="download the file again, and compare its size with the one that the hub shows",
        ) from error
    return tokens


def _byte_letters() -> dict[int, int]:
    """Byte -> the letter that stands for it in a byte-level vocabulary.

    Printable Latin-1 stands for itself, the rest is numbered on from U+0100; this is the
    alphabet that `tokenizers` uses for its ByteLevel parts.
    """
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    letters = {value: value for value in printable}
    others = [value for value in range(256) if value not in printable]
    letters |= {value: 0x100 + number for number, value in enumerate(others)}
    return letters
