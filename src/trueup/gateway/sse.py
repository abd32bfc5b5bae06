"""Server-sent events on bytes: pieces of any size in, the data of whole events out."""

from __future__ import annotations

import orjson

from trueup.errors import BackendError

MAX_EVENT_BYTES = 2**24
BYTE_ORDER_MARK = b"\xef\xbb\xbf"

DONE = b"data: [DONE]\n\n"
# What servers call an event that only keeps a connection alive.
KEEP_ALIVES = frozenset({b"ping", b"heartbeat", b"keepalive", b"keep-alive", b"keep_alive"})
HEARTBEAT = b": heartbeat\n\n"


class EventSplitter:
    """Splits a byte stream into the data of its events.

    Lines end with CR, LF or CRLF and with nothing else (U+2028 is data); comments and fields
    other than `data` are dropped, but for errors: what is one by its type comes as data with an
    `error`. So are events whose type says that they only keep the connection alive. An event
    that is not closed by an empty line is none.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0
        self._was_carriage_return = False
        self._is_first = True

    def feed(self, piece: bytes) -> list[bytes]:
        """The data of the events that `piece` completes, lines of one event joined by LF.

        Raises:
            BackendError: an event is longer than MAX_EVENT_BYTES.
        """
        if self._was_carriage_return or b"\r" in piece:
            piece = self._with_line_feeds(piece)
        buffer = self._buffer
        # Most pieces are one event of one line.
        last = len(piece) - 2
        if (
            not buffer
            and piece[:6] == b"data: "
            and piece.find(b"\n") == last == piece.rfind(b"\n\n")
        ):
            self._is_first = False
            return [piece[6:-2]]
        buffer += piece
        end = buffer.find(b"\n\n", self._searched)
        if end < 0:
            if len(buffer) > MAX_EVENT_BYTES:
                raise BackendError(
                    f"an event is longer than {MAX_EVENT_BYTES} bytes",
                    retryable=True,
                    code="stream_malformed",
                )
            self._searched = max(0, len(buffer) - 1)
            return []
        events = []
        start = 0
        while end >= 0:
            data = self._data(bytes(buffer[start:end]))
            if data is not None:
                events.append(data)
            start = end + 2
            end = buffer.find(b"\n\n", start)
        del buffer[:start]
        self._searched = max(0, len(buffer) - 1)
        return events

    def rest(self) -> bytes | None:
        """The data of a last event that no empty line closed, at an orderly end of the body."""
        block = bytes(self._buffer).rstrip(b"\n")
        self._buffer.clear()
        return self._data(block) if block else None

    def _with_line_feeds(self, piece: bytes) -> bytes:
        if not piece:
            return piece
        if self._was_carriage_return and piece.startswith(b"\n"):
            piece = piece[1:]
            self._was_carriage_return = False
            if not piece:
                return piece
        self._was_carriage_return = piece.endswith(b"\r")
        return piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _data(self, block: bytes) -> bytes | None:
        if self._is_first:
            self._is_first = False
            block = block.removeprefix(BYTE_ORDER_MARK)
        if block.startswith(b"data: ") and b"\n" not in block:
            return block[6:]
        fields = [line.partition(b":") for line in block.split(b"\n")]
        lines = [value.removeprefix(b" ") for field, _, value in fields if field == b"data"]
        data = b"\n".join(lines)
        kind = next((value.strip() for field, _, value in fields if field == b"event"), b"")
        if kind == b"error":
            return _as_error(data)
        if kind in KEEP_ALIVES and b'"choices"' not in data and b'"error"' not in data:
            return None
        if lines:
            return data
        # Servers that lose their way say `error: …` or a bare object instead of an event.
        for field, _, value in fields:
            if field == b"error":
                return _as_error(value.strip())
            if field.startswith((b'{"error', b"Traceback ")):
                return _as_error(b"")
        return None


def _as_error(data: bytes) -> bytes:
    """The data of an event that is an error by its type, as one by its contents."""
    if b'"error"' in data:
        return data
    if data.startswith(b"{") and data.endswith(b"}"):
        return b'{"error":%b}' % data
    return orjson.dumps({"error": data.decode("utf-8", "replace") or "an error without words"})
