"""The tokenizer's files: whether they are what their names say, and what they hold.

Looks at the form only: a sentencepiece model's fields, tiktoken's lines, JSON. Builds nothing.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trueup.checkpoint import tokenizer_facts
from trueup.checkpoint.chat_templates import read_templates
from trueup.checkpoint.checkpoint import Problem, TokenizerFacts
from trueup.checkpoint.damage import HEAD_BYTES, mistaken_content
from trueup.checkpoint.json_file import read_json
from trueup.checkpoint.regular import read_regular

JSON_FILES = ("tokenizer.json", "vocab.json")
TEXT_FILES = ("vocab.txt", "merges.txt")
# Each may hold a sentencepiece model, and the first one tiktoken's lines as well, as GLM-4's does.
BINARY_FILES = ("tokenizer.model", "tiktoken.model", "spiece.model", "sentencepiece.bpe.model",
                "ice_text.model")  # fmt: skip
LINES_SUFFIX = ".tiktoken"
LIMIT_BYTES = 64 * 1024 * 1024
# Special tokens that stand in vocabularies themselves.
USUAL_SPECIAL = (
    "<s>", "</s>", "<pad>", "<unk>", "[PAD]", "[CLS]", "[SEP]", "[UNK]", "<|endoftext|>",
    "<|im_end|>", "<|im_start|>",
)  # fmt: skip
FIRST_PIECE = 0x0A  # field 1, with a length: what every sentencepiece model begins with
FIXED_SIZES = {1: 8, 5: 4}
VARINT, WITH_LENGTH = 0, 2


@dataclass(slots=True)
class _Reading:
    """What was read so far; `sizes` are of vocabularies, by file."""

    directory: Path
    problems: list[Problem] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)
    added: dict[str, int] = field(default_factory=dict)
    # Of the special tokens alone would do, but which they are is not known yet.
    ids: dict[str, int] = field(default_factory=dict)
    has_pairs: bool = False


def read_tokenizer(
    directory: Path, files: Mapping[str, int], tokenizer_config: Mapping[str, Any]
) -> tuple[TokenizerFacts, tuple[Problem, ...]]:
    """What the tokenizer's files at the top of the directory hold, and what is wrong with them."""
    reading = _Reading(directory)
    for name in sorted(files):
        if name in JSON_FILES:
            _read_json(reading, name)
        elif name in (*TEXT_FILES, *BINARY_FILES) or _is_lines(name):
            _read_content(reading, name)
    added = tokenizer_facts.added_elsewhere(directory, files, tokenizer_config) | reading.added
    # tokenizer.json is what is read where there are several.
    file = min(reading.sizes, key=lambda name: name != "tokenizer.json", default=None)
    facts = TokenizerFacts(
        vocabulary_file=file,
        vocabulary_size=reading.sizes.get(file or ""),
        added=added,
        special_ids=tokenizer_facts.special_ids(
            directory, files, tokenizer_config, {**reading.ids, **added}
        ),
        has_pairs=reading.has_pairs,
        templates=read_templates(directory, files, tokenizer_config),
    )
    return facts, tuple(reading.problems)


def _read_json(reading: _Reading, name: str) -> None:
    shape, problem = read_json(reading.directory, name)
    if problem is None and name == "tokenizer.json":
        problem = tokenizer_facts.damaged_tokenizer_json(shape)
    if problem is not None:
        reading.problems.append(problem)
        return
    vocabulary: Any = shape
    if name == "tokenizer.json":
        size = tokenizer_facts.size_of_tokenizer_json(shape)
        reading.added |= tokenizer_facts.added_tokens(shape)
        vocabulary = shape["model"]["vocab"]
        reading.has_pairs = tokenizer_facts.has_pairs(shape)
    else:
        size = tokenizer_facts.highest(shape)
    if size is not None:
        reading.sizes[name] = size
    if isinstance(vocabulary, dict):
        for token in USUAL_SPECIAL:
            if type(number := vocabulary.get(token)) is int:
                reading.ids[token] = number


def _read_content(reading: _Reading, name: str) -> None:
    try:
        content = read_regular(reading.directory / name, LIMIT_BYTES)
    except OSError as error:
        detail = error.strerror or str(error)
        reading.problems.append(Problem(kind="unreadable", path=name, detail=detail))
        return
    problem = _content_problem(content, name)
    if problem is not None:
        reading.problems.append(problem)
    elif name == "vocab.txt" or _is_tiktoken(content):
        reading.sizes[name] = content.count(b"\n") + (not content.endswith(b"\n"))
    elif name not in TEXT_FILES:
        reading.sizes[name] = tokenizer_facts.pieces(content)


def _is_lines(name: str) -> bool:
    return name.endswith(LINES_SUFFIX) and "/" not in name


def _content_problem(content: bytes, name: str) -> Problem | None:
    if not content:
        return Problem(kind="truncated", path=name, detail="0 bytes")
    mistaken = mistaken_content(name, content[:HEAD_BYTES])
    if mistaken is not None or name in TEXT_FILES or _is_tiktoken(content):
        return mistaken
    if name.endswith(LINES_SUFFIX) or content[0] != FIRST_PIECE:
        expected = "tiktoken's lines" if name.endswith(LINES_SUFFIX) else "a sentencepiece model"
        return Problem(
            kind="malformed",
            path=name,
            detail=f"not a vocabulary: expected {expected}, found `{content[:16]!r}`",
        )
    end = _end_of_fields(content)
    if end is None:
        return Problem(kind="malformed", path=name, detail="not a complete sentencepiece model")
    if end > len(content):
        return Problem(
            kind="truncated",
            path=name,
            detail=f"{len(content):,} bytes of a sentencepiece model of at least {end:,}",
        )
    return None


def _is_tiktoken(content: bytes) -> bool:
    """Whether the first line is a token in base64 and a rank."""
    words = content.partition(b"\n")[0].split()
    if len(words) != 2 or not words[1].isdigit():
        return False
    try:
        base64.b64decode(words[0], validate=True)
    except binascii.Error:
        return False
    return True


def _end_of_fields(content: bytes) -> int | None:
    """Where the last protobuf field ends: behind the content where it was cut, None for no field.

    The vocabulary's fields are stepped over by their lengths, so this is quick.
    """
    position, size = 0, len(content)
    while position < size:
        tag, position = _varint(content, position)
        kind = tag & 7
        if kind in FIXED_SIZES:
            position += FIXED_SIZES[kind]
        elif kind in (VARINT, WITH_LENGTH):
            if position >= size:
                return size + 1
            number, position = _varint(content, position)
            position += number if kind == WITH_LENGTH else 0
        else:
            return None
    return position


def _varint(content: bytes, position: int) -> tuple[int, int]:
    """A number of seven bits a byte, and where it ends; one byte behind where it was cut."""
    number = shift = 0
    for byte in content[position : position + 10]:
        number |= (byte & 0x7F) << shift
        position += 1
        if byte < 0x80:
            return number, position
        shift += 7
    return number, position + 1
