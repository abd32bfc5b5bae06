"""The HTTP protocol on real sockets: its bounds, its order, who left, who does not read."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest

from trueup import events
from trueup.config.settings import ServerSettings
from trueup.events import RequestRefused
from trueup.gateway import closing, http
from trueup.gateway.exchange import WIRE
from trueup.gateway.server import Server, listen
from trueup.gateway.serving import Serving

GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
# Headers up to 1000 bytes; far more than one read of the socket takes.
LIMIT = 1000
ENDLESS = 2**20


class App:
    """An application that answers with what it was asked; `script` may do something else."""

    def __init__(self) -> None:
        self.settings = ServerSettings(max_header_bytes=LIMIT)
        self.serving = Serving()
        self.asked: list[dict[str, Any]] = []
        self.bodies: list[bytes] = []
        self.was_left = asyncio.Event()
        self.script: Callable[[Any, Any, Any], Awaitable[None]] | None = None

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        yield

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked.append(scope)
        if self.script is not None:
            await self.script(scope, receive, send)
            return
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.was_left.set()
                return
            body += message["body"]
            if not message["more_body"]:
                break
        self.bodies.append(body)
        await answer(send, scope["path"].encode())


async def answer(send: Any, body: bytes, *headers: tuple[bytes, bytes]) -> None:
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": 200, "headers": [length, *headers]})
    await send({"type": "http.response.body", "body": body, "more_body": False})


@asynccontextmanager
async def running(app: App) -> AsyncIterator[tuple[str, int]]:
    listener = listen("127.0.0.1", 0)
    address = listener.getsockname()
    async with Server(app, drain_seconds=0).running(listener):  # type: ignore[arg-type]
        yield address


async def say(address: tuple[str, int], *pieces: bytes, is_ended: bool = False) -> bytes:
    """All that is answered until the server closes."""
    reader, writer = await asyncio.open_connection(*address)
    with contextlib.suppress(ConnectionError):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
    if is_ended:
        writer.write_eof()
    got = b""
    with contextlib.suppress(ConnectionError):
        while piece := await reader.read(65536):
            got += piece
    writer.close()
    return got


TOO_MUCH: dict[str, tuple[list[bytes], bytes]] = {
    "an endless path": ([b"GET /" + b"a" * ENDLESS], b"414"),
    "an endless path in pieces": ([b"GET /"] + [b"a" * 100] * 30, b"414"),
    "a long path": ([b"GET /" + b"a" * LIMIT + b" HTTP/1.1\r\nHost: x\r\n\r\n"], b"414"),
    "an endless name": ([b"GET / HTTP/1.1\r\nHost: x\r\n", b"a" * ENDLESS], b"431"),
    "an endless value": ([b"GET / HTTP/1.1\r\nHost: x\r\nA: ", b"a" * ENDLESS], b"431"),
    "endless headers": ([b"GET / HTTP/1.1\r\nHost: x\r\n"] + [b"A: b\r\n" * 9] * 40, b"431"),
    "long headers": (
        [b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * LIMIT + b"\r\n\r\n"],
        b"431",
    ),
    "endless empty lines": ([b"\r\n" * 99] * 20, b"431"),
    "an endless size of a chunk": (
        [
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"1;" + b"a" * ENDLESS,
        ],
        b"400",
    ),
    "an endless trailer": (
        [
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: ",
            b"a" * ENDLESS,
        ],
        b"400",
    ),
}


@pytest.mark.parametrize("case", TOO_MUCH)
async def test_what_has_no_end_is_refused_and_not_kept(case: str) -> None:
    pieces, status = TOO_MUCH[case]
    app = App()
    async with running(app) as address:
        said = await say(address, *pieces)
        assert said.startswith(b"HTTP/1.1 " + status + b" ")
        assert b"connection: close" in said
        error = orjson.loads(said.partition(b"\r\n\r\n")[2])["error"]
        assert error["code"] == "bad_http"
        assert (status == b"431") is ("`server.max_header_bytes`" in error["message"])
        assert app.bodies == []
        assert b"200 OK" in await say(address, LAST)


async def test_headers_up_to_the_limit_are_taken_whatever_comes_with_them() -> None:
    app = App()
    value = b"a" * (LIMIT - 200)
    post = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\nA: " + value + b"\r\n\r\n"
    async with running(app) as address:
        said = await say(address, (post + b"b" * 100_000) * 2 + LAST)
    assert said.count(b"200 OK") == 3
    assert [len(body) for body in app.bodies] == [100_000, 100_000, 0]


async def test_a_chunked_body_is_read_and_its_trailers_are_left_out() -> None:
    app = App()
    head = b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with running(app) as address:
        said = await say(address, head, b"3\r\nabc\r\n", b"1;x=y\r\nd\r\n0\r\nA: b\r\n\r\n", LAST)
    assert said.count(b"200 OK") == 2
    assert app.bodies == [b"abcd", b""]
    assert b"a" not in dict(app.asked[0]["headers"])


BAD_HTTP: dict[str, bytes] = {
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    "length and chunks": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "an encoding that is not the last": b"POST / HTTP/1.1\r\nHost: x\r\n"
    b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "a space before the colon": b"GET / HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n",
    "a folded header": b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n",
    "a line feed alone": b"GET / HTTP/1.1\nHost: x\n\n",
    "a zero byte": b"GET / HTTP/1.1\r\nHost: x\r\nA: \0\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a tunnel": b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
    "no method": b"/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "bytes in the path": b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
    "a negative length": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    "a huge length": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
}


@pytest.mark.parametrize("case", BAD_HTTP)
async def test_what_is_not_http_is_refused_and_told(case: str) -> None:
    app = App()
    heard: list[events.Event] = []
    stop = events.subscribe(heard.append)
    async with running(app) as address:
        said = await say(address, BAD_HTTP[case])
        stop()
        told = [(e.request_id, e.status) for e in heard if isinstance(e, RequestRefused)]
        assert told == [("", 400)]
        assert said.startswith(b"HTTP/1.1 400 ")
        assert app.asked == []
        assert b"200 OK" in await say(address, LAST)


async def test_http_1_0_needs_no_host_and_gets_no_chunks() -> None:
    app = App()

    async def script(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        await send({"type": "http.response.body", "body": b"b", "more_body": False})

    app.script = script
    async with running(app) as address:
        said = await say(address, b"GET / HTTP/1.0\r\n\r\n")
    head, _, body = said.partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head
    assert body == b"ab"


async def test_rubbish_never_cuts_the_answer_before_it() -> None:
    app, go_on = App(), asyncio.Event()

    async def script(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/last":
            await answer(send, b"")
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        await go_on.wait()
        await send({"type": "http.response.body", "body": b"last", "more_body": False})

    app.script = script
    async with running(app) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(GET)
        await reader.readuntil(b"first\r\n")
        writer.write(b"rubbish\r\n\r\n")
        await writer.drain()
        await say(address, LAST)  # what was sent before it was read before it
        go_on.set()
        rest = await reader.read()
        writer.close()
    assert rest.startswith(b"4\r\nlast\r\n0\r\n\r\nHTTP/1.1 400 ")


async def test_an_offer_of_another_protocol_is_passed_over() -> None:
    app = App()
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n"
    post = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n" + offer + b"\r\nabc"
    get = b"GET /b HTTP/1.1\r\nHost: x\r\n" + offer + b"\r\n"
    async with running(app) as address:
        said = await say(address, post + get + post + LAST)
    assert said.count(b"200 OK") == 4
    assert app.bodies == [b"abc", b"", b"abc", b""]


async def test_requests_in_a_row_are_answered_in_their_order() -> None:
    app = App()
    count = http.MAX_PIPELINED * 5
    row = [b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(count)]
    async with running(app) as address:
        said = await say(address, *(b"".join(row), LAST))
    heads = said.split(b"HTTP/1.1 200 OK\r\n")[1:]
    bodies = [head.partition(b"\r\n\r\n")[2] for head in heads]
    assert bodies == [b"/%d" % number for number in range(count)] + [b"/last"]


async def test_head_has_the_length_and_no_body() -> None:
    app = App()
    async with running(app) as address:
        said = await say(address, b"HEAD /abc HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert b"content-length: 4\r\n" in said
    assert said.endswith(b"\r\n\r\n")


async def test_a_client_that_asks_first_is_told_to_go_on_when_its_body_is_wanted() -> None:
    app = App()
    head = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
    async with running(app) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(head)
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"abc" + LAST)
        said = await reader.read()
        writer.close()
    assert said.count(b"200 OK") == 2

    async def refuse(scope: Any, receive: Any, send: Any) -> None:
        await answer(send, b"no")

    app.script = refuse
    async with running(app) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(head)
        assert (await reader.readuntil(b"no")).startswith(b"HTTP/1.1 200 OK")
        writer.close()


HOW_TO_LEAVE = ["close", "reset", "half-close"]


@pytest.mark.parametrize("how", HOW_TO_LEAVE)
@pytest.mark.parametrize("when", ["before the first byte", "in the stream"])
@pytest.mark.parametrize("before", [b"", GET], ids=["alone", "with one waiting"])
async def test_the_application_is_told_that_the_client_left(
    how: str, when: str, before: bytes
) -> None:
    app, left = App(), asyncio.Event()

    async def script(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        if when == "in the stream":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"first", "more_body": True})
        if (await receive())["type"] == "http.disconnect":
            left.set()

    app.script = script
    async with running(app) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(GET + before)
        if when == "in the stream":
            await reader.readuntil(b"first\r\n")
        else:
            while not app.asked:  # noqa: ASYNC110 - the application has no event for it
                await asyncio.sleep(0)
        if how == "reset":
            writer.transport.abort()
        elif how == "half-close":
            writer.write_eof()
        else:
            writer.close()
        await left.wait()
        writer.close()
    # Who waited behind it was never started: nobody would read the answer.
    assert len(app.asked) == 1


async def test_a_client_that_does_not_read_is_waited_for() -> None:
    app, sent, goal = App(), 0, 64

    async def script(scope: Any, receive: Any, send: Any) -> None:
        nonlocal sent
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for number in range(goal):
            body = b"x" * 2**20
            await send({"type": "http.response.body", "body": body, "more_body": number < goal - 1})
            sent += 1

    app.script = script
    async with running(app) as address:
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(client, address)
            await loop.sock_sendall(client, GET)
            before = -1
            while sent > before:  # until nothing more is taken
                before = sent
                for _ in range(1000):
                    await asyncio.sleep(0)
            assert sent < goal
            got = 0
            while got < goal * 2**20:
                got += len(await loop.sock_recv(client, 2**20))
    assert sent == goal


async def test_an_answer_before_the_body_is_read_leaves_the_connection_usable() -> None:
    app = App()

    async def script(scope: Any, receive: Any, send: Any) -> None:
        await answer(send, b"no")

    app.script = script
    head = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n"
    async with running(app) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(head)
        await reader.readuntil(b"no")
        writer.write(b"b" * 300_000 + LAST)
        assert b"no" in await reader.read()
        writer.close()


SLOW: dict[str, list[bytes]] = {
    "nothing": [],
    "a piece of a line": [b"GET /"],
    "a piece of the headers": [b"GET / HTTP/1.1\r\nHost: x\r\n"],
    "an empty line": [b"\r\n"],
    "a piece after a request": [GET, b"GET /"],
    "an empty line after a request": [GET, b"\r\n"],
}


@pytest.mark.parametrize("case", SLOW)
async def test_a_head_that_does_not_come_is_not_waited_for(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "HEAD_SECONDS", 0.05)
    monkeypatch.setattr(http, "LINGER_SECONDS", 0.05)
    # An empty line that comes before the answer is nothing; one that comes after it is a start.
    monkeypatch.setattr("trueup.gateway.server.IDLE_SECONDS", 0.05)
    app = App()
    async with running(app) as address:
        said = await say(address, *SLOW[case])
    assert said.count(b"200 OK") == SLOW[case].count(GET)


async def test_a_head_that_trickles_has_no_more_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "HEAD_SECONDS", 0.1)
    async with running(App()) as address:
        reader, writer = await asyncio.open_connection(*address)

        async def trickle() -> None:
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nA: ")
            with contextlib.suppress(ConnectionError):
                while True:
                    writer.write(b"a")
                    await writer.drain()
                    await asyncio.sleep(0.01)

        trickling = asyncio.create_task(trickle())
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        trickling.cancel()
        writer.close()


async def test_an_idle_connection_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trueup.gateway.server.IDLE_SECONDS", 0.05)
    async with running(App()) as address:
        assert (await say(address, GET)).count(b"200 OK") == 1


async def test_the_rest_of_a_body_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "LINGER_SECONDS", 0.05)
    app = App()

    async def script(scope: Any, receive: Any, send: Any) -> None:
        await answer(send, b"no")

    app.script = script
    head = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n"
    async with running(app) as address:
        assert (await say(address, head, b"b")).endswith(b"no")


async def test_a_line_break_in_a_header_never_leaves(capfd: pytest.CaptureFixture[str]) -> None:
    app = App()

    async def script(scope: Any, receive: Any, send: Any) -> None:
        await answer(send, b"no", (b"x", b"a\r\nset-cookie: b"))

    app.script = script
    async with running(app) as address:
        assert b"cookie" not in await say(address, GET)


async def test_who_leaves_after_a_long_last_piece_of_its_body_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http, "HIGH_WATER_LIMIT", 2)  # of what is held: then reading pauses
    app, left = App(), asyncio.Event()

    async def script(scope: Any, receive: Any, send: Any) -> None:
        waiting.set()
        while (await receive())["more_body"]:
            pass
        scope["extensions"][WIRE].when_left(left.set)
        read.set()
        await left.wait()

    app.script = script
    waiting, read = asyncio.Event(), asyncio.Event()
    async with running(app) as address:
        _, writer = await asyncio.open_connection(*address)
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n")
        await waiting.wait()
        writer.write(b"abc")
        await read.wait()
        writer.close()
        await left.wait()


async def test_a_request_that_breaks_behind_another_is_refused_after_its_answer() -> None:
    app, go_on = App(), asyncio.Event()

    async def script(scope: Any, receive: Any, send: Any) -> None:
        await go_on.wait()
        await answer(send, b"first")

    app.script = script
    broken = b"POST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nno size\r\n"
    async with running(app) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(GET + broken)
        while not app.asked:  # noqa: ASYNC110 - the application has no event for it
            await asyncio.sleep(0)
        app.script = None
        await say(address, LAST)  # what was sent before it was read before it
        go_on.set()
        said = await reader.read()
        writer.close()
    assert b"firstHTTP/1.1 400 " in said


@asynccontextmanager
async def unreading(address: tuple[str, int], request: bytes) -> AsyncIterator[socket.socket]:
    """A client that asks and reads nothing."""
    loop = asyncio.get_running_loop()
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        await loop.sock_connect(client, address)
        await loop.sock_sendall(client, request)
        yield client


@pytest.mark.parametrize("how", ["kept", "closed"])
async def test_a_connection_is_not_kept_for_an_answer_that_nobody_reads(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trueup.gateway.server.IDLE_SECONDS", 0.05)
    monkeypatch.setattr(closing, "UNREAD_SECONDS", 0.05)
    app, lost = App(), asyncio.Event()

    async def script(scope: Any, receive: Any, send: Any) -> None:
        await answer(send, b"x" * 2**25)

    def note(self: Any, error: Exception | None) -> None:
        connection_lost(self, error)
        lost.set()

    app.script = script
    connection_lost = http.Protocol.connection_lost
    monkeypatch.setattr(http.Protocol, "connection_lost", note)
    request = GET if how == "kept" else LAST
    async with running(app) as address, unreading(address, request):
        await lost.wait()


async def test_a_slow_reader_has_its_answer_after_its_connection_was_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(closing, "UNREAD_SECONDS", 0.05)
    looks = 0

    def look(self: Any, before: int) -> None:
        nonlocal looks
        looks += 1
        look_unread(self, before + 1)  # as if something had been read since

    look_unread = closing.Closing._look
    monkeypatch.setattr(closing.Closing, "_look", look)
    app, size = App(), 2**25

    async def script(scope: Any, receive: Any, send: Any) -> None:
        await answer(send, b"x" * size)

    app.script = script
    async with running(app) as address, unreading(address, LAST) as client:
        while looks < 3:  # noqa: ASYNC110 - the timers have no event for it
            await asyncio.sleep(0)
        got = 0
        while piece := await asyncio.get_running_loop().sock_recv(client, 2**20):
            got += len(piece)
    assert got > size
