"""Faults of the connection: where the bytes stop, stall, or come in odd pieces."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence

from tests.faults.answer import Asked
from tests.faults.case import (
    AGAIN,
    ALWAYS,
    COMPLETE,
    EITHER,
    ERROR,
    NO_WAY,
    NOT_A_FAULT,
    ONCE,
    Fault,
)
from tests.faults.steps import (
    DONE,
    END,
    JSON,
    Close,
    Pause,
    Play,
    Poison,
    Raw,
    Reset,
    Stall,
    Step,
    Steps,
    always,
    cut_body,
    cut_stream,
    dumped,
    event,
    events,
    framed,
    head,
    of_events,
    part,
    stream,
)

FAMILY = "connection"
HARMLESS = {ALWAYS: (COMPLETE, NOT_A_FAULT)}
HEARTBEAT = b": ping\n\n"
BY_PREFIX = "the server goes on with a partial answer, however often it breaks off"
# The repaired answer or an error: a byte of the text itself is lost for good.
LOST_BYTE = {ONCE: (COMPLETE, AGAIN), ALWAYS: (EITHER, "a byte was lost on the way")}


def _mid_event(*last: Step) -> Play:
    """Half an event after three whole ones, in a chunk of its own."""

    def play(asked: Asked) -> Steps:
        sent = part(asked, 4)
        return stream([*sent[:-1], sent[-1][: len(sent[-1]) // 2]], *last)

    return play


def _mid_character(*last: Step) -> Play:
    """The stream ends after the first byte of a character of three."""

    def play(asked: Asked) -> Steps:
        whole = b"".join(events(asked))
        cut = next(at for at, byte in enumerate(whole) if at > 700 and byte >= 0xE0) + 1
        return stream([whole[:cut]], *last)

    return play


def _mid_chunk(*last: Step) -> Play:
    """The framing promises more bytes than come."""

    def play(asked: Asked) -> Steps:
        return stream([*part(asked, 3), Raw(b"%x\r\n" % 4096 + b'data: {"id":"')], *last)

    return play


def _whole_text(asked: Asked) -> list[bytes]:
    """Every event up to the first finish chunk, without it."""
    return [each for each in events(asked) if b'"finish_reason":null' in each]


def _without_length(count: int | None) -> Play:
    """A stream that ends where the connection does; None sends all of it."""

    def play(asked: Asked) -> Steps:
        sent = events(asked) if count is None else part(asked, count)
        plain = [Raw(each) for each in sent]
        return [head(is_chunked=False, headers={"Connection": "close"}), *plain, Close()]

    return play


def _with_length(is_cut: bool) -> Play:
    def play(asked: Asked) -> Steps:
        whole = b"".join(events(asked))
        sent = whole[: len(whole) // 2] if is_cut else whole
        return [head(length=len(whole)), Raw(sent), *([Close()] if is_cut else [])]

    return play


def _split(length: int) -> Play:
    """The stream's bytes in chunks of one length, whatever they hold."""

    def play(asked: Asked) -> Steps:
        whole = b"".join(events(asked))
        pieces = [whole[at : at + length] for at in range(0, len(whole), length)]
        return stream([framed(each) for each in pieces])

    return play


def _line_ends(end: bytes) -> Play:
    return of_events(lambda asked, sent: [each.replace(b"\n", end) for each in sent])


def _split_line_ends(asked: Asked, sent: Sequence[bytes]) -> Iterator[bytes]:
    """CRLF, with a chunk's end between CR and LF."""
    whole = b"".join(sent).replace(b"\n", b"\r\n")
    for line in whole.split(b"\r"):
        if line:
            yield line
        yield b"\r"


def _compressed(asked: Asked) -> Steps:
    body = gzip.compress(b"".join(events(asked)))
    parts = [body[at : at + 100] for at in range(0, len(body), 100)]
    return [head(headers={"Content-Encoding": "gzip"}), *parts, END]


def _compressed_body(asked: Asked) -> Steps:
    body = gzip.compress(dumped(asked.whole()))
    coded = {"Content-Encoding": "gzip"}
    return [Raw(head(200, JSON, length=len(body), headers=coded) + body)]


