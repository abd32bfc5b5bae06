from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.pool.processes import (
    FORK_SERVER,
    LIMIT_SECONDS,
    ask,
    descendants,
    fake_launcher,
    get_health,
    is_alive,
    open_files,
    wait_for_end,
)
from tests.worker.fake_engine import fake_plan
from trueup import events
from trueup.errors import BackendError, CapacityError
from trueup.pool.event import TimePassed
from trueup.pool.pool import Pool

HOW = pytest.mark.parametrize("forks", [False, True], ids=["spawned", "forked"])


@pytest.fixture(autouse=True)
def tests_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    root = str(Path(__file__).parent.parent.parent)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([root, *sys.path]))


@asynccontextmanager
async def a_pool(*, forks: bool = True, **changes: object) -> AsyncIterator[Pool]:
    pool = Pool(**{"launcher": fake_launcher(forks=forks), **changes})  # type: ignore[arg-type]
    pool.start()
    try:
        async with asyncio.timeout(LIMIT_SECONDS):
            yield pool
    finally:
        await pool.close()


async def until(is_so: Callable[[], bool]) -> None:
    while not is_so():  # noqa: ASYNC110 (a state of another task, and nothing tells of it)
        await asyncio.sleep(0.001)


async def until_state(pool: Pool, state: str) -> None:
    await until(lambda: pool.snapshot()[0].state == state)


def environments(pids: list[int]) -> list[bytes]:
    return [Path(f"/proc/{pid}/environ").read_bytes() for pid in pids]


@HOW
def test_a_lease_loads_the_model_and_its_worker_answers(forks: bool) -> None:
    async def main() -> None:
        async with a_pool(forks=forks) as pool:
            pool.add("a", fake_plan("a"))
            async with pool.lease("a") as worker:
                status, body = await asyncio.to_thread(ask, worker.socket_path, "say hello")
                assert status == 200
                assert b'"content":"hello"' in body
                [state] = pool.snapshot()
                assert (state.state, state.leases, state.queued) == ("ready", 1, 0)
                assert state.memory_bytes is not None
                assert state.memory_bytes > 10**6
                assert state.pid is not None
                assert is_alive(state.pid)
                assert len(os.fsencode(worker.socket_path)) < 107
                assert worker.socket_path.parent.stat().st_mode & 0o777 == 0o700
                assert worker.socket_path.parent.parent.stat().st_mode & 0o777 == 0o700
        assert not worker.socket_path.parent.parent.exists()
        assert wait_for_end([state.pid]) == []
        assert descendants(os.getpid()) == []

    asyncio.run(main())


@HOW
def test_a_failed_load_tells_the_worker_s_finding(forks: bool) -> None:
    async def main() -> None:
        async with a_pool(forks=forks) as pool:
            pool.add("a", fake_plan("a", "fail"))
            with pytest.raises(BackendError) as caught:
                async with pool.lease("a"):
                    pass
            error = caught.value
            assert (error.cause, error.where) == ("the shard `a` is missing", "models.a")
            assert (error.code, error.status) == ("checkpoint_error", 503)
            assert error.retry_after_seconds == 2.0
            [state] = pool.snapshot()
            assert (state.state, state.pid) == ("failed", None)
            assert state.last_error is not None
            assert (state.last_error.where, state.last_error.hint) == ("/model", "get it")

    asyncio.run(main())


