"""Limits in the loop's time: what is cut, and what never is."""

from __future__ import annotations

import asyncio

import pytest

from trueup.gateway.deadline import Deadline
from trueup.gateway.interruption import Interruptible


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_block_is_cut_when_its_time_is_over() -> None:
    with Deadline(0) as deadline:
        await asyncio.Event().wait()
    assert deadline.has_passed


async def test_a_block_that_ends_in_time_is_not_cut_later() -> None:
    with Deadline(0) as deadline:
        pass
    await turns()
    assert not deadline.has_passed


async def test_progress_moves_the_limit_but_not_the_end() -> None:
    now = asyncio.get_running_loop().time()
    with Deadline(0, end_at=now + 3600) as moved:
        moved.extend(3600)
        await turns()
    with Deadline(3600, end_at=now) as ended:
        ended.extend(3600)
        await asyncio.Event().wait()
    assert (moved.has_passed, ended.has_passed) == (False, True)


async def test_a_limit_can_come_nearer() -> None:
    with Deadline(3600) as deadline:
        deadline.extend(0)
        await asyncio.Event().wait()
    assert deadline.has_passed


async def test_waiting_for_a_turn_is_cut_at_the_end_of_all() -> None:
    now = asyncio.get_running_loop().time()
    with Deadline(3600, end_at=now) as deadline:
        deadline.hold()
        await asyncio.Event().wait()
    assert deadline.has_passed


async def test_what_must_not_be_torn_is_cut_after_it() -> None:
    now = asyncio.get_running_loop().time()
    written = False
    with Deadline(0, end_at=now) as deadline:
        deadline.hold(is_firm=True)
        await turns()
        written = True
        deadline.go_on(3600)
        await asyncio.Event().wait()
    assert (written, deadline.has_passed) == (True, True)


async def test_the_end_of_all_moves_by_what_was_waited_for_somebody_else() -> None:
    loop = asyncio.get_running_loop()
    with Deadline(7200, end_at=loop.time() + 3600) as deadline:
        assert deadline._timer is not None
        before, began_at = deadline._timer.when(), loop.time()
        deadline.hold(is_firm=True)
        await asyncio.sleep(0.02)
        deadline.go_on(7200)
        assert 0.02 <= deadline._timer.when() - before <= loop.time() - began_at


async def test_who_waits_for_nobody_has_no_more_time() -> None:
    with Deadline(0) as deadline:
        deadline.go_on(3600)
        await asyncio.Event().wait()
    assert deadline.has_passed


async def test_what_is_due_does_not_tear_what_began_since() -> None:
    now = asyncio.get_running_loop().time()
    with Deadline(0, end_at=now) as deadline:
        deadline.cut()
        deadline.hold(is_firm=True)
        await turns()
        deadline.go_on(3600)
        await asyncio.Event().wait()
    assert deadline.has_passed


async def test_a_cancelled_task_is_cancelled_whatever_was_due() -> None:
    async def work() -> None:
        with Interruptible() as outer, Deadline(0):
            begun.set()
            outer.interrupt("client left")
            await asyncio.Event().wait()
        raise AssertionError("the task goes on")

    begun = asyncio.Event()
    task = asyncio.create_task(work())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_outer_block_ends_where_both_are_due() -> None:
    with Interruptible() as outer:
        with Deadline(0):
            outer.interrupt("client left")
            await asyncio.Event().wait()
        await asyncio.Event().wait()  # it is not caught by the inner one alone
    assert outer.reason == "client left"
    with Interruptible() as again:
        await turns()
    assert again.reason is None
    assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]


async def test_only_the_first_reason_counts_and_none_after_the_end() -> None:
    with Interruptible() as block:
        block.interrupt("client left")
        block.interrupt("server stops")
        await asyncio.Event().wait()
    assert block.reason == "client left"
    late = Interruptible()
    with late:
        pass
    late.interrupt("server stops")
    assert late.reason is None
