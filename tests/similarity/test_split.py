from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trueup.errors import ConfigError
from trueup.similarity.pair import Code, Pair
from trueup.similarity.split import cells, membership, split_pairs
from trueup.similarity.threshold import Cell, thresholds


@st.composite
def grouped(draw: st.DrawFn) -> dict[str, Any]:
    """Pairs with no, one or two groups each, and snippets that groups may share."""
    count = draw(st.integers(6, 40))
    most = draw(st.sampled_from([0, 1, 2]))
    name = st.sampled_from([f"g{i}" for i in range(12)])
    groups = [
        tuple(draw(st.sets(name, min_size=1, max_size=most))) if most else () for _ in range(count)
    ]
    snippet = st.integers(0, draw(st.sampled_from([8, 200])))
    return {
        "groups": groups,
        "sides": np.array([(draw(snippet), draw(snippet)) for _ in range(count)]),
        "folds": draw(st.integers(2, 6)),
        "seed": draw(st.integers(0, 5)),
    }


def split_of(data: dict[str, Any]) -> list[Cell]:
    members = membership(data["groups"], data["sides"], data["folds"])
    if members.count < data["folds"]:
        return []
    return cells(members, data["sides"], folds=data["folds"], seed=data["seed"])


@settings(max_examples=200, deadline=None)
@given(grouped())
def test_what_chooses_a_threshold_shares_neither_group_nor_snippet_with_what_it_judges(
    data: dict[str, Any],
) -> None:
    for cell in split_of(data):
        judged, chosen_on = cell.judged.tolist(), cell.chosen_on.tolist()
        for what in (
            lambda i: set(data["groups"][i]),
            lambda i: set(data["sides"][i].tolist()),
            lambda i: {i},
        ):
            seen = set().union(*map(what, chosen_on))
            assert seen.isdisjoint(set().union(*map(what, judged)))


@settings(max_examples=100, deadline=None)
@given(grouped())
def test_every_pair_is_judged_once_and_the_seed_decides_how(data: dict[str, Any]) -> None:
    split = split_of(data)
    if split:
        judged = sorted(i for cell in split for i in cell.judged.tolist())
        assert judged == list(range(len(data["groups"])))
        again = split_of(data)
        assert [cell.judged.tolist() for cell in again] == [c.judged.tolist() for c in split]


def test_a_pair_never_meets_a_threshold_that_its_own_base_problem_chose() -> None:
    # Two problems whose scores lie apart. A split within problems would find a threshold that is
    # right for 3 of 4 pairs; from the other problem alone it can be right for half of them only.
    scores = np.array([0.9, 0.8, 0.2, 0.1])
    labels = np.array([1, 0, 1, 0])
    sides = np.arange(8).reshape(4, 2)
    members = membership([("a",), ("a",), ("b",), ("b",)], sides, 2)
    split = cells(members, sides, folds=2, seed=0)
    chosen = thresholds(scores, labels, split)
    assert chosen.tolist() == pytest.approx([0.15, 0.15, 0.85, 0.85])
    assert ((scores >= chosen) == (labels == 1)).mean() == 0.5


def test_folds_are_even_in_pairs() -> None:
    groups = [(f"g{i % 10}",) for i in range(100)]
    sides = np.arange(200).reshape(100, 2)
    split = cells(membership(groups, sides, 5), sides, folds=5, seed=1)
    assert [len(cell.judged) for cell in split] == [20] * 5
    assert [len(cell.chosen_on) for cell in split] == [80] * 5


def test_a_large_group_gets_a_fold_of_its_own() -> None:
    groups = [("small0",)] * 10 + [("large",)] * 50 + [(f"small{i}",) for i in range(1, 5)] * 10
    sides = np.arange(200).reshape(100, 2)
    for seed in range(5):
        split = cells(membership(groups, sides, 2), sides, folds=2, seed=seed)
        assert [len(cell.judged) for cell in split] == [50, 50]


