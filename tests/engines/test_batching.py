from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from trueup.engines.batching import BATCH_COST_TOKENS, MAX_PADDED_SHARE, Batcher, Row

LENGTHS = st.lists(st.integers(1, 600), min_size=0, max_size=40)
REQUESTS = st.lists(LENGTHS, min_size=1, max_size=6)
BUDGETS = st.sampled_from([1, 16, 64, 512, 1024])


def filled(requests: list[list[int]], budget: int) -> Batcher:
    batcher = Batcher(budget)
    for owner, lengths in enumerate(requests):
        batcher.add(owner, rows_of(lengths))
    return batcher


def rows_of(lengths: list[int]) -> list[tuple[int, ...]]:
    return [(7,) * length for length in lengths]


def drained(batcher: Batcher) -> list[list[Row]]:
    batches = []
    while batch := batcher.next_batch():
        batches.append(batch)
    return batches


@given(REQUESTS, BUDGETS)
def test_every_row_goes_through_the_model_once(requests: list[list[int]], budget: int) -> None:
    batcher = filled(requests, budget)
    assert len(batcher) == sum(map(len, requests))
    seen = Counter(
        (row.owner, row.position, len(row.token_ids)) for batch in drained(batcher) for row in batch
    )
    expected = Counter(
        (owner, position, length)
        for owner, lengths in enumerate(requests)
        for position, length in enumerate(lengths)
    )
    assert seen == expected
    assert len(batcher) == 0
    assert batcher.next_batch() == []


@given(REQUESTS, BUDGETS)
def test_a_batch_keeps_the_budget_and_little_of_it_is_padding(
    requests: list[list[int]], budget: int
) -> None:
    for batch in drained(filled(requests, budget)):
        lengths = [len(row.token_ids) for row in batch]
        assert lengths == sorted(lengths)
        padded = len(batch) * max(lengths)
        assert padded <= budget or len(batch) == 1
        if len(batch) > 1:
            assert padded <= sum(lengths) * MAX_PADDED_SHARE + BATCH_COST_TOKENS


@given(REQUESTS, BUDGETS)
def test_within_a_round_every_request_has_a_row_computed(
    requests: list[list[int]], budget: int
) -> None:
    batcher = filled(requests, budget)
    waiting = Counter({owner: len(rows) for owner, rows in enumerate(requests) if rows})
    last_served = dict.fromkeys(waiting, 0)
    number = 0
    while batch := batcher.next_batch():
        number += 1
        for owner in {row.owner for row in batch}:
            last_served[owner] = number
        waiting.subtract(row.owner for row in batch)
        for owner, left in waiting.items():
            assert not left or number - last_served[owner] <= len(last_served)


def test_a_request_of_thousands_holds_up_nobody() -> None:
    batcher = Batcher(1024)
    batcher.add(1, rows_of([500] * 3000))
    batcher.next_batch()
    batcher.add(2, rows_of([20]))
    batches = [batcher.next_batch(), batcher.next_batch()]
    assert 2 in {row.owner for batch in batches for row in batch}


def test_rows_of_about_the_same_length_go_together_whoever_they_are_of() -> None:
    batcher = Batcher(1024)
    batcher.add(1, rows_of([100, 500]))
    batcher.add(2, rows_of([101, 499]))
    batches = [[len(row.token_ids) for row in batch] for batch in drained(batcher)]
    assert batches == [[499, 500], [100, 101]]


def test_a_row_beyond_the_budget_is_a_batch_of_its_own() -> None:
    batcher = Batcher(64)
    batcher.add(1, rows_of([500, 500, 3]))
    assert [[len(row.token_ids) for row in batch] for batch in drained(batcher)] == [
        [500],
        [500],
        [3],
    ]


@given(REQUESTS, BUDGETS, st.integers(0, 4), st.data())
def test_a_dropped_request_is_forgotten_and_the_others_are_not(
    requests: list[list[int]], budget: int, before: int, data: st.DataObject
) -> None:
    batcher = filled(requests, budget)
    done = [row for _ in range(before) for row in batcher.next_batch()]
    dropped = data.draw(st.integers(0, len(requests) - 1))
    batcher.drop(dropped)
    batcher.drop(99)
    rest = [row for batch in drained(batcher) for row in batch]
    assert dropped not in {row.owner for row in rest}
    seen = Counter(row.owner for row in (*done, *rest) if row.owner != dropped)
    expected = {owner: len(rows) for owner, rows in enumerate(requests) if rows}
    expected.pop(dropped, None)
    assert seen == expected
    batcher.add(dropped, rows_of([5, 6]))  # its owner may come again
    assert len([row for batch in drained(batcher) for row in batch]) == 2
