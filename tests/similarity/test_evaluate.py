from __future__ import annotations

import asyncio
import itertools
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.similarity.labelled import TokenEmbedder, family, row, write_lines
from trueup.errors import BackendError
from trueup.similarity.clone_formats import load_pairs
from trueup.similarity.evaluate import evaluate
from trueup.similarity.judgement import judgement
from trueup.similarity.pair import Code, Pair, PairSet
from trueup.similarity.split import split_pairs


class Given:
    """An embedder whose vectors are given, so that every cosine is known."""

    identity = "given"

    def __init__(self, vectors: dict[str, Any]) -> None:
        self.vectors = vectors
        self.calls = 0

    async def embed(self, texts: Sequence[str]) -> Any:
        self.calls += 1
        return np.array([self.vectors[text] for text in texts], dtype=np.float32)


def scored(rows: list[tuple[float, int, str]]) -> tuple[PairSet, Given]:
    """Pairs with known cosines: (score, label, group)."""
    vectors: dict[str, Any] = {}
    pairs = []
    for i, (score, label, group) in enumerate(rows):
        # Of mixed lengths, so that what is sorted by length must find its way back.
        left, right = (Code(language="c", text=f"{side}{i}{'.' * (i % 5)}") for side in "lr")
        vectors[left.text] = [1.0, 0.0]
        vectors[right.text] = [score, (1 - score**2) ** 0.5]
        pairs.append(
            Pair(
                id=str(i), left=left, right=right, label=label, groups=(group,), where=f"p:{i + 1}"
            )
        )
    return PairSet(pairs=tuple(pairs), source="p", format="pairs"), Given(vectors)


def report_on(
    pairs: PairSet,
    embedder: Any = None,
    *,
    folds: int | None = None,
    seed: int = 0,
    progress: Any = None,
) -> dict[str, Any]:
    split = split_pairs(pairs.pairs, folds=folds, seed=seed)
    embedder = TokenEmbedder() if embedder is None else embedder
    return asyncio.run(evaluate(pairs, split, embedder, progress=progress))


def values(report: dict[str, Any]) -> dict[str, float]:
    return {name: each["value"] for name, each in report["measures"].items()}


def test_a_hand_made_case_has_the_figures_of_paper_and_pencil() -> None:
    # Fold a is judged by b's best cut (0.55) and b by a's (0.4); so of a's pairs the 0.5 is
    # wrong (called different), of b's the 0.5 (called alike).
    pairs, embedder = scored(
        [(0.9, 1, "a"), (0.5, 1, "a"), (0.3, 0, "a"), (0.6, 1, "b"), (0.5, 0, "b"), (0.1, 0, "b")]
    )
    report = report_on(pairs, embedder, folds=2)
    assert report["split"]["thresholds"] == pytest.approx([0.4, 0.55])
    assert values(report) == pytest.approx(
        {
            "accuracy": 4 / 6,
            "precision": 2 / 3,
            "recall": 2 / 3,
            "f1": 2 / 3,
            # Of nine comparisons 0.9 wins 3, 0.6 wins 3, 0.5 wins 2 and ties 1.
            "roc_auc": 8.5 / 9,
        }
    )
    assert report["confusion"] == {
        "alike_said_alike": 2,
        "alike_said_different": 1,
        "different_said_alike": 1,
        "different_said_different": 2,
    }
    assert [each["id"] for each in report["worst"]] == ["4", "1"]
    assert report["worst"][0]["where"] == "p:5"
    assert report["baselines"]["majority"]["accuracy"] == 0.5
    # All pairs together: cuts below 0.5 and above it are right for 5 of 6.
    assert report["threshold"]["accuracy_on_the_same_pairs"] == pytest.approx(5 / 6)
    assert report["threshold"]["tied"] == 2
    assert report["threshold"]["value"] == pytest.approx(0.4)


