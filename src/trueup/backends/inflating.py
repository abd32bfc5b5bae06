"""Bodies that a server compressed although nobody asked for it."""

from __future__ import annotations

import zlib

# One read of a connection that unpacks to more is no answer of a model.
MAX_PIECE_BYTES = 2**25
GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
ZLIB_METHOD = 8
GZIP_BEGIN = b"\x1f"


class CodingError(Exception):
    """The body cannot be unpacked; the text says why, for people."""


class Inflater:
    """Unpacks gzip and deflate in pieces; `is_whole` once its end came."""

    def __init__(self) -> None:
        self._unpacker: zlib._Decompress | None = None

    @property
    def is_whole(self) -> bool:
        """Whether the compressed data came to its own end; an empty body did."""
        return self._unpacker is None or self._unpacker.eof

    def push(self, data: bytes) -> bytes:
        """The next piece.

        Raises:
            CodingError: it is damaged, or too much for a piece.
        """
        if not data:
            return b""
        if self._unpacker is None:
            # Some servers call bare deflate data `deflate`, without zlib's frame.
            is_framed = data[0] & 0x0F == ZLIB_METHOD or data[:1] == GZIP_BEGIN
            self._unpacker = zlib.decompressobj(GZIP_OR_ZLIB if is_framed else -zlib.MAX_WBITS)
        try:
            piece = self._unpacker.decompress(data, MAX_PIECE_BYTES)
        except zlib.error:
            raise CodingError("its compressed body cannot be read") from None
        if self._unpacker.unconsumed_tail:
            raise CodingError("its compressed body unpacks to far more than was sent")
        rest = self._unpacker.unused_data
        if rest[:1] == GZIP_BEGIN:  # gzip may have several members
            self._unpacker = None
            return piece + self.push(rest)
        return piece


class _Unknown(Inflater):
    def __init__(self, coding: str) -> None:
        super().__init__()
        self._coding = coding

    def push(self, data: bytes) -> bytes:
        raise CodingError(f"its body is compressed with `{self._coding}`, which nobody asked for")


def inflater_of(coding: str) -> Inflater | None:
    """What unpacks a body of this `Content-Encoding`; None for one that is not compressed."""
    match coding.strip().lower():
        case "" | "identity":
            return None
        case "gzip" | "x-gzip" | "deflate":
            return Inflater()
        case other:
            return _Unknown(other[:32])