def test_pairs_without_groups_are_grouped_by_what_they_share() -> None:
    chain = np.array([(0, 1), (1, 2), (3, 4), (4, 5), (6, 7), (8, 9)])
    members = membership([()] * 6, chain, 3)
    assert (members.by, members.count) == ("shared snippets", 4)
    assert members.groups[0] == members.groups[1] != members.groups[2]


def test_groups_that_pairs_or_snippets_link_are_one() -> None:
    groups = [("a",), ("b",), ("a", "b"), ("c",), ("d",), ("e",), ("f",), ("g",)]
    sides = np.arange(16).reshape(8, 2)
    sides[4, 0] = sides[3, 0]  # c and d have a snippet in common
    members = membership(groups, sides, 2)
    assert (members.by, members.count) == ("joined group", 5)
    assert members.groups[:, 0].tolist() == [0, 0, 0, 1, 1, 2, 3, 4]
    for cell in cells(members, sides, folds=2, seed=0):
        assert len(cell.judged) + len(cell.chosen_on) == 8


def test_groups_that_are_all_linked_stay_apart() -> None:
    groups = [("a",), ("b",), ("c",), ("d",), ("a", "b"), ("b", "c"), ("c", "d")]
    members = membership(groups, np.arange(14).reshape(7, 2), 2)
    assert (members.by, members.count) == ("group", 4)
    assert members.groups.tolist() == [[0, -1], [1, -1], [2, -1], [3, -1], [0, 1], [1, 2], [2, 3]]


def test_where_everything_hangs_together_each_snippet_is_a_group() -> None:
    dense = np.array(list(itertools.combinations(range(8), 2)))
    members = membership([()] * len(dense), dense, 4)
    assert (members.by, members.count) == ("snippet", 8)
    for cell in cells(members, dense, folds=4, seed=0):
        assert not set(dense[cell.judged].ravel()) & set(dense[cell.chosen_on].ravel())
        assert len(cell.chosen_on)


def test_too_few_groups_are_told() -> None:
    sides = np.arange(8).reshape(4, 2)
    members = membership([("a",)] * 4, sides, 5)
    with pytest.raises(ConfigError, match="5 folds and 1 group,"):
        cells(members, sides, folds=5, seed=0)


def pairs_of(rows: list[tuple[int, str]]) -> list[Pair]:
    return [
        Pair(
            id=str(i),
            left=Code(language="c", text=f"l{i}"),
            right=Code(language="c", text=f"r{i}"),
            label=label,
            groups=(group,),
            where=f"p.jsonl:{i + 1}",
        )
        for i, (label, group) in enumerate(rows)
    ]


def test_folds_that_leave_one_label_are_told() -> None:
    pairs = pairs_of([(1, "a"), (1, "a"), (0, "b"), (0, "b")])
    with pytest.raises(ConfigError, match=r"2 pairs .* a threshold from label `[01]` alone"):
        split_pairs(pairs, folds=2, seed=0)


def test_folds_that_leave_no_pairs_are_told() -> None:
    pairs = pairs_of([(1, "a"), (0, "a"), (1, "b"), (0, "b")])
    shared = [replace(pair, left=pairs[0].left) for pair in pairs]
    with pytest.raises(ConfigError, match="a threshold from no pairs"):
        split_pairs(shared, folds=2, seed=0)


@pytest.mark.parametrize("label", [0, 1])
def test_one_label_alone_is_told(label: int) -> None:
    with pytest.raises(ConfigError, match=f"all of 6 pairs have label `{label}`") as caught:
        split_pairs(pairs_of([(label, f"g{i}") for i in range(6)]), folds=None, seed=0)
    assert caught.value.where == "p.jsonl"


def test_fewer_groups_make_fewer_folds_unless_folds_are_asked_for() -> None:
    pairs = pairs_of([(1, "a"), (0, "a"), (1, "b"), (0, "b"), (1, "c"), (0, "c")])
    assert split_pairs(pairs, folds=None, seed=0).folds == 3
    with pytest.raises(ConfigError, match="5 folds and 3 groups"):
        split_pairs(pairs, folds=5, seed=0)
    with pytest.raises(ConfigError, match="2 folds and 1 group,"):
        split_pairs(pairs[:2], folds=None, seed=0)
