from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trueup.similarity.retrieval import average_precisions


def plain(vectors: np.ndarray, problems: list[int]) -> list[float]:
    """MAP@R's average precisions as CodeXGLUE's definition has them, query by query."""
    found = []
    for i, vector in enumerate(vectors):
        others = [j for j in range(len(problems)) if j != i]
        others.sort(key=lambda j: -float(vector @ vectors[j]))
        r = problems.count(problems[i]) - 1
        hits, total = 0, 0.0
        for rank, j in enumerate(others[:r], start=1):
            if problems[j] == problems[i]:
                hits += 1
                total += hits / rank
        found.append(total / r)
    return found


@settings(deadline=None)
@given(st.lists(st.integers(2, 5), min_size=2, max_size=4), st.integers(0, 1000))
def test_it_is_the_plain_definition(sizes: list[int], seed: int) -> None:
    problems = [problem for problem, size in enumerate(sizes) for _ in range(size)]
    vectors = np.random.default_rng(seed).normal(size=(len(problems), 3))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found = average_precisions(vectors, np.array(problems), seed=seed)
    assert found.precisions == pytest.approx(plain(vectors, problems))
    assert found.r.tolist() == [size - 1 for size in sizes for _ in range(size)]


def test_a_known_case() -> None:
    # Query 0 finds 1 (alike), then 3 (not): 1/1 of R=2 is 0.5. Query 3 finds its one other first.
    angles = np.array([0.0, 0.1, 1.0, 0.3, 0.32])
    vectors = np.stack((np.cos(angles), np.sin(angles)), axis=1)
    found = average_precisions(vectors, np.array([0, 0, 0, 1, 1]), seed=0).precisions
    assert found.tolist() == [0.5, 0.5, 0.0, 1.0, 1.0]


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = np.random.default_rng(0).normal(size=(30, 4))
    problems = np.arange(30) % 5
    whole = average_precisions(vectors, problems, seed=1).precisions
    monkeypatch.setattr("trueup.similarity.retrieval.BLOCK_NUMBERS", 70)
    assert average_precisions(vectors, problems, seed=1).precisions.tolist() == whole.tolist()


def test_a_model_that_tells_nothing_apart_gains_nothing_from_the_order_of_the_data() -> None:
    problems = np.repeat(np.arange(10), 10)
    found = average_precisions(np.ones((100, 1)), problems, seed=0)
    assert found.precisions.mean() < 0.1
