"""A server that is going to be killed: `doomed_server.py spawn|fork STAGE`.

Prints a line when the stage is reached, then stays until SIGKILL.
"""

from __future__ import annotations

import asyncio
import sys

from tests.pool.processes import fake_launcher, send
from tests.worker.fake_engine import fake_plan
from trueup.pool.pool import Pool


async def main(how: str, stage: str) -> None:
    async with Pool(launcher=fake_launcher(forks=how == "fork")) as pool:
        if stage in ("hang", "spin"):
            pool.add("a", fake_plan("a", stage))
            async with asyncio.TaskGroup() as group:
                group.create_task(hold(pool))
                while not pool.snapshot()[0].progress:  # noqa: ASYNC110 (as in test_pool.py)
                    await asyncio.sleep(0.001)
                print("reached", flush=True)
        pool.add("a", fake_plan("a"))
        async with pool.lease("a") as worker:
            order = {"prefill": "stall", "decode": "forever", "busy": "spin"}[stage]
            connection = send(worker.socket_path, order, stream=True)
            if stage == "decode":
                connection.recv(1)
            if stage == "busy":
                sign = worker.socket_path.parent / "spins"
                while not await asyncio.to_thread(sign.exists):
                    pass
            print("reached", flush=True)
            await asyncio.Event().wait()


async def hold(pool: Pool) -> None:
    async with pool.lease("a"):
        pass


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
