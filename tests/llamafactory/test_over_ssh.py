"""The stand-in on a host over SSH: a real sshd on loopback, with keys of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.llamafactory.worker import Bench, counted, ended, is_gone, keeper_of, streamed
from tests.sshd import Sshd, sshd
from trueup.errors import BackendError

TEXT = "the answer goes on where it was, 一字不差 🙂"


@pytest.fixture
def server(bench: Bench) -> Iterator[Sshd]:
    """A host with a home of its own, and the stand-in."""
    home = bench.folder / "far"
    home.mkdir()
    (bench.folder / "sshd").mkdir()
    variables = {"HOME": home, "PYTHONPATH": bench.path, "FAKE_LOADS": bench.folder / "loads"}
    more = "SetEnv " + " ".join(f"{name}={value}" for name, value in variables.items()) + "\n"
    with sshd(bench.folder / "sshd", more) as found:
        yield found


async def test_many_chats_share_one_connection_and_one_worker(bench: Bench, server: Sshd) -> None:
    async with bench.backend(ssh=server.settings) as backend:
        answers = await asyncio.gather(*(streamed(backend, f"say {n} 你好") for n in range(5)))
        assert [each.text for each in answers] == [f"{n} 你好" for n in range(5)]
        (pid,) = bench.loads()
        keeper = keeper_of(pid)
        assert (await backend.health()).pid == pid
        folder = bench.folder / "far/.cache/trueup/llamafactory"
        assert keeper.cwd().startswith(str(folder))
        assert len(list(folder.glob("worker-*.pyz"))) == 1
        user = f"{server.settings.user}@127.0.0.1"
        assert bench.said[0].startswith(f"`far` is being loaded on {user}: 2.5 MB of weights")
        assert backend.address == f"{bench.base} on {user}"
    assert is_gone(pid)
    assert is_gone(keeper.pid)


@pytest.mark.parametrize("how", ["connection", "sshd"])
async def test_a_lost_connection_costs_neither_the_answer_nor_a_load(
    how: str, bench: Bench, server: Sshd
) -> None:
    async with bench.backend(ssh=server.settings) as backend:
        answering = asyncio.create_task(streamed(backend, f"hold {bench.gate} {TEXT}"))
        await counted(backend, leases=1)
        pid = (await backend.health()).pid
        if how == "connection":
            server.drop_connections()
        else:
            server.kill()
            server.start()
        bench.gate.touch()
        answer = await answering
        assert answer.text == TEXT
        assert answer.finish_reason == "stop"
        assert (await streamed(backend, "say next")).text == "next"
        assert (await backend.health()).pid == pid
        assert bench.loads() == [pid]
        assert bench.said[1:] == [
            "the connection to the worker of `far` dropped: reconnecting",
            "reconnected to the worker of `far`: its model stayed loaded",
        ]


async def test_a_host_that_stays_away_is_told_and_its_worker_ends_by_itself(
    bench: Bench, server: Sshd
) -> None:
    async with bench.backend(ssh=server.settings, lease_seconds=1.0) as backend:
        answering = asyncio.create_task(streamed(backend, f"hold {bench.gate} {TEXT}"))
        await counted(backend, leases=1)
        (pid,) = bench.loads()
        keeper = keeper_of(pid).pid
        server.kill()
        with pytest.raises(BackendError, match="nothing listens") as caught:
            await answering
        assert caught.value.retryable
        await ended(pid, keeper)
        with pytest.raises(BackendError, match="nothing listens"):
            await streamed(backend, "say hi")
        server.start()
        bench.gate.touch()
        assert (await streamed(backend, "say back")).text == "back"
        assert len(bench.loads()) == 2
