"""Reads a sentencepiece model file: its pieces and the settings that decide how text is cut.

Knows just enough of the protobuf wire format for that; needs neither protobuf nor sentencepiece.
It does not tokenize.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from trueup.errors import CheckpointError

MODEL_TYPES = {1: "unigram", 2: "bpe", 3: "word", 4: "char"}


class PieceKind(IntEnum):
    """What a piece stands for; the numbers are those of the file."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One entry of the vocabulary; its id is its place in the file."""

    text: str
    score: float
    kind: PieceKind


@dataclass(frozen=True, slots=True, kw_only=True)
class SentencePieceFile:
    """A sentencepiece model; `charsmap_bytes` is 0 where text is not rewritten."""

    pieces: tuple[Piece, ...]
    model_type: str
    normalizer: str
    charsmap_bytes: int
    adds_dummy_prefix: bool
    removes_extra_whitespace: bool
    escapes_whitespace: bool
    whitespace_is_suffix: bool
    falls_back_to_bytes: bool
    denormalizes: bool


def read_sentencepiece(path: Path) -> SentencePieceFile:
    """Reads a model file.

    Raises:
        CheckpointError: the file is not a sentencepiece model or was cut short.
    """
    try:
        return _read_model(path.read_bytes())
    except (ValueError, IndexError, struct.error, OverflowError) as error:
        raise CheckpointError(
            f"`{path.name}` is not a complete sentencepiece model: {error}",
            where=str(path),
            hint="download the file again, and compare its size with the one that the hub shows",
        ) from error


def _read_model(data: bytes) -> SentencePieceFile:
    pieces: list[Piece] = []
    trainer: dict[int, int | bytes] = {}
    normalizer: dict[int, int | bytes] = {}
    denormalizer: dict[int, int | bytes] = {}
    for number, value in _fields(data):
        if number == 1 and isinstance(value, bytes):
            pieces.append(_read_piece(value))
        elif number == 2 and isinstance(value, bytes):
            trainer.update(_fields(value))
        elif number == 3 and isinstance(value, bytes):
            normalizer.update(_fields(value))
        elif number == 5 and isinstance(value, bytes):
            denormalizer.update(_fields(value))
    if not (pieces and trainer and normalizer):
        raise ValueError("its pieces, its trainer's or its normalizer's settings are missing")
    return SentencePieceFile(
        pieces=tuple(pieces),
        model_type=MODEL_TYPES.get(_number(trainer, 3, 1), "unknown"),
        normalizer=_bytes(normalizer, 1).decode(),
        charsmap_bytes=len(_bytes(normalizer, 2)),
        adds_dummy_prefix=bool(_number(normalizer, 3, 1)),
        removes_extra_whitespace=bool(_number(normalizer, 4, 1)),
        escapes_whitespace=bool(_number(normalizer, 5, 1)),
        whitespace_is_suffix=bool(_number(trainer, 24, 0)),
        falls_back_to_bytes=bool(_number(trainer, 35, 0)),
        denormalizes=bool(_bytes(denormalizer, 2)),
    )


def _read_piece(data: bytes) -> Piece:
    fields = dict(_fields(data))
    (score,) = struct.unpack("<f", _bytes(fields, 2) or bytes(4))
    return Piece(
        text=_bytes(fields, 1).decode(), score=score, kind=PieceKind(_number(fields, 3, 1))
    )


def _number(fields: dict[int, int | bytes], number: int, default: int) -> int:
    value = fields.get(number, default)
    return value if isinstance(value, int) else default


def _bytes(fields: dict[int, int | bytes], number: int) -> bytes:
    value = fields.get(number, b"")
    return value if isinstance(value, bytes) else b""


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yields a message's field numbers and values: a varint as int, all else as its bytes."""
    at = 0
    end = len(data)
    while at < end:
        key, at = _varint(data, at)
        wire_type = key & 7
        if wire_type == 0:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        if wire_type == 2:
            size, at = _varint(data, at)
        elif wire_type in (1, 5):
            size = 8 if wire_type == 1 else 4
        else:
            raise ValueError(f"wire type {wire_type} at byte {at}")
        if at + size > end:
            raise ValueError(f"it ends {at + size - end} bytes early")
        yield key >> 3, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
