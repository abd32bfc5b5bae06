"""Whether the tokenizer's files are what their names say, from their bytes.

Looks at the form only: a sentencepiece model's fields, tiktoken's lines, JSON. Builds nothing.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from pathlib import Path

from trueup.checkpoint.checkpoint import Problem
from trueup.checkpoint.damage import HEAD_BYTES, mistaken_content
from trueup.checkpoint.json_file import read_json

JSON_FILES = ("tokenizer.json", "vocab.json")
TEXT_FILES = ("vocab.txt", "merges.txt")
# Each may hold a sentencepiece model, and the first one tiktoken's lines as well, as GLM-4's does.
BINARY_FILES = ("tokenizer.model", "tiktoken.model", "spiece.model", "sentencepiece.bpe.model",
                "ice_text.model")  # fmt: skip
LINES_SUFFIX = ".tiktoken"
LIMIT_BYTES = 64 * 1024 * 1024
FIRST_PIECE = 0x0A  # field 1, with a length: what every sentencepiece model begins with
FIXED_SIZES = {1: 8, 5: 4}
VARINT, WITH_LENGTH = 0, 2


def tokenizer_problems(directory: Path, files: Mapping[str, int]) -> tuple[Problem, ...]:
    """What is wrong with the tokenizer's files at the top of the directory."""
    found: list[Problem | None] = []
    for name in sorted(files):
        if name in JSON_FILES:
            found.append(read_json(directory, name)[1])
        elif name in (*TEXT_FILES, *BINARY_FILES) or _is_lines(name):
            found.append(_content_problem(directory, name))
    return tuple(problem for problem in found if problem is not None)


def _is_lines(name: str) -> bool:
    return name.endswith(LINES_SUFFIX) and "/" not in name


def _content_problem(directory: Path, name: str) -> Problem | None:
    try:
        with (directory / name).open("rb") as file:
            content = file.read(LIMIT_BYTES)
    except OSError as error:
        return Problem(kind="unreadable", path=name, detail=error.strerror or str(error))
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
