"""The demo checkpoint in real workers: imports, load and answer as they are shipped."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.pool.processes import ask, events_of, get_health
from trueup.adapt.planning import plan_model
from trueup.pool.launcher import ProcessLauncher
from trueup.pool.pool import Pool


@pytest.mark.slow
@pytest.mark.parametrize("forks", [True, False], ids=["forked", "spawned"])
def test_the_demo_checkpoint_answers(forks: bool) -> None:
    launcher = ProcessLauncher(forks=forks)

    async def main() -> None:
        async with Pool(launcher=launcher) as pool:
            plan = plan_model("demo")
            pool.add("demo", plan)
            async with pool.lease("demo") as worker:
                status, body = await asyncio.to_thread(ask, worker.socket_path, "hello")
                assert status == 200
                whole = json.loads(body)
                assert whole["choices"][0]["message"]["content"]
                status, body = await asyncio.to_thread(
                    ask, worker.socket_path, "hello", stream=True
                )
                *_, finish, done = events_of(body)
                assert finish["choices"][0]["finish_reason"] in ("stop", "length")
                assert done == "[DONE]"
                health = await asyncio.to_thread(get_health, worker.socket_path)
                assert health["state"] == "ready"
                assert health["memory_bytes"] > plan.memory.weights_bytes
        # A fork-server that had an obstacle would have been left for spawning.
        assert launcher.forks is forks

    asyncio.run(main())
