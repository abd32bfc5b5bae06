from __future__ import annotations

import asyncio
import threading

from trueup.worker.pipe import Pipe


def test_every_item_of_a_busy_thread_arrives_in_order() -> None:
    async def main() -> None:
        pipe: Pipe[int] = Pipe(asyncio.get_running_loop())

        def write() -> None:
            for number in range(20_000):
                pipe.put(number)

        thread = threading.Thread(target=write)
        thread.start()
        got: list[int] = []
        while len(got) < 20_000:
            got += await pipe.take()
        thread.join()
        assert got == list(range(20_000))

    asyncio.run(main())


def test_items_that_came_together_cost_one_wake_up() -> None:
    class Loop:
        calls = 0

        def call_soon_threadsafe(self, *_: object) -> None:
            self.calls += 1

    loop = Loop()
    pipe: Pipe[int] = Pipe(loop)  # type: ignore[arg-type]
    for number in range(10):
        pipe.put(number)
    assert loop.calls == 1
    assert asyncio.run(pipe.take()) == list(range(10))
    pipe.put(10)
    assert loop.calls == 2


def test_a_closed_pipe_gives_nothing_more() -> None:
    async def main() -> None:
        pipe: Pipe[int] = Pipe(asyncio.get_running_loop())
        reading = asyncio.create_task(pipe.take())
        await asyncio.sleep(0)
        pipe.close()
        assert await reading == []
        pipe.put(1)
        assert await pipe.take() == []

    asyncio.run(main())
