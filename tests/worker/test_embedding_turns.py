"""Requests of many clients as batches, turn by turn, with an engine that does as it is told."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import numpy as np
import pytest

from tests.worker.fake_engine import fake_plan
from trueup.adapt.plan import EmbeddingPlan
from trueup.engines.embedding import EmbeddingEngine
from trueup.errors import BackendError, RequestError
from trueup.protocol.embedding import EmbeddingRequest
from trueup.worker import embedding_turns
from trueup.worker.embedding_turns import EmbeddingTurns
from trueup.worker.job import Embedded, Failed, Item, Job
from trueup.worker.pipe import Pipe

BROKEN, NOT_A_NUMBER = 666_666, 777_777
CONTEXT_TOKENS = 8
LIMIT_SECONDS = 30.0


class FakeTokenizer:
    """A text is numbers: the token ids that it has."""

    def __call__(self, texts: Any, **options: Any) -> dict[str, Any]:
        if isinstance(texts, str):
            return {"input_ids": [1]}
        return {"input_ids": [[int(word) for word in text.split()] for text in texts]}


class FakeEncoder:
    """A row's vector is its first token and its length; `on_batch` is called with every batch."""

    def __init__(self, *, budget_tokens: int = 64, lanes: int = 1) -> None:
        self.budget_tokens = budget_tokens
        self.lanes = lanes
        self.batches: list[list[tuple[int, ...]]] = []
        self.threads: list[int] = []
        self.on_batch: Callable[[], object] = lambda: None
        self._lock = threading.Lock()

    def encode(self, rows: Sequence[Sequence[int]], *, threads: int) -> Any:
        with self._lock:
            self.batches.append([tuple(row) for row in rows])
            self.threads.append(threads)
        self.on_batch()
        firsts = [row[0] for row in rows]
        if BROKEN in firsts:
            raise ValueError("out of everything")
        return np.array(
            [
                [float("nan") if first == NOT_A_NUMBER else first, len(row)]
                for first, row in zip(firsts, rows, strict=True)
            ],
            dtype=np.float32,
        )

    @property
    def firsts(self) -> list[list[int]]:
        return [[row[0] for row in batch] for batch in self.batches]


class Jobs(queue.SimpleQueue[Job]):
    """Does not wait for ever: in a test nothing else comes."""

    def get(self, block: bool = True, timeout: float | None = None) -> Job:
        return super().get(block, LIMIT_SECONDS if timeout is None else timeout)


class Bench:
    """Turns over the fake encoder; each asked job keeps what came of it."""

    def __init__(self, *, budget_tokens: int = 64, lanes: int = 1) -> None:
        self.encoder = FakeEncoder(budget_tokens=budget_tokens, lanes=lanes)
        embedding = EmbeddingPlan(pooling="mean", normalize=False, dimensions=2)
        plan = fake_plan(kind="embedding", embedding=embedding, context_tokens=CONTEXT_TOKENS)
        engine = EmbeddingEngine(self.encoder, FakeTokenizer(), plan, vocabulary_tokens=10**9)
        self.jobs = Jobs()
        self.turns = EmbeddingTurns(engine, self.jobs)

    def ask(self, *texts: str, **options: Any) -> Job:
        request = EmbeddingRequest(model="m", inputs=texts, **options)
        pipe: Pipe[Item] = Pipe(asyncio.get_running_loop())
        job = Job(request, pipe)
        self.jobs.put(job)
        return job

    async def turns_until(self, job: Job) -> tuple[int, Item]:
        """Take turns until a job is answered: how many it took, and the answer."""
        answer = asyncio.create_task(job.pipe.take())
        count = 0
        while not await is_done(answer):
            await asyncio.to_thread(self.turns.take)
            count += 1
        (item,) = answer.result()
        return count, item


