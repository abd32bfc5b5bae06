from __future__ import annotations

import asyncio
import contextlib
import gzip
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from tests.backends.far_end import Act, FarEnd, Talk, answer, close, reset, says_and_closes
from tests.fake_server import HEAD, framed
from trueup.backends import http_client
from trueup.backends.base import BackendRequest
from trueup.backends.openai_compatible import OpenAICompatibleBackend
from trueup.backends.registry import open_backend
from trueup.config.secret import Secret
from trueup.config.settings import BackendSettings, LimitSettings
from trueup.errors import BackendError, ConfigError, RequestError
from trueup.gateway.blame import blamed_on

KEY = "sk-very-secret"
REQUEST = BackendRequest(
    request_id="r1", path="/v1/chat/completions", body=b'{"model":"m"}', is_stream=True
)
STREAM = HEAD + framed(b"data: 1\n\n", b"data: 2\n\n")


@asynccontextmanager
async def asking(
    *acts: Act, looks: dict[str, bytes] | None = None, **settings: Any
) -> AsyncIterator[tuple[OpenAICompatibleBackend, FarEnd]]:
    async with FarEnd(acts or (STREAM,), looks or {}).listening() as far:
        given = {"url": far.url, "api_key": Secret(KEY), **settings}
        backend = open_backend(BackendSettings(name="xin", **given))
        try:
            yield backend, far
        finally:
            await backend.close()


async def read(
    backend: OpenAICompatibleBackend, note: Callable[[bytes], None] = lambda piece: None
) -> bytes:
    """The whole body; `note` gets each piece as it comes."""
    pieces = []
    async with backend.open(REQUEST) as response:
        async for piece in response.body:
            pieces.append(piece)
            note(piece)
    return b"".join(pieces)


UNFRAMED = b"HTTP/1.1 200 OK\r\n\r\ndata: 1\n\n"


@pytest.mark.parametrize(("wire", "is_framed"), [(STREAM, True), (UNFRAMED, False)])
async def test_it_is_told_whether_a_body_has_a_frame(wire: bytes, is_framed: bool) -> None:
    async with (
        asking(says_and_closes(wire)) as (backend, _),
        backend.open(REQUEST) as response,
    ):
        assert response.is_framed is is_framed


async def test_bytes_go_through_both_ways_as_they_are() -> None:
    async with asking() as (backend, far), backend.open(REQUEST) as response:
        assert (response.status, response.headers["content-type"]) == (200, "text/event-stream")
        assert b"".join([p async for p in response.body]) == b"data: 1\n\ndata: 2\n\n"
        (asked,) = far.asked
        assert (asked.path, asked.body) == ("/v1/chat/completions", REQUEST.body)
        sent = asked.headers
        assert sent["authorization"] == f"Bearer {KEY}"
        assert sent["content-type"] == "application/json"
        assert sent["accept-encoding"] == "identity"
        assert sent["x-request-id"] == "r1"


async def test_without_a_key_none_is_sent() -> None:
    async with asking(api_key=None) as (backend, far):
        await read(backend)
        assert "authorization" not in far.asked[0].headers


@pytest.mark.parametrize(
    ("end", "path"),
    [
        ("", "/v1/chat/completions"),
        ("/", "/v1/chat/completions"),
        ("/v1", "/v1/chat/completions"),
        ("/v1/", "/v1/chat/completions"),
        ("/v1/chat/completions", "/v1/chat/completions"),
        ("/api/paas/v4", "/api/paas/v4/chat/completions"),
    ],
)
async def test_a_url_is_meant_as_people_write_it(end: str, path: str) -> None:
    async with FarEnd((STREAM,)).listening() as far:
        backend = open_backend(BackendSettings(name="x", url=f"{far.url}{end}"))
        assert await read(backend) == b"data: 1\n\ndata: 2\n\n"
        assert far.asked[0].path == path
        await backend.close()


