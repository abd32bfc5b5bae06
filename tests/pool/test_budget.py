from __future__ import annotations

import pytest

from tests.worker.fake_engine import fake_plan
from trueup.adapt.plan import Memory, Plan
from trueup.pool.budget import (
    RESERVED_CONTEXT_TOKENS,
    Budget,
    Reservation,
    needed_bytes,
    shortage,
)

GB = 10**9


def plan_of(gigabytes: float, *, device: str = "cpu") -> Plan:
    memory = Memory(weights_bytes=int(gigabytes * GB), kv_bytes_per_1k_tokens=0, overhead_bytes=0)
    return fake_plan(device=device, memory=memory)


def held(needed: float, resident: float = 0, *, on_gpu: bool = False) -> Reservation:
    return Reservation(
        model_id="other",
        needed_bytes=int(needed * GB),
        resident_bytes=int(resident * GB),
        on_gpu=on_gpu,
    )


@pytest.mark.parametrize(
    ("budget", "available", "others", "free"),
    [
        # No limit and nothing known: everything fits.
        (None, None, [], None),
        # The machine's memory.
        (None, 6, [], None),
        (None, 4.9, [], 4.9),
        # What others have reserved and not touched yet is not free.
        (None, 9, [held(6, resident=2)], None),
        (None, 8, [held(6, resident=2)], 4),
        # What they have touched is gone from what the system has left already.
        (None, 5, [held(6, resident=6)], None),
        (None, 5, [held(6, resident=8)], None),
        # A budget counts the larger of estimate and measurement.
        (10, 100, [held(5)], None),
        (10, 100, [held(5, resident=6)], 4),
        (10, 100, [held(11)], 0),
        # Both limits hold.
        (10, 4, [], 4),
        # A model on a GPU takes no host memory from this one.
        (10, 100, [held(50, on_gpu=True)], None),
    ],
)
def test_a_model_of_5_gb_on_the_host(
    budget: float | None, available: float | None, others: list[Reservation], free: float | None
) -> None:
    found = shortage(
        plan_of(5),
        others,
        budget=Budget(host_bytes=None if budget is None else int(budget * GB)),
        available_bytes=None if available is None else int(available * GB),
    )
    if free is None:
        assert found is None
    else:
        assert found is not None
        assert (found.needed_bytes, found.free_bytes) == (5 * GB, int(free * GB))


@pytest.mark.parametrize(
    ("budget", "others", "fits"),
    [
        (None, [], True),
        (4, [], False),
        (8, [held(4, on_gpu=True)], False),
        (8, [held(4)], True),
    ],
)
def test_a_model_of_5_gb_on_a_gpu(
    budget: int | None, others: list[Reservation], fits: bool
) -> None:
    limits = Budget(gpu_bytes=None if budget is None else budget * GB)
    found = shortage(plan_of(5, device="cuda"), others, budget=limits, available_bytes=0)
    assert (found is None) == fits


def test_the_numbers_are_in_the_words() -> None:
    small = Budget(host_bytes=2_500_000)
    found = shortage(plan_of(5), [], budget=small, available_bytes=None)
    assert str(found) == "needs 5.0 GB, 2.5 MB are free of the 2.5 MB of `memory.host_bytes`"
    found = shortage(plan_of(5), [], budget=Budget(), available_bytes=3 * GB)
    assert str(found) == "needs 5.0 GB, 3.0 GB are free of the machine's memory"


@pytest.mark.parametrize(
    ("context_tokens", "counted"),
    [(1000, 1000), (None, RESERVED_CONTEXT_TOKENS), (131072, RESERVED_CONTEXT_TOKENS)],
)
def test_a_conversation_of_ordinary_length_is_reserved(
    context_tokens: int | None, counted: int
) -> None:
    memory = Memory(weights_bytes=7, kv_bytes_per_1k_tokens=2000, overhead_bytes=5)
    plan = fake_plan(memory=memory, context_tokens=context_tokens)
    assert needed_bytes(plan) == 12 + 2 * counted