def _cut_compressed(asked: Asked) -> Steps:
    body = gzip.compress(b"".join(events(asked)))
    return [head(headers={"Content-Encoding": "gzip"}), body[: len(body) // 2], END]


def _bad_byte(where: bytes) -> Play:
    """A byte that is no UTF-8, in the event that holds `where`, behind it."""
    return of_events(lambda asked, sent: [each.replace(where, where + b"\xff", 1) for each in sent])


def _bad_byte_body(where: bytes) -> Play:
    def play(asked: Asked) -> Steps:
        body = dumped(asked.whole()).replace(where, where + b"\xff", 1)
        return [head(200, JSON, length=len(body)), Raw(body)]

    return play


def _long_line(asked: Asked, sent: Sequence[bytes]) -> list[bytes]:
    padding = b'{"padding":"' + b"x" * 2**20 + b'",'
    return [*sent[:3], sent[3].replace(b"{", padding, 1), *sent[4:]]


def _dripped_head(asked: Asked) -> Steps:
    whole = head()
    for at in range(0, len(whole), 10):
        yield Raw(whole[at : at + 10])
        yield Pause(0.05)
    yield from events(asked)
    yield END


def _trickle(asked: Asked) -> Steps:
    yield head()
    for each in events(asked):
        yield each
        yield Pause(0.1)
    yield END


def _drip(data: bytes, after: int | None) -> Play:
    """Something that is no progress for ever, after so many events with content."""
    return lambda asked: stream([] if after is None else part(asked, after), Stall(data))


def _two_at_once(asked: Asked) -> Steps:
    whole = b"".join(events(asked))
    return [Raw(head() + framed(whole) + END)]


def _slow(play_slowly: float) -> Play:
    return lambda asked: [Pause(play_slowly), head(), *events(asked), END]


def _slow_body(asked: Asked) -> Steps:
    body = dumped(asked.whole())
    return [Pause(0.5), head(200, JSON, length=len(body)), Pause(0.5), Raw(body)]


def _early_hints(asked: Asked) -> Steps:
    return [Raw(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"), *_two_at_once(asked)]


def _chunk_extensions(asked: Asked) -> Steps:
    yield head()
    for each in events(asked):
        yield Raw(b"%X;name=value\r\n%s\r\n" % (len(each), each))
    yield Raw(b"0\r\nX-Trailer: yes\r\n\r\n")


def _poisoned(asked: Asked) -> Steps:
    return [*_two_at_once(asked), Poison()]


def _poisoned_body(asked: Asked) -> Steps:
    body = dumped(asked.whole())
    return [head(200, JSON, length=len(body)), Raw(body), Poison()]


def _http_1_0(asked: Asked) -> Steps:
    sent = b"".join(events(asked))
    return [Raw(b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + sent), Close()]


def _http_1_0_body(asked: Asked) -> Steps:
    top = b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n"
    return [Raw(top + dumped(asked.whole())), Close()]


def _body_without_length(is_cut: bool) -> Play:
    def play(asked: Asked) -> Steps:
        body = dumped(asked.whole())
        top = head(200, JSON, is_chunked=False, headers={"Connection": "close"})
        return [top, Raw(body[: len(body) // 2] if is_cut else body), Close()]

    return play


def _body_in_pieces(before: bytes) -> Play:
    """A whole answer in chunks of seven bytes behind something that is no JSON yet."""

    def play(asked: Asked) -> Steps:
        body = before + dumped(asked.whole())
        pieces = [body[at : at + 7] for at in range(0, len(body), 7)]
        return [head(200, JSON), *pieces, END]

    return play


def _large_headers(asked: Asked) -> Steps:
    return [head(headers={"X-Large": "x" * 12_000}), *events(asked), END]


def _row(name: str, stream: Play | None = None, plain: Play | None = None, **more: object) -> Fault:
    return Fault(name=name, family=FAMILY, stream=stream, plain=plain, **more)  # type: ignore[arg-type]


_STALLED_BODY = cut_body(Stall())
_CLOSED_BODY = cut_body(Close())
_RESET_BODY = cut_body(Reset())

FAULTS = (
    _row("refused", is_unplayed=True, lasts={ALWAYS: (ERROR, NO_WAY)}),
    _row("close-before-headers", always(Close()), always(Close())),
    _row("reset-before-headers", always(Reset()), always(Reset())),
    _row(
        "close-in-headers",
        always(Raw(head()[:40]), Close()),
        always(Raw(head(200, JSON, length=99)[:40]), Close()),
    ),
    _row(
        "close-after-headers", cut_stream(0, Close()), always(head(200, JSON, length=99), Close())
    ),
    _row(
        "reset-after-headers", cut_stream(0, Reset()), always(head(200, JSON, length=99), Reset())
    ),
    _row("close-after-1", cut_stream(1, Close()), _CLOSED_BODY),
    _row("close-after-3", cut_stream(3, Close()), _CLOSED_BODY),
    _row("close-after-20", cut_stream(20, Close()), _CLOSED_BODY),
    _row("reset-after-3", cut_stream(3, Reset()), _RESET_BODY),
    _row(
        "close-after-10-continues",
        cut_stream(10, Close()),
        _CLOSED_BODY,
        continues=True,
        backend={"continuation": "continue_final_message"},
        lasts={ALWAYS: (COMPLETE, BY_PREFIX)},
        modes=(True,),
    ),
    _row(
        "close-after-3-other-answer",
        cut_stream(3, Close()),
        varies=True,
        lasts={
            ONCE: (ERROR, "what was sent begins no other answer of the server"),
        },
        holds=ERROR,
    ),
    _row("close-mid-event", _mid_event(Close()), _CLOSED_BODY),
    _row("reset-mid-event", _mid_event(Reset()), _RESET_BODY),
    _row("end-mid-event", _mid_event(END)),
    _row("close-mid-character", _mid_character(Close()), _CLOSED_BODY),
    _row("end-mid-character", _mid_character(END)),
    _row("close-mid-chunk", _mid_chunk(Close()), _CLOSED_BODY),
    _row("end-empty", cut_stream(0, END)),
    _row("end-after-3", cut_stream(3, END)),
    _row("close-before-finish", lambda asked: stream(_whole_text(asked), Close()), _CLOSED_BODY),
    _row("end-before-finish", lambda asked: stream(_whole_text(asked), END)),
    _row("close-before-done", lambda asked: stream(events(asked)[:-1], Close()), lasts=HARMLESS),
    _row("no-last-chunk", lambda asked: stream(events(asked), Close()), lasts=HARMLESS),
    _row("reset-after-done", lambda asked: stream(events(asked), Reset()), lasts=HARMLESS),
    _row("stall-after-done", lambda asked: stream(events(asked), Stall()), lasts=HARMLESS),
    _row("stall-before-headers", always(Stall()), always(Stall())),
    _row("stall-in-headers", always(Raw(head()[:40]), Stall()), always(Raw(head()[:40]), Stall())),
    _row(
        "stall-after-headers", cut_stream(0, Stall()), always(head(200, JSON, length=99), Stall())
    ),
    _row("stall-after-1", cut_stream(1, Stall()), _STALLED_BODY),
    _row("stall-after-3", cut_stream(3, Stall()), _STALLED_BODY),
    _row("stall-mid-event", _mid_event(Stall()), _STALLED_BODY),
    _row("heartbeats-only", _drip(HEARTBEAT, None)),
    _row("heartbeats-after-3", _drip(HEARTBEAT, 3)),
    _row("one-byte-at-a-time", _drip(b":", 3)),
    _row("empty-lines-after-3", _drip(b"\n", 3)),
    _row("spaces-in-body", plain=lambda asked: [head(200, JSON), Stall(b" ")]),
    _row("slow-first-token", _slow(1), _slow_body, lasts=HARMLESS),
    _row("slow-trickle", _trickle, lasts=HARMLESS),
    _row("slow-headers", _dripped_head, lasts=HARMLESS),
    _row(
        "bad-chunk-size",
        cut_stream(3, Raw(b"zz\r\ndata: x\r\n"), Stall()),
        always(head(200, JSON), Raw(b"zz\r\n{}\r\n"), Stall()),
    ),
    _row("negative-chunk-size", cut_stream(3, Raw(b"-5\r\ndata: x\r\n"), Stall())),
    _row(
        "not-http",
        always(Raw(b"220 smtp.example ESMTP\r\n"), Stall()),
        always(Raw(b"\x15\x03\x01\x00\x02\x02\x28"), Close()),
    ),
    _row(
        "without-length", _without_length(None), _body_without_length(is_cut=False), lasts=HARMLESS
    ),
    _row("without-length-cut", _without_length(3), _body_without_length(is_cut=True)),
    _row("with-length", _with_length(is_cut=False), lasts=HARMLESS),
    _row("with-length-cut", _with_length(is_cut=True)),
    _row("chunk-extensions-and-trailer", _chunk_extensions, lasts=HARMLESS),
    _row("http-1.0", _http_1_0, _http_1_0_body, lasts=HARMLESS),
    _row("large-headers", _large_headers, lasts=HARMLESS),
    _row("body-in-pieces", plain=_body_in_pieces(b""), lasts=HARMLESS),
    _row("spaces-before-body", plain=_body_in_pieces(b"  \n \n "), lasts=HARMLESS),
    _row("early-hints", _early_hints, lasts=HARMLESS),
    _row("gzip", _compressed, _compressed_body, lasts=HARMLESS),
    _row("gzip-cut", _cut_compressed),
    _row("split-at-every-byte", _split(1), lasts=HARMLESS),
    _row("split-at-every-7", _split(7), lasts=HARMLESS),
    _row("all-in-one-packet", _two_at_once, lasts=HARMLESS),
    _row("carriage-returns", _line_ends(b"\r"), lasts=HARMLESS),
    _row("carriage-returns-line-feeds", _line_ends(b"\r\n"), lasts=HARMLESS),
    _row("carriage-returns-split", of_events(_split_line_ends), lasts=HARMLESS),
    _row(
        "no-space-after-data",
        of_events(lambda asked, sent: [each.replace(b"data: ", b"data:", 1) for each in sent]),
        lasts=HARMLESS,
    ),
    _row(
        "done-without-empty-line",
        lambda asked: stream([b"".join(events(asked)).removesuffix(b"\n\n")]),
        lasts=HARMLESS,
    ),
    _row(
        "comments-and-fields",
        of_events(
            lambda asked, sent: [
                b": ping\nid: 5\nretry: 10\nevent: message\n" + each for each in sent
            ]
        ),
        lasts=HARMLESS,
    ),
    _row(
        "byte-order-mark",
        of_events(lambda asked, sent: [b"\xef\xbb\xbf" + sent[0], *sent[1:]]),
        lasts=HARMLESS,
    ),
    _row(
        "data-in-two-lines",
        of_events(
            lambda asked, sent: [
                each.replace(b',"object"', b'\ndata: ,"object"', 1) for each in sent
            ]
        ),
        lasts=HARMLESS,
    ),
    _row("line-of-1-mb", of_events(_long_line), lasts=HARMLESS),
    _row(
        "invalid-utf8-in-text",
        _bad_byte("它停下来".encode()[:3]),
        _bad_byte_body("它".encode()),
        lasts=LOST_BYTE,
        also=("它\ufffd停",),
    ),
    _row(
        "invalid-utf8-elsewhere",
        of_events(
            lambda asked, sent: [each.replace(b'{"id"', b'{"x":"\xff","id"', 1) for each in sent]
        ),
        lasts=HARMLESS,
    ),
    _row(
        "data-after-done",
        lambda asked: stream(
            [*events(asked), event(asked.delta({"content": "more"})), event("garbage"), DONE]
        ),
        lasts=HARMLESS,
    ),
    _row("reset-when-used-again", _poisoned, _poisoned_body, lasts=HARMLESS),
)