SIXTEENTHS = st.integers(1, 15).map(lambda each: each / 16)  # exact, and so are their gaps


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(SIXTEENTHS, st.integers(0, 1)), min_size=1, max_size=6))
def test_accuracy_is_that_of_a_plain_cross_validation(problem: list[tuple[float, int]]) -> None:
    # Every pair is a group, with enough of both labels to choose from in every fold.
    rows = [(0.75, 1), (0.625, 1), (0.25, 0), (0.125, 0), *problem]
    pairs, _ = scored([(score, label, f"g{i}") for i, (score, label) in enumerate(rows)])
    scores = np.array([score for score, _ in rows])
    split = split_pairs(pairs.pairs, folds=len(rows), seed=0)
    report = judgement(pairs.pairs, split, scores, scores)
    right = 0
    for i, (score, label) in enumerate(rows):
        others = [each for j, each in enumerate(rows) if j != i]
        right += (score >= plain_cut(others)) == (label == 1)
    assert report["measures"]["accuracy"]["value"] == pytest.approx(right / len(rows))
    assert report["gain_over_shared_tokens"]["value"] == 0


def plain_cut(rows: list[tuple[float, int]]) -> float:
    """The best cut by trying them all: most right, then the widest gap, then the lowest."""
    levels = sorted({score for score, _ in rows})
    cuts = [(levels[0], 0.0), (math.nextafter(levels[-1], 2), 0.0)]
    cuts += [((a + b) / 2, b - a) for a, b in itertools.pairwise(levels)]

    def merit(cut: tuple[float, float]) -> tuple[int, float, float]:
        rights = sum((score >= cut[0]) == (label == 1) for score, label in rows)
        return rights, cut[1], -cut[0]

    return max(cuts, key=merit)[0]


def test_every_distinct_snippet_is_embedded_once(tmp_path: Path) -> None:
    rows = family(6)
    rows.append(row(rows[0]["left"]["code"], "something else", 0, group="problem0"))
    embedder = TokenEmbedder()
    told: list[tuple[int, int]] = []
    report = report_on(
        load_pairs(write_lines(tmp_path / "p.jsonl", rows)),
        embedder,
        progress=lambda *each: told.append(each),
    )
    assert len(embedder.asked) == len(set(embedder.asked)) == report["data"]["snippets"] == 25
    assert told == [(0, 25), (25, 25)]


def test_many_snippets_are_embedded_in_several_calls_and_keep_their_place() -> None:
    rows = [(0.9 - (i % 7) / 100, 1, f"g{i}") for i in range(200)]
    rows += [(0.2 + (i % 7) / 100, 0, f"h{i}") for i in range(200)]
    pairs, embedder = scored(rows)
    report = report_on(pairs, embedder)
    assert embedder.calls == 13  # 800 snippets
    assert values(report) == dict.fromkeys(values(report), 1.0)


def test_the_same_seed_gives_the_same_report_and_json_can_hold_it(tmp_path: Path) -> None:
    pairs = load_pairs(write_lines(tmp_path / "p.jsonl", family(12)))
    report = report_on(pairs, seed=3)
    assert json.dumps(report, allow_nan=False) == json.dumps(report_on(pairs, seed=3))
    assert (report["schema_version"], report["kind"]) == (1, "evaluation")
    assert report["split"]["seed"] == 3
    assert (report["split"]["folds"], report["split"]["by"]) == (5, "group")


def test_figures_have_intervals_around_them(tmp_path: Path) -> None:
    noise = np.random.default_rng(0)
    rows = [
        (float(np.clip(0.5 + 0.2 * (label - 0.5) + noise.normal(0, 0.15), -1, 1)), label, f"g{i}")
        for i in range(100)
        for label in (0, 1)
    ]
    report = report_on(*scored(rows))
    for figure in report["measures"].values():
        assert figure["interval"] == "bootstrap"
        assert figure["low"] < figure["value"] < figure["high"]
        assert figure["high"] - figure["low"] < 0.25


def test_without_an_error_the_interval_is_not_a_point() -> None:
    rows = [(0.9, 1, f"g{i}") for i in range(10)] + [(0.1, 0, f"h{i}") for i in range(10)]
    measures = report_on(*scored(rows))["measures"]
    assert measures["accuracy"]["interval"] == "wilson"
    assert measures["accuracy"]["low"] == pytest.approx(0.839, abs=1e-3)  # 20 of 20
    assert measures["recall"]["low"] == pytest.approx(0.722, abs=1e-3)  # 10 of 10
    assert measures["roc_auc"] == {"value": 1.0, "low": None, "high": None, "interval": None}