@pytest.mark.parametrize(
    "url",
    ["", "xin", "127.0.0.1:8000", "ftp://h/v1", "http://", "http://h:0/v1", "http://h:x/v1",
     "http://me:sk-very-secret@h/v1", "http://h/v1?key=sk-very-secret"],
)  # fmt: skip
def test_what_is_no_url_of_a_server_is_refused_and_no_key_in_it_repeated(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        open_backend(BackendSettings(name="x", url=url, place="c.yaml:3: backends.x"))
    assert caught.value.where == "c.yaml:3: backends.x"
    assert KEY not in caught.value.cause


async def test_a_status_is_no_exception() -> None:
    busy = answer(b"{}", status="429 Too Many Requests", head=b"Retry-After: 7\r\n")
    async with asking(busy) as (backend, _), backend.open(REQUEST) as response:
        assert (response.status, response.headers["retry-after"]) == (429, "7")


async def test_a_redirect_is_not_followed() -> None:
    away = answer(status="307 Temporary Redirect", head=b"location: /elsewhere\r\n")
    async with asking(away) as (backend, far):
        async with backend.open(REQUEST) as response:
            assert response.status == 307
        assert len(far.asked) == 1


@pytest.mark.parametrize(
    ("act", "code", "cause"),
    [
        (close, "backend_closed", "gave no answer: its connection closed"),
        (reset, "backend_closed", "gave no answer: its connection was reset"),
        (says_and_closes(b"HTTP/1.1 200 OK\r\nconte"), "backend_closed", "its connection closed"),
        (says_and_closes(b"hello\r\n\r\n"), "backend_closed", "no HTTP that can be read"),
        (says_and_closes(b"HTTP/1.1 200 OK\r\nx: " + b"a" * 2**17 + b"\r\n\r\n"),
         "backend_closed", "no HTTP that can be read"),
        (says_and_closes(HEAD), "backend_broke_off", "its connection closed"),
        (says_and_closes(HEAD + framed(b"data: 1\n\n", is_ended=False)),
         "backend_broke_off", "its connection closed"),
        (says_and_closes(HEAD + b"ff\r\ndata: 1"), "backend_broke_off", "its connection closed"),
        (says_and_closes(b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhello"),
         "backend_broke_off", "its connection closed"),
        (answer(b"hello", head=b"content-encoding: gzip\r\n"),
         "backend_broke_off", "its compressed body cannot be read"),
    ],
)  # fmt: skip
async def test_a_connection_that_breaks_is_told_in_our_words(
    act: Act, code: str, cause: str
) -> None:
    async with asking(act) as (backend, far):
        with pytest.raises(BackendError) as caught:
            await read(backend)
    error = caught.value
    assert (error.code, error.retryable, error.where) == (code, True, "xin")
    assert error.cause.startswith(f"`xin` at {far.url}/v1 ")
    assert error.cause.endswith(cause)
    assert len(far.asked) == 1


@pytest.mark.parametrize("is_after_text", [True, False])
async def test_a_bad_chunk_size_is_an_error_or_can_be_left(is_after_text: bool) -> None:
    async def act(talk: Talk) -> None:
        talk.say(HEAD)
        if is_after_text:
            talk.say(framed(b"data: 1\n\n", is_ended=False))
            await talk.writer.drain()
            await got.wait()
        talk.say(b"zz\r\ndata: 2\r\n")
        await talk.until_left()
        left.set()

    got, left = asyncio.Event(), asyncio.Event()
    async with asking(act) as (backend, _):
        # The parser may wait for more without end: whoever watches must be able to leave.
        with pytest.raises((BackendError, TimeoutError)):
            await asyncio.wait_for(read(backend, lambda piece: got.set()), 1)
        await asyncio.wait_for(left.wait(), 10)


async def test_a_reset_in_the_body_is_told() -> None:
    async def act(talk: Talk) -> None:
        talk.say(HEAD + framed(b"data: 1\n\n", is_ended=False))
        await got.wait()
        talk.reset()

    def note(piece: bytes) -> None:
        pieces.append(piece)
        got.set()

    got, pieces = asyncio.Event(), list[bytes]()
    async with asking(act) as (backend, _):
        with pytest.raises(BackendError, match="broke off") as caught:
            await read(backend, note)
        assert caught.value.code == "backend_broke_off"
        assert pieces == [b"data: 1\n\n"]


async def test_nobody_there_is_told() -> None:
    async with FarEnd(()).listening() as far:
        pass
    backend = open_backend(BackendSettings(name="xin", url=far.url))
    with pytest.raises(BackendError, match="cannot be reached: connection refused") as caught:
        await read(backend)
    assert (caught.value.code, caught.value.retryable) == ("backend_unreachable", True)
    assert (await backend.health()).state == "failed"
    await backend.close()


async def test_a_host_without_an_address_is_told() -> None:
    backend = open_backend(BackendSettings(name="xin", url="http://nowhere.invalid"))
    with pytest.raises(BackendError, match="its host is not known") as caught:
        await read(backend)
    assert caught.value.code == "backend_unreachable"
    await backend.close()


async def test_tls_that_is_none_is_told() -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()
        left.set()

    left = asyncio.Event()
    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    backend = open_backend(BackendSettings(name="xin", url=f"https://127.0.0.1:{port}"))
    with pytest.raises(BackendError, match="no TLS connection") as caught:
        await read(backend)
    assert caught.value.code == "backend_unreachable"
    await backend.close()
    await left.wait()
    server.close()
    await server.wait_closed()


async def test_connecting_has_its_limit() -> None:
    # A full backlog: the kernel answers no further connection.
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        port = deaf.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        for each in fillers:
            each.setblocking(False)
            each.connect_ex(("127.0.0.1", port))
        limits = LimitSettings(connect_seconds=0.05)
        backend = open_backend(
            BackendSettings(name="xin", url=f"http://127.0.0.1:{port}", limits=limits)
        )
        with pytest.raises(BackendError, match="took too long to connect") as caught:
            await read(backend)
        assert caught.value.code == "backend_unreachable"
        await backend.close()
        for each in fillers:
            each.close()


async def test_a_compressed_body_is_read() -> None:
    packed = answer(gzip.compress(b"data: 1\n\n"), head=b"content-encoding: gzip\r\n")
    async with asking(packed) as (backend, _):
        assert await read(backend) == b"data: 1\n\n"


async def test_a_line_of_a_megabyte_goes_through() -> None:
    line = b"data: " + b"x" * 2**20 + b"\n\n"
    async with asking(HEAD + framed(line)) as (backend, _):
        assert await read(backend) == line


async def test_a_body_of_megabytes_is_sent_whole() -> None:
    large = replace(REQUEST, body=b"x" * (3 * 2**20 + 1))
    async with asking(STREAM, close, STREAM) as (backend, far):
        await read(backend)
        async with backend.open(large) as response:  # on the dead connection, then on a new one
            assert response.status == 200
        assert [each.body == large.body for each in far.asked] == [False, True, True]


async def test_a_connection_is_used_again_after_a_whole_answer() -> None:
    async with asking() as (backend, far):
        await backend.look()
        await read(backend)
        await read(backend)
        assert [each.connection for each in far.asked] == [0, 0]


async def test_a_connection_is_not_used_again_after_a_server_error() -> None:
    broken = answer(b"Internal Server Error", status="500 Internal Server Error")
    async with asking(broken, STREAM) as (backend, far):
        await backend.look()
        assert await read(backend) == b"Internal Server Error"
        await read(backend)
        first, second = (each.connection for each in far.asked)
        assert first != second


@pytest.mark.parametrize("end", [close, reset])
async def test_an_idle_connection_that_died_costs_one_more_try(end: Act) -> None:
    async with asking(STREAM, end, STREAM) as (backend, far):
        await backend.look()
        await read(backend)
        assert await read(backend) == b"data: 1\n\ndata: 2\n\n"
        assert [each.connection for each in far.asked] == [0, 0, 1]


async def test_an_answer_that_was_left_unread_spoils_its_connection() -> None:
    # More than is held: reading pauses, and the rest of it is in the same read of the socket.
    long = HEAD + framed(b"x" * (2**18 + 1))
    async with asking(long, STREAM) as (backend, _):
        await backend.look()
        async with backend.open(REQUEST) as response:
            answer: Any = response.body
            async with asyncio.timeout(30):
                while not answer._answer.is_complete:  # noqa: ASYNC110  nobody tells
                    await asyncio.sleep(0)
        assert await asyncio.wait_for(read(backend), 10) == b"data: 1\n\ndata: 2\n\n"


async def test_a_name_that_cannot_be_one_is_told() -> None:
    backend = open_backend(BackendSettings(name="xin", url=f"http://{'a' * 70}.example"))
    with pytest.raises(BackendError, match="its host is not known") as caught:
        await read(backend)
    assert caught.value.code == "backend_unreachable"
    await backend.close()


async def test_only_one_more_try_is_made() -> None:
    async with asking(STREAM, close) as (backend, far):
        await read(backend)
        with pytest.raises(BackendError, match="gave no answer"):
            await read(backend)
        assert len(far.asked) == 3


async def test_a_request_that_was_worked_on_is_not_sent_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def work_and_die(talk: Talk) -> None:
        await asyncio.sleep(0.02)
        talk.reset()

    monkeypatch.setattr(http_client, "GIVEN_UP_SECONDS", 0.01)
    async with asking(STREAM, work_and_die) as (backend, far):
        await read(backend)
        with pytest.raises(BackendError):
            await read(backend)
        assert len(far.asked) == 2


async def test_an_answer_that_has_begun_is_not_asked_for_again() -> None:
    async with asking(STREAM, says_and_closes(b"HTTP/1.1 200 OK\r\nconte")) as (backend, far):
        await read(backend)
        with pytest.raises(BackendError, match="gave no answer"):
            await read(backend)
        assert len(far.asked) == 2


@pytest.mark.parametrize("is_begun", [True, False])
async def test_leaving_closes_the_connection(is_begun: bool) -> None:
    async def act(talk: Talk) -> None:
        if is_begun:
            talk.say(HEAD + framed(b"data: 1\n\n", is_ended=False))
        reached.set()
        await talk.until_left()
        left.set()

    reached, left = asyncio.Event(), asyncio.Event()
    async with asking(act) as (backend, _):
        task = asyncio.create_task(read(backend))
        await reached.wait()
        task.cancel()
        await asyncio.wait_for(left.wait(), 10)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await backend.health()).leases == 0


async def test_leaving_a_server_that_does_not_read_drops_what_was_not_sent() -> None:
    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        reached.set()
        await left.wait()
        writer.transport.abort()

    reached, left = asyncio.Event(), asyncio.Event()
    large = replace(REQUEST, body=b"x" * 2**25)
    server = await asyncio.start_server(deaf, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    backend = open_backend(BackendSettings(name="xin", url=f"http://127.0.0.1:{port}"))
    task = asyncio.ensure_future(backend.open(large).__aenter__())
    await reached.wait()
    for _ in range(1000):  # until nothing more fits into the sockets
        await asyncio.sleep(0)
    sockets = len(os.listdir("/dev/fd"))
    task.cancel()
    await asyncio.wait((task,))
    await asyncio.sleep(0)
    assert len(os.listdir("/dev/fd")) == sockets - 1
    left.set()
    await backend.close()
    server.close()
    await server.wait_closed()


async def test_leaving_a_body_unread_closes_the_connection() -> None:
    async def act(talk: Talk) -> None:
        talk.say(HEAD + framed(b"data: 1\n\n", is_ended=False))
        await talk.until_left()
        left.set()

    left = asyncio.Event()
    async with asking(act) as (backend, _):
        async with backend.open(REQUEST) as response:
            assert response.status == 200
        await asyncio.wait_for(left.wait(), 10)


async def test_the_key_is_shown_nowhere(capfd: pytest.CaptureFixture[str]) -> None:
    async with asking(close) as (backend, _):
        with pytest.raises(BackendError) as caught:
            await read(backend)
        error: BaseException | None = caught.value
        shown = [repr(backend), str(backend), repr(backend.__dict__), str(await backend.health())]
        while error is not None:
            shown += [str(error), repr(error)]
            error = error.__cause__
    assert KEY not in "".join(shown)
    assert KEY not in "".join(capfd.readouterr())


async def test_an_answer_that_nobody_asked_for_is_nobodys() -> None:
    talks: list[Talk] = []

    async def first(talk: Talk) -> None:
        talks.append(talk)
        talk.say(answer(b"right"))

    async with asking(first, answer(b"right as well")) as (backend, far):
        await backend.look()  # now, and not on the connection that is looked at below
        assert await read(backend) == b"right"
        talks[0].say(answer(b"stale"))
        assert backend._open_client is not None
        kept = tuple(backend._open_client._idle)
        async with asyncio.timeout(30):
            while all(each.is_usable for each in kept):  # noqa: ASYNC110  nobody tells
                await asyncio.sleep(0)
        assert await read(backend) == b"right as well"
        assert far.asked[1].connection != far.asked[0].connection


def test_the_key_is_taken_out_of_what_a_server_says() -> None:
    settings = BackendSettings(
        name="far", url="http://127.0.0.1:1", api_key=Secret("sk-very-secret")
    )
    backend = open_backend(settings)
    assert backend.conceal("bad header `Bearer sk-very-secret`") == "bad header `Bearer ***`"
    told = blamed_on(RequestError("no sk-very-secret", status=401, param=None), backend)
    assert "sk-very-secret" not in str(told)
    without = open_backend(BackendSettings(name="far", url="http://127.0.0.1:1"))
    assert without.conceal("as it is") == "as it is"
