from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueup.similarity.threshold import Cell, Floats, Ints, best_threshold, thresholds

# Few different scores, so that ties and repeats are common.
SCORE = st.sampled_from([-1.0, -0.25, 0.0, 0.1, 0.1 + 1e-16, 0.5, 0.75, 1.0])
LABELLED = st.lists(st.tuples(SCORE, st.integers(0, 1)), min_size=1, max_size=30)


def arrays(rows: list[tuple[float, int]]) -> tuple[Floats, Ints]:
    return np.array([score for score, _ in rows]), np.array([label for _, label in rows])


def rights(rows: list[tuple[float, int]], threshold: float) -> int:
    return sum((score >= threshold) == (label == 1) for score, label in rows)


@given(LABELLED)
def test_no_other_threshold_is_right_more_often(rows: list[tuple[float, int]]) -> None:
    best = best_threshold(*arrays(rows))
    anywhere = [score for score, _ in rows] + [-2.0, 2.0]
    anywhere += [(a + b) / 2 for a, b in itertools.pairwise(sorted(anywhere))]
    most = max(rights(rows, each) for each in anywhere)
    assert rights(rows, best.value) == most
    assert rights(rows, best.lowest) == rights(rows, best.highest) == most
    assert best.lowest <= best.value <= best.highest
    values = sorted({score for score, _ in rows})
    cuts = [values[0], *values[1:], 2.0]  # a score is the cut just below it
    assert best.tied == sum(rights(rows, cut) == most for cut in cuts)


def test_the_widest_gap_wins_among_equal_cuts() -> None:
    # The cuts below 0.2 and below 0.9 are right for 3 of 4 each; 0.3 to 0.9 is the wider gap.
    best = best_threshold(np.array([0.1, 0.2, 0.3, 0.9]), np.array([0, 1, 0, 1]))
    assert best.value == pytest.approx(0.6)
    assert (best.tied, best.lowest) == (2, pytest.approx(0.15))


@pytest.mark.parametrize(("label", "said"), [(1, True), (0, False)])
def test_one_answer_for_all_can_be_best(label: int, said: bool) -> None:
    scores = np.full(5, 0.5)
    best = best_threshold(scores, np.array([label] * 4 + [1 - label]))
    assert (scores >= best.value).tolist() == [said] * 5


def test_neighbouring_floats_are_told_apart() -> None:
    below = np.float64(0.5)
    above = np.nextafter(below, 1)
    best = best_threshold(np.array([below, above]), np.array([0, 1]))
    assert below < best.value <= above


def test_labels_are_weighted_to_their_share_where_pairs_of_two_groups_are_left_out() -> None:
    # On what is left, 9 of 10 pairs are alike and most right would be "all alike"; the whole set
    # has both labels equally, and there a cut between the scores is right more often.
    scores = np.array([0.9] * 6 + [0.4] * 3 + [0.5] + [0.5] * 10)
    labels = np.array([1] * 9 + [0] * 10 + [1])
    left_out = Cell(judged=np.arange(10, 18), chosen_on=np.arange(10))
    rest = Cell(judged=np.array([*range(10), 18, 19]), chosen_on=np.arange(8, 18))
    chosen = thresholds(scores, labels, [left_out, rest])
    assert best_threshold(scores[:10], labels[:10]).value <= 0.4
    assert 0.5 < chosen[10] < 0.9
