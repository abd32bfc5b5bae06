from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.fake_server import HEAD, FakePool, FakeWorker, Script, as_pool, framed
from trueup.backends.base import BackendRequest
from trueup.backends.local import LocalBackend
from trueup.errors import BackendError, CapacityError

REQUEST = BackendRequest(
    request_id="r1", path="/v1/chat/completions", body=b'{"a":1}', is_stream=True, client="c"
)


def says(*pieces: bytes) -> Script:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.writelines(pieces)
        await writer.drain()

    return script


@asynccontextmanager
async def backend(folder: Path, worker: FakeWorker) -> AsyncIterator[tuple[LocalBackend, FakePool]]:
    pool = FakePool(folder / "w.sock")
    async with worker.listening(pool.socket_path):
        yield LocalBackend("demo", as_pool(pool)), pool


async def read(local: LocalBackend) -> bytes:
    async with local.open(REQUEST) as response:
        return b"".join([piece async for piece in response.body])


async def test_the_body_goes_through_as_it_is(tmp_path: Path) -> None:
    worker = FakeWorker(says(HEAD, framed(b"data: 1\n\n", b"data: 2\n\n")))
    async with backend(tmp_path, worker) as (local, pool):
        async with local.open(REQUEST) as response:
            assert (response.status, response.headers["content-type"]) == (200, "text/event-stream")
            assert pool.leases == 1
            assert b"".join([p async for p in response.body]) == b"data: 1\n\ndata: 2\n\n"
        assert pool.leases == 0
        assert worker.requests == [b'{"a":1}']
        assert pool.clients == ["c"]


async def test_a_status_is_no_exception(tmp_path: Path) -> None:
    plain = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\nX-A: b\r\n\r\n{}"
    async with backend(tmp_path, FakeWorker(says(plain))) as (local, _):  # noqa: SIM117
        async with local.open(REQUEST) as response:
            assert (response.status, response.headers["x-a"]) == (400, "b")


@pytest.mark.parametrize(
    "script",
    {
        "closed before headers": (b"",),
        "no HTTP": (b"hello\r\n\r\n",),
        "closed in the headers": (b"HTTP/1.1 200 OK\r\ncontent-",),
        "closed in the body": (HEAD, framed(b"data: 1\n\n", is_ended=False)),
        "closed in a piece": (HEAD, b"ff\r\ndata: 1"),
        "a bad size": (HEAD, b"zz\r\ndata: 1\r\n"),
    }.values(),
)
async def test_a_connection_that_breaks_is_a_backend_error(
    script: tuple[bytes, ...], tmp_path: Path
) -> None:
    async with backend(tmp_path, FakeWorker(says(*script))) as (local, pool):
        with pytest.raises(BackendError) as caught:
            await read(local)
        assert caught.value.retryable
        assert "`demo`" in caught.value.cause
        assert pool.leases == 0


async def test_a_worker_that_is_not_there_is_a_backend_error(tmp_path: Path) -> None:
    pool = FakePool(tmp_path / "none.sock")
    with pytest.raises(BackendError, match="did not answer"):
        await read(LocalBackend("demo", as_pool(pool)))
    assert pool.leases == 0


@pytest.mark.parametrize("script", [(), (b"HTTP/1.1 200 OK\r\n",)])
async def test_a_worker_that_ended_before_it_answered_is_replaced(
    script: tuple[bytes, ...], tmp_path: Path
) -> None:
    fresh = FakeWorker(says(HEAD, framed(b"data: 1\n\n")))
    async with (
        backend(tmp_path, FakeWorker(says(*script))) as (local, pool),
        fresh.listening(tmp_path / "fresh.sock"),
    ):
        pool.replacement = tmp_path / "fresh.sock"
        assert await read(local) == b"data: 1\n\n"
        assert fresh.requests == [REQUEST.body]
        assert pool.leases == 0


async def test_only_one_worker_is_replaced(tmp_path: Path) -> None:
    pool = FakePool(tmp_path / "none.sock")
    pool.replacement = tmp_path / "none either.sock"
    with pytest.raises(BackendError, match="did not answer"):
        await read(LocalBackend("demo", as_pool(pool)))
    assert pool.leases == 0


async def test_an_answer_that_has_begun_is_not_asked_for_again(tmp_path: Path) -> None:
    worker = FakeWorker(says(HEAD, framed(b"data: 1\n\n", is_ended=False)))
    async with backend(tmp_path, worker) as (local, pool):
        pool.replacement = pool.socket_path
        with pytest.raises(BackendError, match="broke off"):
            await read(local)
        assert len(worker.requests) == 1


async def test_what_the_pool_refuses_is_told_as_it_is(tmp_path: Path) -> None:
    pool = FakePool(tmp_path / "w.sock", CapacityError("full", status=429))
    with pytest.raises(CapacityError, match="full"):
        await read(LocalBackend("demo", as_pool(pool)))


@pytest.mark.parametrize("is_begun", [True, False])
async def test_leaving_closes_the_connection(is_begun: bool, tmp_path: Path) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if is_begun:
            writer.write(HEAD + framed(b"data: 1\n\n", is_ended=False))
        reached.set()
        await worker.until_left(reader)

    reached = asyncio.Event()
    worker = FakeWorker(script)
    async with backend(tmp_path, worker) as (local, pool):
        task = asyncio.create_task(read(local))
        await reached.wait()
        task.cancel()
        await worker.left.wait()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert pool.leases == 0


async def test_health_is_the_pools_word(tmp_path: Path) -> None:
    pool = as_pool(FakePool(tmp_path / "w.sock"))
    health = await LocalBackend("demo", pool).health()
    assert (health.state, health.memory_bytes, health.pid) == ("ready", 5, 1)
    assert (await LocalBackend("other", pool).health()).state == "stopped"
