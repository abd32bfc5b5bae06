"""When an idle model is unloaded, and when it is not: never under whoever uses it."""

from __future__ import annotations

import asyncio

import pytest

from trueup.backends.llamafactory.idle import Idle

SECONDS = 0.01


class Model:
    def __init__(self) -> None:
        self.users = 0
        self.unloaded = asyncio.Event()
        self.is_settled = asyncio.Event()
        self.is_settled.set()
        self.settles = asyncio.Event()
        self.idle = Idle(
            SECONDS, is_used=lambda: bool(self.users), settle=self._settle, unload=self._unload
        )

    async def _settle(self) -> None:
        self.settles.set()
        await self.is_settled.wait()

    async def _unload(self) -> None:
        assert not self.users
        self.unloaded.set()

    async def passed(self) -> None:
        """Wait until a timer that was set before now has had its time, and what follows it."""
        later = asyncio.Event()
        asyncio.get_running_loop().call_later(2 * SECONDS, later.set)
        await later.wait()
        for _ in range(3):
            await asyncio.sleep(0)


async def test_an_idle_one_is_unloaded() -> None:
    model = Model()
    model.idle.rest()
    await model.unloaded.wait()
    await model.idle.close()


async def test_two_that_leave_at_once_set_one_timer() -> None:
    model = Model()
    model.idle.rest()
    model.idle.rest()
    model.idle.wake()
    model.users = 1
    await model.passed()
    assert not model.unloaded.is_set()
    assert not model.settles.is_set()
    await model.idle.close()


async def test_who_asks_between_the_timer_and_the_unloading_keeps_it() -> None:
    model = Model()
    model.is_settled.clear()
    model.idle.rest()
    await model.settles.wait()  # its time is over
    model.idle.wake()
    model.users = 1
    model.is_settled.set()
    await model.passed()
    assert not model.unloaded.is_set()
    # And who has left again meanwhile has a time of its own.
    model.users = 0
    model.settles.clear()
    model.is_settled.clear()
    model.idle.rest()
    await model.settles.wait()
    model.idle.wake()
    model.idle.rest()
    model.is_settled.set()
    await model.unloaded.wait()
    await model.idle.close()


async def test_one_that_rests_while_it_is_used_is_not_idle() -> None:
    model = Model()
    model.users = 1
    model.idle.rest()
    assert model.idle.since is None
    await model.passed()
    assert not model.unloaded.is_set()
    await model.idle.close()


@pytest.mark.parametrize("seconds", [None, 60.0])
async def test_what_is_closed_is_unloaded_by_no_timer(seconds: float | None) -> None:
    model = Model()
    model.idle._seconds = seconds
    model.idle.rest()
    assert model.idle.since is not None
    await model.idle.close()
    assert model.idle.since is None
