"""The parser of server-sent events against a naive one, on streams that nobody would write."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from trueup.gateway.sse import EventSplitter

LINE_END = re.compile(rb"\r\n|\r|\n")
TOKENS = [
    b"\n", b"\r", b"\r\n", b"\n\n", b"\r\r", b"\r\n\r\n", b"data", b"data:", b"data: ", b"data:  x",
    b"data: {}", b"data: [DONE]", b":", b": ping", b" ", b"event: e", b"id: 1", b"retry: 5", b"dat",
    b"\xef\xbb\xbf", b"\xef\xbb", "\u2028".encode(), "\u2029".encode(), "\u0085".encode(), b"\x0b",
    b"\x0c", b"\x1c", b"\x00", b"\xff", b"\xf0\x9f", "你".encode(), "🙂".encode(), b"x" * 300,
]  # fmt: skip
# What is read as an error though it is no event is another test's (test_stream.py).
ERRORS = (b"error", b"Traceback ")
STREAMS = st.one_of(
    st.lists(st.sampled_from(TOKENS), max_size=40).map(b"".join),
    st.lists(st.one_of(st.sampled_from(TOKENS), st.binary(max_size=8)), max_size=30).map(b"".join),
    st.binary(max_size=200),
).filter(lambda stream: not any(mark in stream for mark in ERRORS))
BOUNDED = settings(
    max_examples=400,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


def naive(stream: bytes) -> list[bytes]:
    """WHATWG's rules line by line, of `data` alone; what no empty line closes is no event."""
    lines = LINE_END.split(stream.removeprefix(b"\xef\xbb\xbf"))[:-1]
    events: list[bytes] = []
    data: list[bytes] = []
    for line in lines:
        if not line:
            events += [b"\n".join(data)] if data else []
            data = []
            continue
        field, colon, value = line.partition(b":")
        if field == b"data":
            data.append(value[1:] if colon and value[:1] == b" " else value)
    return events


def pieces_of(stream: bytes, cuts: list[int]) -> list[bytes]:
    return [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


def fed(pieces: list[bytes]) -> tuple[list[bytes], bytes | None]:
    """The events of the pieces, and what is left at an orderly end."""
    splitter = EventSplitter()
    events = [event for piece in pieces for event in splitter.feed(piece)]
    return events, splitter.rest()


@BOUNDED
@given(STREAMS, st.data())
@example(b"\r\n\r\ndata: a\r\n\r\n", None)
@example(b"data: a\r\rdata: b\r\n\rdata: c\n\r", None)
@example(b"\xef\xbb\xbfdata: a\n\n", None)
@example(b"\n\xef\xbb\xbfdata: a\n\n", None)
@example(b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\n", None)
def test_any_cut_of_any_bytes_gives_the_events_of_the_rules(
    stream: bytes, data: st.DataObject | None
) -> None:
    expected = naive(stream)
    whole = fed([stream])
    assert whole[0] == expected
    assert fed([stream[index : index + 1] for index in range(len(stream))]) == whole
    if data is not None:
        cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
        assert fed(pieces_of(stream, cuts)) == whole


@BOUNDED
@given(STREAMS)
def test_the_rest_is_what_an_empty_line_would_have_closed(stream: bytes) -> None:
    events, rest = fed([stream])
    assert [*events, *([] if rest is None else [rest])] == naive(stream + b"\n\n")


class Counted(bytearray):
    """A buffer that counts the bytes that are looked at, copied or moved."""

    work = 0

    def find(self, wanted: Any, start: Any = 0, *more: Any) -> int:
        found = super().find(wanted, start, *more)
        self.work += (found if found >= 0 else len(self)) - int(start)
        return found

    def __iadd__(self, piece: Any) -> Counted:  # type: ignore[override]
        self.work += len(piece)
        self.extend(piece)
        return self

    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        self.work += len(found) if isinstance(key, slice) else 1
        return found

    def __delitem__(self, key: Any) -> None:
        super().__delitem__(key)
        self.work += len(self)


PATTERNS: list[tuple[bytes, int]] = [
    (b"x", 1),
    (b"data: x\n", 1),
    (b"\r", 1),
    (b"\n", 1),
    (b": ping\n\n", 1),
    (b"data: x\n\n", 1),
    (b"data: x\r\n\r\n", 3),
    (b"data: x\n\n", 2**12),
    (b"\n\r", 5),
    (b"data:\n", 2**10),
]


@pytest.mark.parametrize(("pattern", "cut"), PATTERNS)
def test_the_work_grows_with_the_bytes_and_not_with_their_square(pattern: bytes, cut: int) -> None:
    def work(size: int) -> int:
        stream = (pattern * (size // len(pattern) + 1))[:size]
        splitter = EventSplitter()
        buffer = splitter._buffer = Counted()
        for index in range(0, size, cut):
            splitter.feed(stream[index : index + cut])
        return buffer.work

    small, large = work(2**14), work(2**17)
    assert 0 < small <= 8 * 2**14
    assert large <= 8 * small * 1.1


@pytest.mark.parametrize("cut", [1, 7, 2**16, 2**21])
@pytest.mark.parametrize("end", [b"\n\n", b"\r\r", b"\r\n\r\n"])
def test_a_line_of_1_mb_is_one_event_however_it_comes(cut: int, end: bytes) -> None:
    text = "流🙂\u2028x".encode() * 2**17
    assert len(text) > 2**20
    stream = b"data: " + text + end + b"data: b" + end
    splitter = EventSplitter()
    # Single bytes of all of it would take seconds: the middle comes in one piece.
    head, tail = (2**14, len(stream) - 2**14) if cut < 8 else (0, len(stream))
    pieces = [stream[index : index + cut] for index in range(0, head, cut)]
    at = sum(map(len, pieces))
    pieces += [stream[at:tail]] if cut < 8 else pieces_of(stream, list(range(cut, tail, cut)))
    if cut < 8:
        pieces += [stream[index : index + cut] for index in range(tail, len(stream), cut)]
    assert [event for piece in pieces for event in splitter.feed(piece)] == [text, b"b"]