def test_kinds_and_languages_have_their_own_rows(tmp_path: Path) -> None:
    report = report_on(load_pairs(write_lines(tmp_path / "p.jsonl", family(10))))
    kinds = {each["name"]: each for each in report["by_kind"]}
    assert list(kinds) == ["near_miss", "renamed"]
    assert (kinds["renamed"]["pairs"], kinds["renamed"]["alike"]) == (10, 10)
    assert (kinds["near_miss"]["pairs"], kinds["near_miss"]["alike"]) == (10, 0)
    assert kinds["renamed"]["mean_score"] > kinds["near_miss"]["mean_score"]
    # Each kind has one label: its area is against all pairs of the other label, here the same.
    assert kinds["renamed"]["roc_auc"]["value"] == report["measures"]["roc_auc"]["value"]
    assert kinds["renamed"]["f1"] is None
    total = sum(each["pairs"] * each["accuracy"]["value"] for each in kinds.values())
    assert total / 20 == pytest.approx(report["measures"]["accuracy"]["value"])
    (languages,) = report["by_languages"]
    assert languages["name"] == "java-python"
    assert languages["f1"] == report["measures"]["f1"]["value"]
    assert languages["roc_auc"] == report["measures"]["roc_auc"]


def test_a_kind_is_compared_with_all_pairs_of_the_other_label() -> None:
    # Of two kinds that are not alike, one scores below every pair that is, one between them.
    rows = [(0.9, 1, "a"), (0.5, 1, "b"), (0.1, 0, "c"), (0.7, 0, "d")] * 2
    pairs, embedder = scored([(s, label, f"{g}{i}") for i, (s, label, g) in enumerate(rows)])
    kinds = {"a": "same", "b": "same", "c": "easy", "d": "hard"}
    named = tuple(replace(pair, kind=kinds[pair.groups[0][0]]) for pair in pairs.pairs)
    report = report_on(replace(pairs, pairs=named), embedder, folds=2)
    areas = {each["name"]: each["roc_auc"]["value"] for each in report["by_kind"]}
    assert areas == {"easy": 1.0, "hard": 0.5, "same": 0.75}


def test_the_baseline_of_shared_tokens_is_jaccards_index(tmp_path: Path) -> None:
    rows = [
        row("a b c", "a b d", 1, group="1"),  # 2 of 4
        row("f(x)", "f(y)", 0, group="1"),  # f ( ) of f ( ) x y: 3 of 5
        row("p q", "p q p", 1, group="2"),  # all
        row("u v", "w", 0, group="2"),  # none
    ]
    report = report_on(load_pairs(write_lines(tmp_path / "p.jsonl", rows)), folds=2)
    # 0.5 and 1.0 are alike, 0.6 and 0.0 are not: three of four comparisons are won.
    assert report["baselines"]["shared_tokens"]["roc_auc"]["value"] == 0.75
    gain = report["gain_over_shared_tokens"]["value"]
    tokens = report["baselines"]["shared_tokens"]["accuracy"]["value"]
    assert gain == pytest.approx(report["measures"]["accuracy"]["value"] - tokens)


def test_a_model_that_gives_the_same_vector_to_all_is_told_by_its_figures() -> None:
    pairs, embedder = scored([(0.5, i % 2, f"g{i // 2}") for i in range(20)])
    report = report_on(pairs, embedder)
    assert values(report)["roc_auc"] == 0.5
    assert values(report)["accuracy"] == 0.5


def test_no_pair_called_alike_leaves_precision_undefined() -> None:
    rows = [(0.5, 0, f"g{i}") for i in range(30)] + [(0.5, 1, "g0"), (0.5, 1, "g1")]
    rows += [(0.5, 1, "g2")]
    report = report_on(*scored(rows), folds=2)
    precision = report["measures"]["precision"]
    assert precision == {"value": None, "low": None, "high": None, "interval": None}
    assert values(report)["f1"] == 0.0
    assert values(report)["accuracy"] == report["baselines"]["majority"]["accuracy"]