async def is_done(task: asyncio.Task[Any]) -> bool:
    """Whether a task is done once everything that it can have by now has come."""
    for _ in range(5):  # the pipe tells the loop, the loop tells the task
        await asyncio.sleep(0)
    return task.done()


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(LIMIT_SECONDS):
            await main()

    asyncio.run(limited())


async def answer_of(job: Job) -> Item:
    (item,) = await job.pipe.take()
    return item


def vectors_of(item: Item) -> list[list[float]]:
    assert isinstance(item, Embedded), item
    found: list[list[float]] = item.vectors.tolist()
    return found


def error_of(item: Item) -> Any:
    assert isinstance(item, Failed), item
    return item.error


def test_requests_that_wait_together_are_one_batch() -> None:
    async def main() -> None:
        bench = Bench()
        jobs = [bench.ask(f"{number} 0") for number in range(1, 6)]
        await asyncio.to_thread(bench.turns.take)
        assert len(bench.encoder.batches) == 1
        for number, job in enumerate(jobs, 1):
            item = await answer_of(job)
            assert vectors_of(item) == [[number, 2]]
            assert isinstance(item, Embedded)
            assert (item.prompt_tokens, item.notes) == (2, {"truncated": (), "windows": ()})

    run(main)


def test_vectors_come_in_the_order_of_the_inputs_however_rows_are_batched() -> None:
    async def main() -> None:
        bench = Bench(budget_tokens=8)
        lengths = (3, 1, 8, 2, 7, 1, 5)
        job = bench.ask(*(" ".join([str(index + 1)] * n) for index, n in enumerate(lengths)))
        _, item = await bench.turns_until(job)
        assert vectors_of(item) == [[index + 1, n] for index, n in enumerate(lengths)]
        assert len(bench.encoder.batches) > 1

    run(main)


@pytest.mark.parametrize("words", ["5", "5 5 5 5", "5 5 5 5 5 5 5 5"])
def test_a_request_of_thousands_of_rows_does_not_hold_up_one_of_a_single_row(words: str) -> None:
    async def main() -> None:
        bench = Bench(budget_tokens=16)
        large = bench.ask(*(f"{number} 0 0 0" for number in range(1, 2001)))
        await asyncio.to_thread(bench.turns.take)
        small = bench.ask(words)
        count, item = await bench.turns_until(small)
        assert count <= 2
        assert vectors_of(item) == [[5, len(words.split())]]
        _, whole = await bench.turns_until(large)
        assert [row[0] for row in vectors_of(whole)] == list(range(1, 2001))

    run(main)


def test_large_requests_take_turns() -> None:
    async def main() -> None:
        bench = Bench(budget_tokens=4)
        first = bench.ask(*["1 1 1 1"] * 6)
        second = bench.ask(*["2 2 2 2"] * 6)
        await bench.turns_until(first)
        await bench.turns_until(second)
        order = [batch[0] for batch in bench.encoder.firsts]
        assert sorted(order[:4]) == [1, 1, 2, 2]

    run(main)


def test_a_request_that_was_cancelled_before_its_turn_is_not_computed() -> None:
    async def main() -> None:
        bench = Bench()
        gone, stays = bench.ask("1"), bench.ask("2")
        gone.cancel()
        await asyncio.to_thread(bench.turns.take)
        assert bench.encoder.firsts == [[2]]
        assert vectors_of(await answer_of(stays)) == [[2, 1]]

    run(main)


def test_a_request_that_is_cancelled_in_the_middle_leaves_and_others_go_on() -> None:
    async def main() -> None:
        bench = Bench(budget_tokens=4)
        gone = bench.ask(*["1 1 1 1"] * 100)
        stays = bench.ask("2 2 2 2", "3 3 3 3")
        await asyncio.to_thread(bench.turns.take)
        gone.cancel()
        _, item = await bench.turns_until(stays)
        assert vectors_of(item) == [[2, 4], [3, 4]]
        later = bench.ask("4")
        await bench.turns_until(later)
        computed = [first for batch in bench.encoder.firsts for first in batch]
        assert computed.count(1) == 1

    run(main)


