"""A gateway and its pool, whose workers are killed under the answers that a client reads."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from tests.pool.processes import get_health
from tests.resume.recording import GATES, OPEN, Fault, Recorded, read_records
from tests.resume.reference import demo_plan, text_of
from trueup.backends.local import LocalBackend
from trueup.gateway.app import Gateway
from trueup.gateway.auth import Access
from trueup.gateway.retry import RetryPolicy
from trueup.gateway.router import Served
from trueup.gateway.server import Server, listen, url_of
from trueup.gateway.serving import Serving
from trueup.pool.launcher import ProcessLauncher
from trueup.pool.pool import Pool


@dataclass
class Received:
    """What a client got in one stream."""

    texts: dict[int, str] = field(default_factory=dict)
    reasons: dict[int, str] = field(default_factory=dict)
    roles: Counter[int] = field(default_factory=Counter)
    ids: set[str] = field(default_factory=set)
    notes: list[Any] = field(default_factory=list)
    usage: Any = None
    errors: list[Any] = field(default_factory=list)
    is_done: bool = False
    text_chunks: int = 0
    kills: int = 0

    def take(self, data: bytes) -> None:
        assert not self.is_done, "an event after [DONE]"
        if data == b"[DONE]":
            self.is_done = True
            return
        chunk = orjson.loads(data)
        if "error" in chunk:
            self.errors.append(chunk["error"])
            return
        self.ids.add(chunk["id"])
        if chunk.get("usage"):
            self.usage = chunk["usage"]
        if "trueup" in chunk:
            self.notes.append(chunk["trueup"])
        for choice in chunk["choices"]:
            index, text = choice["index"], text_of(choice)
            self.roles[index] += "role" in choice.get("delta", ())
            assert index not in self.reasons or not text, "text after the finish"
            self.texts[index] = self.texts.get(index, "") + text
            self.text_chunks += bool(text)
            if choice["finish_reason"]:
                assert index not in self.reasons, "a second finish"
                self.reasons[index] = choice["finish_reason"]


class Bench:
    """A gateway with one model, `demo`, and the records of its workers."""

    def __init__(
        self, pool: Pool, session: aiohttp.ClientSession, record: Path, gates: Path
    ) -> None:
        self.pool = pool
        self._session = session
        self._record = record
        self._gates = gates
        self._read_bytes = 0
        # Every record of every worker so far.
        self.decoded: Counter[int] = Counter()

    @property
    def pid(self) -> int:
        """The worker that runs now."""
        (model,) = self.pool.snapshot()
        assert model.pid is not None
        return model.pid

    def records(self) -> list[Recorded]:
        """What was recorded since the last call."""
        data = self._record.read_bytes()[self._read_bytes :]
        self._read_bytes += len(data)
        records = read_records(data)
        self.decoded.update(each.pid for each in records)
        return records

    async def pid_other_than(self, pid: int | None) -> int:
        """The number of the next worker, as soon as it has one."""
        while (now := self.pool.snapshot()[0].pid) in (None, pid):  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        assert now is not None
        return now

    async def first_record(self) -> None:
        """Wait until a worker has made a token."""
        while not self._record.stat().st_size:  # noqa: ASYNC110 (a file of another process)
            await asyncio.sleep(0.001)

    async def health(self) -> dict[str, Any]:
        async with self.pool.lease("demo") as worker:
            return await asyncio.to_thread(get_health, worker.socket_path)

    def gate(self, seed: int, *, is_open: bool) -> None:
        with self._gates.open("r+b") as file:
            file.seek(seed % GATES)
            file.write(OPEN if is_open else b"0")

    async def ask(self, path: str, body: Mapping[str, Any], kills: Sequence[int]) -> Received:
        """Read a streamed answer; kill the worker after so many chunks with text, each time."""
        received, left = Received(), sorted(kills)
        if left:
            self.gate(body["seed"], is_open=False)
        shape = {**body, "stream": True, "stream_options": {"include_usage": True}}
        async with self._session.post(path, json=shape) as response:
            assert response.status == 200, await response.text()
            async for event in _events(response):
                received.take(event)
                if left and received.text_chunks == left[0]:
                    del left[0]
                    os.kill(self.pid, signal.SIGKILL)
                    # Not before: an answer that waits for its gate would end.
                    self.gate(body["seed"], is_open=not left)
                    received.kills += 1
        return received


async def _events(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    rest = b""
    # A body that is cut off raises.
    async for piece in response.content.iter_any():
        *events, rest = (rest + piece).split(b"\n\n")
        for event in events:
            if event.startswith(b"data: "):  # the others are heartbeats
                yield event.removeprefix(b"data: ")
    assert not rest


@asynccontextmanager
async def bench(dtype: str = "float32", fault: Fault = "none") -> AsyncIterator[Bench]:
    """A listening gateway whose workers have the fault."""
    with _files() as (record, gates):
        command = (
            *(sys.executable, "-m", "tests.resume.recording_forkserver"),
            *(str(record), str(gates), fault),
        )
        launcher = ProcessLauncher(fork_command=command)
        async with (
            Pool(launcher=launcher) as pool,
            _listening(pool, dtype) as url,
            aiohttp.ClientSession(url) as session,
        ):
            yield Bench(pool, session, record, gates)
        assert launcher.forks, "the recording engine is in the fork-server alone"


@contextmanager
def _files() -> Iterator[tuple[Path, Path]]:
    with tempfile.TemporaryDirectory(prefix="trueup-") as directory:
        record, gates = Path(directory, "record"), Path(directory, "gates")
        record.touch()
        gates.write_bytes(OPEN * GATES)
        yield record, gates


@asynccontextmanager
async def _listening(pool: Pool, dtype: str) -> AsyncIterator[str]:
    plan = demo_plan(dtype)
    pool.add("demo", plan)
    local = LocalBackend("demo", pool, is_exact=dtype == "float32")
    serving = Serving(policy=RetryPolicy(first_pause_seconds=0))
    serving.router.open(Served(id="demo", kind="chat", backend=local, plan=plan.as_dict()))
    server = Server(Gateway(serving, Access([])), drain_seconds=0)
    with closing(listen("127.0.0.1", 0)) as listener:
        url = url_of(listener)
        async with server.running(listener):
            yield url
