"""Answers on the wire: framings, codings, and pieces that are handed on in the callback."""

from __future__ import annotations

import asyncio
import gzip
import zlib

import pytest

from trueup.backends.http_answer import MAX_HEAD_BYTES, MAX_HELD_BYTES, Answer
from trueup.backends.http_fault import HttpFault, connecting_fault, lost_words
from trueup.backends.inflating import MAX_PIECE_BYTES

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"


class Held:
    """What an answer asked of its connection."""

    def __init__(self) -> None:
        self.calls: list[bool] = []
        self.left: list[Answer] = []
        self.answer = Answer(asyncio.get_running_loop(), self.calls.append, self.left.append)


def framed(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def whole(*pieces: bytes, is_closed: bool = False) -> tuple[Answer, bytes]:
    answer = Held().answer
    for piece in pieces:
        answer.feed(piece)
    if is_closed:
        answer.lost(None)
    await answer.head()
    return answer, b"".join([piece async for piece in answer])


@pytest.mark.parametrize(
    "wire",
    [
        HEAD + b"content-length: 5\r\n\r\nhello",
        CHUNKED + framed(b"he") + framed(b"llo") + b"0\r\n\r\n",
        CHUNKED + framed(b"hello") + b"0\r\ntrailer: x\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
        + HEAD + b"content-length: 5\r\n\r\nhello",
        CHUNKED + b"5 \r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\ncontent-length: 5\n\nhello",
    ],
)  # fmt: skip
async def test_a_framed_body_is_complete_at_its_end_however_it_is_cut(wire: bytes) -> None:
    answer, body = await whole(wire)
    assert (answer.status, body, answer.is_complete) == (200, b"hello", True)
    assert answer.keeps_alive
    assert "link" not in answer.headers
    _, body = await whole(*(bytes([byte]) for byte in wire))
    assert body == b"hello"


@pytest.mark.parametrize("coding", [b"", b"transfer-encoding: identity\r\n"])
async def test_a_body_without_a_frame_ends_with_its_connection(coding: bytes) -> None:
    answer, body = await whole(HEAD + coding + b"\r\nhello", is_closed=True)
    assert (body, answer.is_complete, answer.keeps_alive) == (b"hello", True, False)


async def test_a_second_answer_spoils_the_connection_and_no_body() -> None:
    wire = HEAD + b"content-length: 5\r\n\r\nhello"
    answer, body = await whole(wire + wire)
    assert (body, answer.is_complete, answer.keeps_alive) == (b"hello", True, False)


async def test_a_server_that_speaks_something_else_is_not_asked_again_there() -> None:
    answer, _ = await whole(b"HTTP/1.1 101 Go\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nhi")
    assert (answer.status, answer.keeps_alive) == (101, False)


@pytest.mark.parametrize(
    ("wire", "words"),
    [
        (HEAD + b"x: " + b"a" * MAX_HEAD_BYTES, "no HTTP that can be read"),
        (HEAD + b"content-encoding: br\r\ncontent-length: 2\r\n\r\nab", "compressed with `br`"),
        (HEAD + b"content-encoding: gzip\r\ncontent-length: 2\r\n\r\nab", "cannot be read"),
        (HEAD + b"content-encoding: gzip\r\ncontent-length: 12\r\n\r\n"
         + gzip.compress(b"hi", mtime=0)[:12], "cannot be read"),
        (CHUNKED + framed(b"hello") + b"zz\r\n", "framing"),
    ],
)  # fmt: skip
async def test_what_cannot_be_read_is_a_fault_with_a_reason(wire: bytes, words: str) -> None:
    with pytest.raises(HttpFault, match=words):
        await whole(wire)


async def test_what_came_before_a_fault_is_read_first() -> None:
    answer = Held().answer
    answer.feed(CHUNKED + framed(b"hello"))
    answer.lost(ConnectionResetError(104, "reset"))
    await answer.head()
    assert await anext(answer) == b"hello"
    with pytest.raises(HttpFault, match="reset"):
        await anext(answer)


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "deflate", "bare deflate"])
async def test_a_compressed_body_is_unpacked_in_pieces(coding: str) -> None:
    text = b"data: hello\n\n" * 100
    match coding:
        case "deflate":
            packed = zlib.compress(text)
        case "bare deflate":
            packed = zlib.compress(text, wbits=-zlib.MAX_WBITS)
        case _:
            packed = gzip.compress(text)
    head = HEAD + b"content-encoding: %b\r\n" % coding.split()[-1].encode()
    pieces = [bytes([byte]) for byte in packed]
    wire = head + b"content-length: %d\r\n\r\n" % len(packed)
    _, body = await whole(wire, *pieces)
    assert body == text