def test_a_turn_without_anything_left_to_compute_ends() -> None:
    async def main() -> None:
        bench = Bench(budget_tokens=4)
        gone = bench.ask(*["1 1 1 1"] * 10)
        await asyncio.to_thread(bench.turns.take)
        gone.cancel()
        await asyncio.to_thread(bench.turns.take)
        assert len(bench.encoder.batches) == 1

    run(main)


def test_a_broken_batch_fails_its_requests_and_no_others(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def main() -> None:
        bench = Bench(budget_tokens=4)
        # Rows of one length are computed from the last to the first.
        broken = bench.ask(*["1 1 1 1"] * 50, f"{BROKEN} 0 0 0")
        other = bench.ask("2 2 2 2", "3 3 3 3")
        error = error_of((await bench.turns_until(broken))[1])
        assert isinstance(error, BackendError)
        assert (error.code, error.status) == ("engine_failed", 500)
        assert "`ValueError: out of everything`" in error.cause
        _, item = await bench.turns_until(other)
        assert vectors_of(item) == [[2, 4], [3, 4]]
        # What was left of the request that failed is not computed.
        later = bench.ask("4")
        await bench.turns_until(later)
        assert sum(first == 1 for batch in bench.encoder.firsts for first in batch) < 3

    run(main)
    assert "out of everything" in capsys.readouterr().err


def test_of_a_broken_batch_only_who_broke_it_fails(capsys: pytest.CaptureFixture[str]) -> None:
    async def main() -> None:
        bench = Bench()
        broken, sound = bench.ask(f"{BROKEN} 0"), bench.ask("2 0")
        turns, answer = await bench.turns_until(sound)
        assert vectors_of(answer) == [[2, 2]]
        if not broken.pipe._items:
            await asyncio.to_thread(bench.turns.take)
        assert error_of(await answer_of(broken)).code == "engine_failed"
        assert turns <= 3  # together, then each by itself

    run(main)
    assert capsys.readouterr().err.count("Traceback") == 1


def test_a_bug_in_a_turn_answers_everybody_and_the_next_turn_works(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        bench = Bench()
        lost = bench.ask("1 0")
        with monkeypatch.context() as patched:
            patched.setattr(bench.turns, "_start", lambda: [][0])
            await asyncio.to_thread(bench.turns.take)
        assert error_of(await answer_of(lost)).code == "engine_failed"
        sound = bench.ask("2 0")
        await asyncio.to_thread(bench.turns.take)
        assert vectors_of(await answer_of(sound)) == [[2, 2]]

    run(main)
    assert "IndexError" in capsys.readouterr().err


def test_a_long_request_is_read_apart_and_holds_up_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        bench = Bench()
        monkeypatch.setattr(embedding_turns, "LONG_CHARACTERS", 20)
        may_read = threading.Event()
        engine = bench.turns._engine

        def read_slowly(request: Any) -> Any:
            assert may_read.wait(60)
            return EmbeddingEngine.prepare(engine, request)

        monkeypatch.setattr(engine, "prepare_apart", read_slowly)
        long, short = bench.ask(*["1 0"] * 22), bench.ask("2 0")
        _, answer = await bench.turns_until(short)
        assert vectors_of(answer) == [[2, 2]]
        may_read.set()
        _, answer = await bench.turns_until(long)
        assert len(vectors_of(answer)) == 22

    run(main)


def test_what_is_no_number_fails_its_own_request_alone() -> None:
    async def main() -> None:
        bench = Bench()
        broken, sound = bench.ask("1 0", f"{NOT_A_NUMBER} 0"), bench.ask("2 0")
        await asyncio.to_thread(bench.turns.take)
        assert len(bench.encoder.batches) == 1
        error = error_of(await answer_of(broken))
        assert error.code == "not_a_number"
        assert "`input[1]`" in error.cause
        assert vectors_of(await answer_of(sound)) == [[2, 2]]

    run(main)


def test_a_request_that_cannot_be_read_fails_alone() -> None:
    async def main() -> None:
        bench = Bench()
        long = bench.ask(" ".join(["1"] * 9))
        odd = bench.ask("word")
        wide = bench.ask("1", dimensions=3)
        sound = bench.ask("2")
        await asyncio.to_thread(bench.turns.take)
        assert error_of(await answer_of(long)).code == "context_length_exceeded"
        assert error_of(await answer_of(odd)).code == "engine_failed"
        assert isinstance(error_of(await answer_of(wide)), RequestError)
        assert vectors_of(await answer_of(sound)) == [[2, 1]]

    run(main)


def test_windows_are_joined_by_the_tokens_that_each_is_the_first_to_hold() -> None:
    async def main() -> None:
        bench = Bench(budget_tokens=8)
        # 10 tokens, windows of 8 that begin one token before the end of the one before.
        text = "10 1 2 3 4 5 6 20 8 9"
        job = bench.ask("7", text, "8", windows=True)
        _, item = await bench.turns_until(job)
        assert isinstance(item, Embedded)
        assert item.notes == {"truncated": (), "windows": (1,)}
        first, joined, last = vectors_of(item)
        assert (first, last) == ([7, 1], [8, 1])
        assert joined == pytest.approx([(10 * 8 + 20 * 2) / 10, (8 * 8 + 3 * 2) / 10])

    run(main)


def test_requests_that_come_while_a_batch_is_computed_are_in_the_next_turn() -> None:
    async def main() -> None:
        bench = Bench(budget_tokens=4)
        first = bench.ask("1 1 1 1", "1 1 1 1")
        loop = asyncio.get_running_loop()
        later: list[Job] = []

        def come() -> None:
            bench.encoder.on_batch = lambda: None
            asyncio.run_coroutine_threadsafe(ask_late(), loop).result(LIMIT_SECONDS)

        async def ask_late() -> None:
            later.append(bench.ask("2 2 2 2"))

        bench.encoder.on_batch = come
        await asyncio.to_thread(bench.turns.take)
        await asyncio.to_thread(bench.turns.take)
        await asyncio.to_thread(bench.turns.take)
        assert sorted(first for batch in bench.encoder.firsts for first in batch) == [1, 1, 2]
        assert vectors_of(await answer_of(first)) == [[1, 4], [1, 4]]
        assert vectors_of(await answer_of(later[0])) == [[2, 4]]

    run(main)


def test_every_lane_has_a_batch_at_the_same_time() -> None:
    async def main() -> None:
        bench = Bench(budget_tokens=4, lanes=2)
        together = threading.Barrier(2)
        # Returns when two are in it; a lane that stayed alone would break it.
        bench.encoder.on_batch = lambda: together.wait(LIMIT_SECONDS)
        job = bench.ask("1 1 1 1", "2 2 2 2")
        _, item = await bench.turns_until(job)
        assert vectors_of(item) == [[1, 4], [2, 4]]
        assert bench.encoder.threads == [1, 1]

    run(main)


def test_a_batch_that_is_alone_gets_the_threads_of_all_lanes() -> None:
    async def main() -> None:
        bench = Bench(lanes=3)
        await bench.turns_until(bench.ask("1"))
        assert bench.encoder.threads == [3]

    run(main)


def test_a_request_that_fails_in_one_lane_while_another_computes_it_is_told_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def main() -> None:
        bench = Bench(budget_tokens=4, lanes=2)
        job = bench.ask("1 1 1 1", f"{BROKEN} 0 0 0", f"{BROKEN} 0 0 0")
        error = error_of((await bench.turns_until(job))[1])
        assert error.code == "engine_failed"
        later = bench.ask("2")
        assert vectors_of((await bench.turns_until(later))[1]) == [[2, 1]]

    run(main)
    assert "out of everything" in capsys.readouterr().err
