from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from trueup.similarity.interval import Judged, area_under_curve, figures, intervals, wilson
from trueup.similarity.split import Membership
from trueup.similarity.threshold import Floats

CASE = st.tuples(
    st.sampled_from([-0.5, 0.0, 0.3, 0.3, 0.9]), st.integers(0, 1), st.booleans(), st.integers(0, 3)
)
FIGURES = ("accuracy", "precision", "recall", "f1", "roc_auc")


def judged_of(cases: list[tuple[float, int, bool, int]]) -> tuple[Judged, Floats]:
    scores, labels, said, weights = zip(*cases, strict=True)
    judged = Judged(labels=np.array(labels), scores=np.array(scores), said=np.array(said))
    return judged, np.array([weights], dtype=float)


def plain_area(rows: list[tuple[float, int]]) -> float:
    """Every alike pair against every different one, as the definition has it."""
    alike = [score for score, label in rows if label]
    different = [score for score, label in rows if not label]
    won = sum((a > d) + 0.5 * (a == d) for a in alike for d in different)
    return won / (len(alike) * len(different)) if alike and different else float("nan")


@settings(deadline=None)
@given(st.lists(CASE, min_size=2, max_size=25))
def test_weighted_figures_are_those_of_pairs_that_are_there_so_often(
    cases: list[tuple[float, int, bool, int]],
) -> None:
    judged, weights = judged_of(cases)
    found = {name: values[0] for name, values in figures(judged, weights).items()}
    assert tuple(found) == FIGURES
    rows = [case for case in cases for _ in range(case[3])]
    if not rows:
        return
    labels, said = [row[1] for row in rows], [int(row[2]) for row in rows]
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(labels, said))
    assert found["roc_auc"] == pytest.approx(
        plain_area([(row[0], row[1]) for row in rows]), nan_ok=True
    )
    if 0 < sum(labels) < len(labels):
        area = metrics.roc_auc_score(labels, [row[0] for row in rows])
        assert found["roc_auc"] == pytest.approx(area)
    nan = float("nan")
    for name, score in (
        ("precision", metrics.precision_score(labels, said, zero_division=nan)),
        ("recall", metrics.recall_score(labels, said, zero_division=nan)),
        ("f1", metrics.f1_score(labels, said, zero_division=nan)),
    ):
        assert found[name] == pytest.approx(score, nan_ok=True)


def test_a_known_area_under_the_curve() -> None:
    # Alike 0.8, 0.4; different 0.4, 0.2: of four comparisons three are won, one of them half.
    judged = Judged(
        labels=np.array([1, 1, 0, 0]), scores=np.array([0.8, 0.4, 0.4, 0.2]), said=np.ones(4, bool)
    )
    assert area_under_curve(judged, np.ones((1, 4))).tolist() == [0.875]


def alone(count: int) -> Membership:
    return Membership(groups=np.arange(count)[:, None], count=count, by="group")


def right_share(right: Floats) -> object:
    return lambda weights: {"right": weights @ right / weights.sum(axis=1)}


def test_the_interval_of_a_share_is_about_the_normal_one() -> None:
    right = np.array([1.0] * 160 + [0.0] * 40)
    found = intervals(alone(200), right_share(right), seed=0)["right"]
    half = 1.96 * (0.8 * 0.2 / 200) ** 0.5
    assert found == pytest.approx((0.8 - half, 0.8 + half), abs=0.005)
    assert found == intervals(alone(200), right_share(right), seed=0)["right"]
    assert found != intervals(alone(200), right_share(right), seed=1)["right"]


def test_pairs_of_one_group_come_and_go_together() -> None:
    # 20 groups of ten pairs that are right or wrong together tell as much as 20 pairs.
    right = np.repeat([1.0] * 16 + [0.0] * 4, 10)
    members = Membership(groups=np.repeat(np.arange(20), 10)[:, None], count=20, by="group")
    found = intervals(members, right_share(right), seed=0)["right"]
    half = 1.96 * (0.8 * 0.2 / 20) ** 0.5
    assert found == pytest.approx((0.8 - half, 0.8 + half), abs=0.04)


def test_a_pair_of_two_groups_counts_with_the_product() -> None:
    seen: list[Floats] = []

    def measure(weights: Floats) -> dict[str, Floats]:
        seen.append(weights)
        return {"count": weights.sum(axis=1)}

    members = Membership(groups=np.array([[0, -1], [1, -1], [0, 1]]), count=2, by="group")
    intervals(members, measure, seed=0)
    weights = np.concatenate(seen)
    assert weights.shape == (2000, 3)
    assert (weights[:, 0] + weights[:, 1] == 2).all()
    assert (weights[:, 2] == weights[:, 0] * weights[:, 1]).all()


def test_a_figure_that_most_resamples_do_not_have_gets_no_interval() -> None:
    def measure(weights: Floats) -> dict[str, Floats]:
        with np.errstate(invalid="ignore"):
            rare = weights[:, 0] / np.where(weights[:, 0] > 1, 1, np.nan)
        return {"rare": rare}

    assert intervals(alone(50), measure, seed=0) == {"rare": None}


def test_many_pairs_are_resampled_in_blocks_with_the_same_result(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    right = np.array([1.0, 0.0, 1.0, 1.0])
    whole = intervals(alone(4), right_share(right), seed=5)
    monkeypatch.setattr("trueup.similarity.interval.BLOCK_NUMBERS", 28)
    assert intervals(alone(4), right_share(right), seed=5) == whole


def test_wilsons_interval_is_the_textbooks() -> None:
    assert wilson(1.0, 10) == pytest.approx((0.7225, 1.0), abs=1e-4)
    assert wilson(0.0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert wilson(0.5, 100) == pytest.approx((0.4038, 0.5962), abs=1e-4)
