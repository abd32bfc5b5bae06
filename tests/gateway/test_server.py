"""The real server on a real socket: broken HTTP, the official SDK, ports, draining."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import openai
import orjson
import pytest

from tests.fake_server import HEAD, FakePool, FakeWorker, as_pool, framed
from tests.fakes import FakeBackend, Step, answer, chunk, forever, whole_answer
from trueup.backends.base import Backend
from trueup.backends.local import LocalBackend
from trueup.errors import BackendError, ConfigError
from trueup.gateway.app import Gateway
from trueup.gateway.auth import Access
from trueup.gateway.router import Served
from trueup.gateway.server import Server, listen, url_of
from trueup.gateway.serving import Serving

BODY = orjson.dumps(
    {"model": "demo", "messages": [{"role": "user", "content": "hi"}], "stream": True}
)
POST = (
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(BODY)
)
HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"


class Running:
    def __init__(self, server: Server, serving: Serving, address: tuple[str, int]) -> None:
        self.server = server
        self.serving = serving
        self.address = address
        self.url = f"http://{address[0]}:{address[1]}/v1"

    async def say(self, *pieces: bytes, close_write: bool = False) -> bytes:
        """All that is answered until the server closes."""
        reader, writer = await asyncio.open_connection(*self.address)
        for piece in pieces:
            writer.write(piece)
            with contextlib.suppress(ConnectionError):
                await writer.drain()
            await asyncio.sleep(0)
        if close_write:
            writer.write_eof()
        got = b""
        with contextlib.suppress(ConnectionError):
            got = await reader.read()
        writer.close()
        return got

    async def is_alive(self) -> bool:
        said = await self.say(HEALTH + b"Connection: close\r\n\r\n")
        return said.startswith(b"HTTP/1.1 200 OK")


@asynccontextmanager
async def running(
    backend: Backend, *, drain_seconds: float = 5, say: Callable[[str], None] | None = None
) -> AsyncIterator[Running]:
    serving = Serving()
    serving.router.open(Served(id="demo", kind="chat", backend=backend))
    listener = listen("127.0.0.1", 0)
    address = listener.getsockname()
    server = Server(Gateway(serving, Access(())), drain_seconds=drain_seconds, say=say)
    async with server.running(listener):
        yield Running(server, serving, address)


async def until_stopping(here: Running) -> None:
    while not here.server.should_exit:  # noqa: ASYNC110 - a signal has no event to wait for
        await asyncio.sleep(0)


def unchunked(response: bytes) -> bytes:
    """The body of a chunked response; its framing must be whole."""
    rest = response.partition(b"\r\n\r\n")[2]
    body = b""
    while True:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        if length == 0:
            assert rest == b"\r\n"
            return body
        body, rest = body + rest[:length], rest[length + 2 :]


@pytest.mark.parametrize("is_broken", [True, False])
async def test_a_stream_is_framed_to_its_end(is_broken: bool) -> None:
    broken: list[Step] = [chunk("a"), BackendError("x", retryable=True)]
    async with running(FakeBackend(broken if is_broken else answer("a"))) as here:
        said = await here.say(POST + b"Connection: close\r\n\r\n" + BODY)
    assert b"content-type: text/event-stream" in said
    body = unchunked(said)
    assert body.endswith(b"data: [DONE]\n\n")
    assert (b'"error"' in body) is is_broken


async def test_an_old_client_gets_the_stream_until_the_connection_closes() -> None:
    head = POST.replace(b"HTTP/1.1\r\nHost: localhost", b"HTTP/1.0") + b"\r\n"
    async with running(FakeBackend(answer("a"))) as here:
        said = await here.say(head + BODY)
    assert b"transfer-encoding" not in said.lower()
    assert said.endswith(b"data: [DONE]\n\n")


BROKEN_HTTP: dict[str, list[bytes]] = {
    "nonsense": [b"hello\r\n\r\n"],
    "binary": [bytes(range(256)) * 4],
    "TLS": [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64)],
    "an endless line": [b"GET /" + b"a" * 2**20],
    "an endless header": [b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 2**20],
    "a bad length": [
        b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n"
    ],
    "two lengths": [
        b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}"
    ],
    "a bad chunk": [
        b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n"
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"
    ],
    "no host": [b"GET /health HTTP/1.1\r\n\r\n"],
    "rubbish after a request": [POST + b"\r\n" + BODY, b"rubbish\r\n\r\n"],
}


@pytest.mark.parametrize("case", BROKEN_HTTP)
async def test_broken_http_is_refused_and_the_server_goes_on(case: str) -> None:
    async with running(FakeBackend(answer("a"))) as here:
        said = await here.say(*BROKEN_HTTP[case])
        assert said == b"" or said.startswith(b"HTTP/1.1 ")
        # Where much is left unread the kernel resets the connection, answer and all.
        assert b" 400 " in said or case in ("no host", "an endless line", "an endless header")
        assert await here.is_alive()


@pytest.mark.parametrize("is_length_stated", [True, False])
async def test_a_client_that_sends_too_much_reads_why(is_length_stated: bool) -> None:
    piece = b" " * 2**20
    length = b"Content-Length: %d" % (17 * 2**20) if is_length_stated else b""
    head = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    framing = length or b"Transfer-Encoding: chunked"
    pieces = [piece if is_length_stated else b"100000\r\n" + piece + b"\r\n"] * 17
    async with running(FakeBackend()) as here:
        reader, writer = await asyncio.open_connection(*here.address)
        reading = asyncio.create_task(reader.readuntil(b"}}"))
        writer.write(head + framing + b"\r\n\r\n")
        for each in pieces:
            writer.write(each)
            await writer.drain()
        assert (await reading).startswith(b"HTTP/1.1 413 ")
        writer.close()
        assert await here.is_alive()


@pytest.mark.parametrize("cut", [1, 30, len(POST) + 5])
async def test_a_request_that_is_cut_off_is_forgotten(cut: int) -> None:
    backend = FakeBackend(answer("a"))
    async with running(backend) as here:
        assert await here.say((POST + b"\r\n" + BODY)[:cut], close_write=True) == b""
        assert await here.is_alive()
    assert backend.open_count == 0


async def test_requests_in_a_row_are_answered_in_order_on_one_connection() -> None:
    async with running(FakeBackend(answer("a"))) as here:
        said = await here.say(
            HEALTH + b"\r\n" + POST + b"\r\n" + BODY + HEALTH + b"Connection: close\r\n\r\n"
        )
    assert said.count(b"HTTP/1.1 200 OK") == 3
    assert said.find(b'"status":"ok"') < said.find(b"[DONE]") < said.rfind(b'"status":"ok"')


async def test_head_has_the_headers_and_no_body() -> None:
    async with running(FakeBackend()) as here:
        said = await here.say(
            b"HEAD /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )
    assert said.startswith(b"HTTP/1.1 200 OK")
    assert said.endswith(b"\r\n\r\n")


async def test_a_client_that_asks_before_it_sends_its_body_is_told_to_go_on() -> None:
    async with running(FakeBackend(answer("a"))) as here:
        said = await here.say(POST + b"Expect: 100-continue\r\nConnection: close\r\n\r\n", BODY)
    assert said.startswith(b"HTTP/1.1 100 ")
    assert b"[DONE]" in said


@pytest.mark.parametrize("how", ["close", "reset", "half-close"])
async def test_a_connection_that_ends_cancels_the_worker(how: str, tmp_path: Path) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + framed(chunk("a"), is_ended=False))
        await worker.until_left(reader)

    worker = FakeWorker(script)
    pool = FakePool(tmp_path / "w.sock")
    backend = LocalBackend("demo", as_pool(pool))
    async with worker.listening(pool.socket_path), running(backend) as here:
        reader, writer = await asyncio.open_connection(*here.address)
        writer.write(POST + b"\r\n" + BODY)
        await reader.readuntil(b'"choices"')
        if how == "reset":
            writer.transport.abort()
        elif how == "half-close":
            writer.write_eof()
        else:
            writer.close()
        await worker.left.wait()
        await pool.released.wait()
        writer.close()
        assert pool.leases == 0
        assert await here.is_alive()


def sdk(here: Running) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=here.url, api_key="none", max_retries=0)


async def test_the_official_sdk_streams_and_does_not() -> None:
    async with running(FakeBackend(answer("你", "好"))) as here, sdk(here) as client:
        stream = await client.chat.completions.create(
            model="demo", messages=[{"role": "user", "content": "hi"}], stream=True
        )
        texts = [part.choices[0].delta.content or "" async for part in stream]
        assert "".join(texts) == "你好"
    json = {"content-type": "application/json"}
    async with (
        running(FakeBackend([whole_answer("hello")], headers=json)) as here,
        sdk(here) as client,
    ):
        whole = await client.chat.completions.create(
            model="demo", messages=[{"role": "user", "content": "hi"}]
        )
        assert whole.choices[0].message.content == "hello"
        assert [model.id async for model in client.models.list()] == ["demo"]


async def test_the_official_sdk_raises_what_the_server_says() -> None:
    async with running(FakeBackend([chunk("a")])) as here, sdk(here) as client:
        stream = await client.chat.completions.create(
            model="demo", messages=[{"role": "user", "content": "hi"}], stream=True
        )
        with pytest.raises(openai.APIError, match="without a finish reason"):
            async for _ in stream:
                pass
        with pytest.raises(openai.NotFoundError, match="`demo`"):
            await client.chat.completions.create(
                model="dem", messages=[{"role": "user", "content": ""}]
            )
        with pytest.raises(openai.BadRequestError, match="max_tokens"):
            await client.chat.completions.create(
                model="demo", messages=[{"role": "user", "content": "x"}], max_tokens=-1
            )


def test_a_port_in_use_is_told_with_its_owner() -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError) as caught:
            listen("127.0.0.1", port)
    assert f"port {port} is in use by" in caught.value.cause
    assert f"(pid {os.getpid()})" in caught.value.cause
    assert "--port" in str(caught.value.hint)


def test_a_host_that_is_none_of_ours_is_told() -> None:
    with pytest.raises(ConfigError, match="cannot be had"):
        listen("192.0.2.1", 0)
    with pytest.raises(ConfigError, match="cannot be resolved"):
        listen("no host", 0)


def test_urls_name_an_address_that_a_client_can_use() -> None:
    with listen("0.0.0.0", 0) as listener:
        assert url_of(listener).startswith("http://127.0.0.1:")
    if socket.has_ipv6:
        with contextlib.suppress(ConfigError), listen("::1", 0) as listener:
            assert url_of(listener).startswith("http://[::1]:")


async def test_sigterm_lets_a_running_answer_finish() -> None:
    going = asyncio.Event()

    async def wait() -> None:
        await going.wait()

    said: list[str] = []
    backend = FakeBackend([chunk("a"), wait, chunk("b"), chunk(finish="stop")])
    async with running(backend, say=said.append) as here:
        reader, writer = await asyncio.open_connection(*here.address)
        writer.write(POST + b"\r\n" + BODY)
        await reader.readuntil(b'"choices"')
        os.kill(os.getpid(), signal.SIGTERM)
        await until_stopping(here)
        going.set()
        rest = await reader.read()
        writer.close()
    assert b"[DONE]" in rest
    assert b'"error"' not in rest
    assert here.server.ended_by is signal.SIGTERM
    assert said == ["finishing 1 answer, up to 5 s; Ctrl-C again stops at once"]


@pytest.mark.parametrize("how", ["second signal", "time is up"])
async def test_an_answer_that_does_not_finish_is_ended_with_a_word(how: str) -> None:
    drain_seconds = 0.01 if how == "time is up" else 3600
    backend = FakeBackend([chunk("a"), forever])
    async with running(backend, drain_seconds=drain_seconds) as here:
        reader, writer = await asyncio.open_connection(*here.address)
        writer.write(POST + b"\r\n" + BODY)
        await reader.readuntil(b'"choices"')
        os.kill(os.getpid(), signal.SIGINT)
        if how == "second signal":
            await until_stopping(here)
            os.kill(os.getpid(), signal.SIGINT)
        rest = await reader.read()
        writer.close()
    assert b"server_stopping" in rest
    assert b"[DONE]" in rest
    assert backend.closed_count == 1


def test_as_many_files_are_taken_as_this_user_may_have() -> None:
    code = (
        "import resource; from trueup.gateway.server import raise_file_limit\n"
        "soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, hard), hard))\n"
        "raise_file_limit()\n"
        "assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
