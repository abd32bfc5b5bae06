from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueup.errors import BackendError
from trueup.gateway import sse
from trueup.gateway.sse import EventSplitter

ROWS = [
    (b"data: a\n\n", [b"a"]),
    (b"data:a\n\n", [b"a"]),
    (b"data:  a\n\n", [b" a"]),
    (b"data: a\r\n\r\n", [b"a"]),
    (b"data: a\r\r", [b"a"]),
    (b"data: a\ndata: b\n\n", [b"a\nb"]),
    (b"data\n\n", [b""]),
    (b": comment\n\ndata: a\n\n", [b"a"]),
    (b": comment\ndata: a\n\n", [b"a"]),
    (b"event: x\nid: 1\n\n", []),
    (b"\n\n\n\ndata: a\n\n\n\n", [b"a"]),
    (b"data: a\n", []),
    (b"data: a", []),
    ("data: a\u2028b\u0085c\x0bd\n\n".encode(), ["a\u2028b\u0085c\x0bd".encode()]),
    (b"\xef\xbb\xbfdata: a\n\n", [b"a"]),
    (b"data: a\n\ndata: b\n\nda", [b"a", b"b"]),
    (b"datax: a\n\n", []),
]


@pytest.mark.parametrize(("stream", "events"), ROWS)
def test_events_are_the_same_however_the_stream_is_cut(stream: bytes, events: list[bytes]) -> None:
    assert EventSplitter().feed(stream) == events
    splitter = EventSplitter()
    assert [event for byte in stream for event in splitter.feed(bytes([byte]))] == events


@given(st.lists(st.sampled_from([b"data: x", b"\n", b"\r", b"\r\n", b":", b"a"])), st.data())
def test_cuts_never_matter(parts: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)))))
    splitter = EventSplitter()
    got = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        got += splitter.feed(stream[start:end])
    assert got == EventSplitter().feed(stream)


def test_an_event_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 100)
    splitter = EventSplitter()
    splitter.feed(b"data: " + b"x" * 90)
    with pytest.raises(BackendError, match="longer than 100 bytes"):
        splitter.feed(b"x" * 10)
