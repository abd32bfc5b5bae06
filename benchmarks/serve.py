"""What the server adds: CPU per streamed token, and the time until it answers at all.

`python benchmarks/serve.py` prints one JSON object. A fast stand-in for a worker, a client and
the server run in processes of their own; only the server's CPU time is counted, from
/proc/PID/stat, with uvicorn, the local backend and a Unix socket as in use.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import multiprocessing
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from multiprocessing.synchronize import Event
from pathlib import Path
from types import SimpleNamespace
from typing import Any

CHUNK = (
    b'data: {"id":"chatcmpl-0123456789abcdef01234567","object":"chat.completion.chunk",'
    b'"created":1700000000,"model":"demo","choices":[{"index":0,"delta":{"content":" word"},'
    b'"logprobs":null,"finish_reason":%s}],"trueup":{"position":17,"token_ids":[12345]}}\n\n'
)
BODY = json.dumps(
    {
        "model": "demo",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
        "max_tokens": 100000,
    }
).encode()
REQUEST = (
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
)
GOAL_TOKEN_MICROSECONDS = 60.0
GOAL_START_RATIO = 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=1000, help="of each stream")
    parser.add_argument("--pause-ms", type=float, default=10.0, help="between a stream's tokens")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    costs = sorted(
        token_microseconds(arguments.streams, arguments.tokens, arguments.pause_ms / 1000)
        for _ in range(arguments.repeats)
    )
    ratios = sorted(start_ratio() for _ in range(arguments.repeats))
    middle = arguments.repeats // 2
    print(
        json.dumps(
            {
                "cpu_microseconds_per_token": round(costs[middle], 1),
                "cpu_microseconds_per_token_all": [round(cost, 1) for cost in costs],
                "token_goal": GOAL_TOKEN_MICROSECONDS,
                "health_over_import_of_torch_and_transformers": round(ratios[middle], 3),
                "start_goal": GOAL_START_RATIO,
                "streams": arguments.streams,
                "tokens_per_stream": arguments.tokens,
            }
        )
    )
    sys.exit(costs[middle] > GOAL_TOKEN_MICROSECONDS or ratios[middle] > GOAL_START_RATIO)


def token_microseconds(streams: int, tokens: int, pause: float) -> float:
    """CPU of the server process for each token that it passed on."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="trueup-") as folder, socket.socket() as listener:
        path = Path(folder) / "worker.sock"
        listener.bind(("127.0.0.1", 0))
        listener.listen(streams)
        ready = context.Event()
        worker = context.Process(target=run_worker, args=(path, tokens, pause, ready))
        worker.start()
        ready.wait()
        server = context.Process(target=run_server, args=(path, listener.dup()))
        server.start()
        try:
            address = listener.getsockname()
            asyncio.run(ask(address, 1))  # imports and first-time costs are no token's
            assert server.pid is not None
            before = cpu_seconds(server.pid)
            chunks = sum(asyncio.run(ask(address, streams)))
            spent = cpu_seconds(server.pid) - before
        finally:
            for process in (server, worker):
                process.terminate()
                process.join()
    if chunks != streams * (tokens + 1):
        raise SystemExit(f"{chunks} chunks arrived, expected {streams * (tokens + 1)}")
    return spent / chunks * 1e6


async def ask(address: tuple[str, int], streams: int) -> list[int]:
    """The number of chunks that each of so many concurrent streams got."""
    return await asyncio.gather(*(_ask_one(address) for _ in range(streams)))


async def _ask_one(address: tuple[str, int]) -> int:
    reader, writer = await asyncio.open_connection(*address, limit=2**20)
    writer.write(REQUEST)
    chunks, rest = 0, b""
    while b"[DONE]" not in rest:
        piece = await reader.read(2**16)
        if not piece:
            raise SystemExit(f"the stream ended early: {rest!r}")
        chunks += piece.count(b'"choices"')
        rest = rest[-16:] + piece
    writer.close()
    return chunks


def run_worker(path: Path, tokens: int, pause: float, ready: Event) -> None:
    """A worker that makes tokens at a steady pace, each in a write of its own."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
            b"transfer-encoding: chunked\r\n\r\n"
        )
        chunk, last = CHUNK % b"null", CHUNK % b'"stop"' + b"data: [DONE]\n\n"
        for _ in range(tokens):
            writer.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            await asyncio.sleep(pause)
        writer.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(last), last))
        await writer.drain()
        writer.close()

    async def serve() -> None:
        server = await asyncio.start_unix_server(answer, path)
        ready.set()
        await server.serve_forever()

    asyncio.run(serve())


def run_server(path: Path, listener: socket.socket) -> None:
    """The gateway with a local backend whose pool has one worker, always loaded."""
    from trueup.backends.local import LocalBackend
    from trueup.gateway.app import Gateway
    from trueup.gateway.auth import Access
    from trueup.gateway.router import Served
    from trueup.gateway.server import Server
    from trueup.gateway.serving import Serving

    class LoadedPool:
        @asynccontextmanager
        async def lease(self, model_id: str, *, client: str) -> AsyncIterator[Any]:
            yield SimpleNamespace(model_id=model_id, socket_path=path)

    async def serve() -> None:
        serving = Serving()
        pool: Any = LoadedPool()
        serving.router.open(Served(id="demo", kind="chat", backend=LocalBackend("demo", pool)))
        server = Server(Gateway(serving, Access(()), log=io.StringIO()), drain_seconds=0)
        listener.setblocking(False)
        async with server.running(listener) as ended:
            await asyncio.wait((ended,))

    asyncio.run(serve())


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, all threads, to a microsecond or a clock tick."""
    ticks = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(ticks[11]) + int(ticks[12])) / os.sysconf("SC_CLK_TCK")


def start_ratio() -> float:
    """Wall time until `trueup serve` answers /health, over that of importing torch and co."""
    imports = timed(
        lambda: subprocess.run([sys.executable, "-c", "import torch, transformers"], check=True)
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    began = time.perf_counter()
    server = subprocess.Popen(
        [sys.executable, "-m", "trueup", "serve", "--port", str(port), "--quiet"]
    )
    try:
        while not is_healthy(port):
            time.sleep(0.002)
        started = time.perf_counter() - began
    finally:
        server.terminate()
        server.wait()
    return started / imports


def timed(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def is_healthy(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(b"GET /health HTTP/1.0\r\n\r\n")
            return connection.recv(15).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


if __name__ == "__main__":
    main()