@pytest.mark.parametrize("bad", [[np.nan, 0], [np.inf, 0], [0.0, 0.0], [1.0, np.nan]])
def test_vectors_that_mean_nothing_are_told_with_the_pair(bad: list[float]) -> None:
    pairs, embedder = scored([(0.9, 1, "a"), (0.1, 0, "a"), (0.8, 1, "b"), (0.2, 0, "b")])
    embedder.vectors["r2.."] = bad
    with pytest.raises(BackendError, match=r"no usable vector .* for 1 of 8 snippets") as caught:
        report_on(pairs, embedder)
    assert caught.value.where == "p:3"
    assert not caught.value.retryable


@pytest.mark.parametrize("shape", [(3, 2), (8,), (8, 2, 1), (0, 2)])
def test_answers_of_another_shape_are_told(shape: tuple[int, ...]) -> None:
    class Broken(Given):
        async def embed(self, texts: Sequence[str]) -> Any:
            return np.ones(shape, dtype=np.float32)

    pairs, _ = scored([(0.9, 1, "a"), (0.1, 0, "a"), (0.8, 1, "b"), (0.2, 0, "b")])
    with pytest.raises(BackendError, match="expected a row of one length for each"):
        report_on(pairs, Broken({}))


def test_vectors_need_not_have_length_one() -> None:
    rows = [(0.9, 1, "a"), (0.1, 0, "a"), (0.8, 1, "b"), (0.2, 0, "b")]
    pairs, embedder = scored(rows)
    plain = report_on(pairs, embedder, folds=2)
    embedder.vectors = {text: [3 * x for x in each] for text, each in embedder.vectors.items()}
    assert report_on(pairs, embedder, folds=2)["threshold"]["value"] == pytest.approx(
        plain["threshold"]["value"]
    )


def test_retrieval_is_measured_where_the_set_is_one(tmp_path: Path) -> None:
    rows = [
        {"label": str(problem), "index": f"{problem}-{i}", "code": f"p{problem} q{problem} r{i}"}
        for problem in range(8)
        for i in range(5)
    ]
    pairs = load_pairs(write_lines(tmp_path / "test.jsonl", rows))
    report = report_on(pairs)
    assert values(report)["accuracy"] > 0.9  # sides are numbered before the other programs
    retrieval = report["retrieval"]
    assert (retrieval["programs"], retrieval["problems"]) == (40, 8)
    assert (retrieval["least_r"], retrieval["most_r"]) == (4, 4)
    assert retrieval["map_at_r"] > 0.9
    assert retrieval["low"] <= retrieval["map_at_r"] <= retrieval["high"]


def test_pairs_without_groups_are_split_by_their_snippets(tmp_path: Path) -> None:
    folder = tmp_path
    write_lines(
        folder / "data.jsonl",
        [{"func": f"k{i % 3} m{i % 3} n{i}", "idx": i} for i in range(30)],
    )
    lines = [f"{i} {j} {int(i % 3 == j % 3)}\n" for i in range(30) for j in range(i)]
    (folder / "test.txt").write_text("".join(lines))
    report = report_on(load_pairs(folder))
    assert report["split"]["by"] == "snippet"
    assert report["split"]["groups"] == 30
    assert values(report)["accuracy"] > 0.95


def test_a_group_of_two_names_is_kept_apart_from_both() -> None:
    def pair(i: int, label: int, *groups: str) -> Pair:
        left, right = (Code(language="c", text=f"{side}{i}") for side in "lr")
        return Pair(id=str(i), left=left, right=right, label=label, groups=groups, where="p:1")

    names = [f"g{i:02}" for i in range(20)]
    pairs = [pair(i, 1, name) for i, name in enumerate(names)]
    pairs += [pair(10 + i, 0, *sorted({name, names[i - 1]})) for i, name in enumerate(names)]
    scores = np.array([0.8] * 20 + [0.2] * 20)
    found = judgement(pairs, split_pairs(pairs, folds=5, seed=0), scores, scores)
    assert found["split"]["groups"] == 20
    assert found["measures"]["accuracy"]["value"] == 1.0