@pytest.mark.parametrize("is_cut", [True, False])
async def test_every_member_of_a_gzip_body_is_unpacked(is_cut: bool) -> None:
    members = [gzip.compress(b"data: 1\n\n"), gzip.compress(b"data: 2\n\n")]
    packed = b"".join(members)
    wire = HEAD + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(packed)
    _, body = await whole(*((wire, *members) if is_cut else (wire + packed,)))
    assert body == b"data: 1\n\ndata: 2\n\n"


async def test_a_body_that_unpacks_without_end_is_refused() -> None:
    bomb = gzip.compress(bytes(MAX_PIECE_BYTES + 1))
    wire = HEAD + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(bomb)
    with pytest.raises(HttpFault, match="far more"):
        await whole(wire + bomb)


async def test_pieces_are_handed_on_in_the_callback_until_one_is_too_many() -> None:
    def take(piece: bytes) -> bool:
        taken.append(piece)
        return len(taken) < 3

    taken: list[bytes] = []
    answer = Held().answer
    answer.feed(CHUNKED + framed(b"1"))
    await answer.head()
    pumping = asyncio.create_task(answer.pump(take))
    await asyncio.sleep(0)
    for number in (b"2", b"3", b"4", b"5"):
        answer.feed(framed(number))
    assert taken == [b"1", b"2", b"3"], "no turn of the loop was needed"
    assert await pumping is False
    answer.feed(b"0\r\n\r\n")
    assert await answer.pump(taken.append) is False  # type: ignore[arg-type]  # None is no True
    assert taken[3:] == [b"45"]
    assert await answer.pump(take) is True


async def test_an_error_of_who_takes_reaches_who_pumps() -> None:
    def take(piece: bytes) -> bool:
        raise ValueError("bug")

    answer = Held().answer
    answer.feed(CHUNKED)
    await answer.head()
    pumping = asyncio.create_task(answer.pump(take))
    await asyncio.sleep(0)
    answer.feed(framed(b"1"))
    with pytest.raises(ValueError, match="bug"):
        await pumping


async def test_a_pump_that_was_cancelled_takes_no_more() -> None:
    taken: list[bytes] = []
    answer = Held().answer
    answer.feed(CHUNKED)
    await answer.head()
    pumping = asyncio.create_task(answer.pump(lambda piece: bool(taken.append(piece))))
    await asyncio.sleep(0)
    pumping.cancel()
    answer.feed(framed(b"1"))
    assert taken == []
    with pytest.raises(asyncio.CancelledError):
        await pumping
    assert await anext(answer) == b"1"


async def test_a_server_that_is_faster_than_its_reader_is_held() -> None:
    held = Held()
    held.answer.feed(CHUNKED)
    await held.answer.head()
    for _ in range(MAX_HELD_BYTES // 2**16 + 1):
        held.answer.feed(framed(bytes(2**16)))
    assert held.calls == [True]
    assert len(await anext(held.answer)) > MAX_HELD_BYTES
    assert held.calls == [True, False]


async def test_leaving_is_told_once() -> None:
    held = Held()
    held.answer.leave()
    held.answer.leave()
    held.answer.feed(b"late")
    assert held.left == [held.answer]


def test_faults_are_told_in_words_for_people() -> None:
    assert str(connecting_fault(OSError(111, "x"))) == "connection refused"
    several = OSError("Multiple exceptions: [Errno 111] a ('::1'), [Errno 111] b ('127.0.0.1')")
    assert str(connecting_fault(several)) == "connection refused"
    different = OSError("Multiple exceptions: [Errno 111] a, [Errno 113] b")
    assert str(connecting_fault(different)) == "no connection could be made"
    ours = connecting_fault(OSError(24, "x"))
    assert (ours.is_ours, str(ours)) == (True, "this process may open no more files")
    assert lost_words(None) == lost_words(TimeoutError()) == "its connection closed"