@HOW
def test_the_last_words_of_a_worker_that_dies_in_its_load_are_kept(
    forks: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with a_pool(forks=forks) as pool:
            pool.add("a", fake_plan("a", "die"))
            with pytest.raises(BackendError) as caught:
                async with pool.lease("a"):
                    pass
            assert caught.value.cause == (
                "the worker of `a` ended with status 3 while it loaded the model"
            )
            assert caught.value.where == "models.a"
            [state] = pool.snapshot()
            assert state.last_error is not None
            assert state.last_error.where is not None
            assert state.last_error.where.endswith("the last words")
            assert "the last words" in caplog.text

    asyncio.run(main())


def test_a_bug_in_the_load_is_told_with_its_place() -> None:
    async def main() -> None:
        async with a_pool() as pool:
            pool.add("a", fake_plan("a", "bug"))
            with pytest.raises(BackendError, match="`ValueError: no such thing`") as caught:
                async with pool.lease("a"):
                    pass
            assert caught.value.where == "models.a"
            [state] = pool.snapshot()
            assert state.last_error is not None
            assert "fake_engine.py:" in str(state.last_error.where)

    asyncio.run(main())


@HOW
def test_after_word_of_its_end_nobody_is_leased_a_worker_that_died_idle(forks: bool) -> None:
    async def main() -> None:
        async with a_pool(forks=forks) as pool:
            pool.add("a", fake_plan("a"))
            async with pool.lease("a"):
                first = pool.snapshot()[0].pid
            assert first is not None
            os.kill(first, signal.SIGKILL)
            async with pool.lease("a") as worker:
                assert await pool.has_ended(worker)
            async with pool.lease("a") as worker:
                assert (await asyncio.to_thread(ask, worker.socket_path, "say hi"))[0] == 200

    asyncio.run(main())


@HOW
def test_a_killed_worker_breaks_its_answer_and_the_next_lease_has_a_new_one(forks: bool) -> None:
    async def main() -> None:
        async with a_pool(forks=forks) as pool:
            pool.add("a", fake_plan("a"))
            async with pool.lease("a") as worker:
                first = pool.snapshot()[0].pid
                assert first is not None
                answer = asyncio.create_task(
                    asyncio.to_thread(ask, worker.socket_path, "stall", stream=True)
                )
                assert (await asyncio.to_thread(get_health, worker.socket_path))["state"] == "ready"
                os.kill(first, signal.SIGKILL)
                with pytest.raises((ConnectionError, IndexError)):
                    await answer
                assert await pool.has_ended(worker)
                await until_state(pool, "failed")
                error = pool.snapshot()[0].last_error
                assert error is not None
                assert error.cause == "the worker of `a` was ended by SIGKILL"
            async with pool.lease("a") as worker:
                second = pool.snapshot()[0].pid
                assert second != first
                assert (await asyncio.to_thread(ask, worker.socket_path, "say hi"))[0] == 200

    asyncio.run(main())


@HOW
def test_a_load_that_is_killed_is_begun_anew_once(forks: bool) -> None:
    async def main() -> None:
        async with a_pool(forks=forks) as pool:
            pool.add("a", fake_plan("a", "hang"))

            async def lease() -> None:
                async with pool.lease("a"):
                    pass

            waiter = asyncio.create_task(lease())
            killed: list[int | None] = []
            for _ in range(2):
                await until(lambda: bool(pool.snapshot()[0].progress))
                pid = pool.snapshot()[0].pid
                assert pid is not None
                assert pid not in killed
                killed.append(pid)
                os.kill(pid, signal.SIGKILL)
                await until(lambda: not pool.snapshot()[0].progress)
            with pytest.raises(BackendError) as caught:
                await waiter
            assert caught.value.cause == (
                "the worker of `a` was ended by SIGKILL while it loaded the model"
            )

    asyncio.run(main())


def test_a_load_goes_on_when_the_fork_server_dies_under_it() -> None:
    async def main() -> None:
        async with a_pool() as pool:
            pool.add("a", fake_plan("a", "hang"))
            pool.add("b", fake_plan("b"))
            async with pool.lease("b"):
                pass

            async def lease() -> None:
                async with pool.lease("a"):
                    pass

            waiter = asyncio.create_task(lease())
            await until(lambda: bool(pool.snapshot()[0].progress))
            first = pool.snapshot()[0].pid
            fork_server = descendants(os.getpid())[0]
            os.kill(fork_server, signal.SIGKILL)
            await until(lambda: pool.snapshot()[0].pid not in (None, first))
            await until(lambda: bool(pool.snapshot()[0].progress))
            assert not waiter.done()
            waiter.cancel()

    asyncio.run(main())


def test_a_fork_server_that_died_is_started_anew() -> None:
    async def main() -> None:
        async with a_pool() as pool:
            pool.add("a", fake_plan("a"))
            async with pool.lease("a"):
                [fork_server, worker] = descendants(os.getpid())
                os.kill(fork_server, signal.SIGKILL)
                await until_state(pool, "failed")
                assert wait_for_end([worker]) == []
            async with pool.lease("a"):
                [fork_server, worker] = descendants(os.getpid())
                assert pool.snapshot()[0].pid == worker

    asyncio.run(main())


@pytest.mark.parametrize(
    "fork_command",
    [(*FORK_SERVER, "threads"), (sys.executable, "-c", "raise SystemExit(1)"), ("/nowhere",)],
    ids=["threads run", "it ends", "no such program"],
)
def test_workers_are_spawned_where_forking_is_not_safe(fork_command: tuple[str, ...]) -> None:
    async def main() -> None:
        launcher = fake_launcher(forks=True, fork_command=fork_command)
        async with a_pool(launcher=launcher) as pool:
            pool.warm_up()
            pool.add("a", fake_plan("a"))
            async with pool.lease("a") as worker:
                assert (await asyncio.to_thread(ask, worker.socket_path, "say hi"))[0] == 200
                [spawned] = descendants(os.getpid())
                assert pool.snapshot()[0].pid == spawned

    asyncio.run(main())


def test_an_idle_worker_is_unloaded_when_the_injected_clock_says_so() -> None:
    async def main() -> None:
        now = 1000.0
        async with a_pool(clock=lambda: now) as pool:
            pool.add("a", fake_plan("a"), ttl_seconds=600)
            async with pool.lease("a"):
                pid = pool.snapshot()[0].pid
            now += 599
            pool.post(TimePassed())
            async with pool.lease("a"):
                assert pool.snapshot()[0].pid == pid
            await until(lambda: pool.snapshot()[0].idle_seconds is not None)
            now += 600
            assert pool.snapshot()[0].idle_seconds == 600
            pool.post(TimePassed())
            await until_state(pool, "stopped")
            assert pid is not None
            assert not is_alive(pid)

    asyncio.run(main())


def test_a_ttl_of_nothing_unloads_after_every_lease() -> None:
    async def main() -> None:
        async with a_pool() as pool:
            pool.add("a", fake_plan("a"), ttl_seconds=0)
            async with pool.lease("a"):
                pass
            await until_state(pool, "stopped")

    asyncio.run(main())


@HOW
def test_secrets_do_not_reach_the_worker(forks: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = ("TRUEUP_API_KEY", "OPENAI_API_KEY", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY",
               "CUDA_LICENSE_KEY", "SOMETHING_ELSE")  # fmt: skip
    for name in secrets:
        monkeypatch.setenv(name, "hush")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    async def main() -> None:
        async with a_pool(forks=forks) as pool:
            pool.add("a", fake_plan("a", "environment"))
            async with pool.lease("a") as worker:
                _, body = await asyncio.to_thread(ask, worker.socket_path, "say")
                seen = b"".join([body, *environments(descendants(os.getpid()))])
                for secret in ("hush", *secrets):
                    assert secret.encode() not in seen
                assert b"OMP_NUM_THREADS" in body
                assert b"HF_HUB_OFFLINE" in body

    asyncio.run(main())


def test_fifty_leases_leave_no_file_and_no_task_behind() -> None:
    async def main() -> None:
        async with a_pool() as pool:
            pool.add("a", fake_plan("a"))
            async with pool.lease("a"):
                pass
            files, tasks = open_files(), len(asyncio.all_tasks())
            for _ in range(50):
                async with pool.lease("a"):
                    pass
            assert (open_files(), len(asyncio.all_tasks())) == (files, tasks)
            assert not pool._promises

    before = open_files()
    asyncio.run(main())
    assert open_files() == before


def test_loads_and_unloads_leave_no_file_behind() -> None:
    async def main() -> None:
        async with a_pool() as pool:
            pool.add("a", fake_plan("a"), ttl_seconds=0)
            seen = []
            for _ in range(4):
                async with pool.lease("a"):
                    pass
                await until_state(pool, "stopped")
                seen.append(open_files())
            assert seen[1:] == seen[:-1]

    asyncio.run(main())


def test_a_caller_that_leaves_while_it_waits_frees_its_place() -> None:
    async def main() -> None:
        async with a_pool(queue_limit=1) as pool:
            pool.add("a", fake_plan("a"))

            async def hold() -> None:
                async with pool.lease("a"):
                    raise AssertionError("it was never its turn")

            async with pool.lease("a"):
                waiting = asyncio.create_task(hold())
                await until(lambda: pool.snapshot()[0].queued == 1)
                with pytest.raises(CapacityError) as caught:
                    await hold()
                assert caught.value.status == 429
                waiting.cancel()
                await asyncio.wait({waiting})
                assert waiting.cancelled()
                await until(lambda: pool.snapshot()[0].queued == 0)
            async with pool.lease("a"):
                assert pool.snapshot()[0].leases == 1

    asyncio.run(main())


def test_a_caller_that_leaves_at_once_starts_nothing() -> None:
    async def main() -> None:
        async with a_pool() as pool:
            pool.add("a", fake_plan("a"))

            async def hold() -> None:
                async with pool.lease("a"):
                    pass

            leaving = asyncio.create_task(hold())
            # The request is queued when the task has run once, and handled in a later turn.
            asyncio.get_running_loop().call_soon(leaving.cancel)
            await asyncio.wait({leaving})
            await asyncio.sleep(0)
            assert pool.snapshot()[0].state == "stopped"

    asyncio.run(main())


def test_a_cancelled_waiter_does_not_stop_the_load_for_others() -> None:
    async def main() -> None:
        async with a_pool() as pool:
            pool.add("a", fake_plan("a"))

            async def hold() -> int | None:
                async with pool.lease("a"):
                    return pool.snapshot()[0].pid

            first, second = asyncio.create_task(hold()), asyncio.create_task(hold())
            await until_state(pool, "starting")
            first.cancel()
            assert await second is not None

    asyncio.run(main())


@HOW
def test_closing_in_the_midst_of_a_load_leaves_nothing(forks: bool) -> None:
    async def main() -> None:
        async with a_pool(forks=forks) as pool:
            pool.add("a", fake_plan("a", "spin"))

            async def hold() -> None:
                async with pool.lease("a"):
                    pass

            waiting = asyncio.create_task(hold())
            await until(lambda: pool.snapshot()[0].pid is not None)
            pids = descendants(os.getpid())
            await pool.close()
            with pytest.raises(CapacityError, match="shutting down"):
                await waiting
            assert wait_for_end(pids) == []
            with pytest.raises(CapacityError, match="shutting down"):
                await hold()

    asyncio.run(main())


def test_closing_waits_for_answers_under_way() -> None:
    async def main() -> None:
        async with a_pool() as pool:
            pool.add("a", fake_plan("a"))
            async with pool.lease("a") as worker:
                closing = asyncio.create_task(pool.close(drain_seconds=LIMIT_SECONDS))
                await asyncio.sleep(0)
                assert (await asyncio.to_thread(ask, worker.socket_path, "say hi"))[0] == 200
                assert not closing.done()
            await closing

    asyncio.run(main())


def test_what_happens_is_told_as_events() -> None:
    seen: list[events.Event] = []
    unsubscribe = events.subscribe(seen.append)

    async def main() -> None:
        async with a_pool() as pool:
            pool.add("a", fake_plan("a"))
            async with pool.lease("a"):
                pass

    try:
        asyncio.run(main())
    finally:
        unsubscribe()
    changes = [
        (event.before, event.after) for event in seen if isinstance(event, events.ModelStateChanged)
    ]
    assert changes == [
        ("stopped", "starting"),
        ("starting", "ready"),
        ("ready", "stopping"),
        ("stopping", "stopped"),
    ]
    assert [event.progress for event in seen if isinstance(event, events.LoadProgressed)] == [0.5]
    [measured] = [event for event in seen if isinstance(event, events.MemoryMeasured)]
    assert measured.memory_bytes > 10**6
