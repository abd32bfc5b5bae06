from __future__ import annotations

import numpy as np
import pytest

from tests.similarity.given import collection, place
from trueup.similarity import duplicates
from trueup.similarity.duplicates import find_duplicates


def vector(degrees: float, axis: int = 0) -> np.ndarray:
    row = np.zeros(8, np.float32)
    row[axis] = np.cos(np.radians(degrees))
    row[axis + 1] = np.sin(np.radians(degrees))
    return row


def test_each_pair_is_told_once_the_best_first() -> None:
    held = collection(
        [place("a.py")], vector(0),
        [place("b.py")], vector(10),
        [place("c.py")], vector(25),
        [place("d.py")], vector(0, axis=4),
    )  # fmt: skip
    found = find_duplicates(held, min_score=0.9, top=50)
    assert [(each.first.path, each.second.path, each.score) for each in found.pairs] == [
        ("a.py", "b.py", 0.9848), ("b.py", "c.py", 0.9659), ("a.py", "c.py", 0.9063),
    ]  # fmt: skip
    assert (found.groups, found.within_count, found.left_out_count) == ((), 0, 0)
    assert found.best_score == 0.9848


def test_the_same_text_is_a_group_and_never_a_pair() -> None:
    held = collection([place("a.py"), place("b.py", 7), place("b.py", 40)], vector(0))
    found = find_duplicates(held, min_score=0.9, top=50)
    ((group,), pairs) = found.groups, found.pairs
    assert [(each.path, each.first_line) for each in group.places] == [
        ("a.py", 1), ("b.py", 7), ("b.py", 40),
    ]  # fmt: skip
    assert pairs == ()
    assert found.best_score == 1.0


def test_a_class_and_what_lies_within_it_are_no_pair() -> None:
    held = collection(
        [place("a.py", 1, 30, "class")], vector(0),
        [place("a.py", 5, 25, "class")], vector(1),
        [place("a.py", 6, 9)], vector(0),
    )  # fmt: skip
    found = find_duplicates(held, min_score=0.5, top=50)
    assert found.pairs == ()
    assert (found.left_out_count, found.best_score) == (0, None)


def test_a_copy_elsewhere_of_what_lies_within_is_a_pair() -> None:
    held = collection(
        [place("a.py", 1, 30, "class")], vector(0),
        [place("a.py", 5, 25, "class"), place("b.py", 1, 21, "class")], vector(1),
    )  # fmt: skip
    found = find_duplicates(held, min_score=0.5, top=50)
    assert [(each.first.path, each.second.path) for each in found.pairs] == [("a.py", "b.py")]
    assert [each.path for each in found.pairs[0].second_copies] == ["a.py"]


def test_the_methods_of_alike_classes_are_counted_and_not_repeated() -> None:
    held = collection(
        [place("a.py", 1, 30, "class")], vector(0),
        [place("a.py", 5, 9)], vector(0, axis=2),
        [place("a.py", 11, 20), place("b.py", 11, 20)], vector(0, axis=4),
        [place("b.py", 1, 30, "class")], vector(8),
        [place("b.py", 5, 9)], vector(8, axis=2),
    )  # fmt: skip
    found = find_duplicates(held, min_score=0.9, top=50)
    assert [each.first.kind for each in found.pairs] == ["class"]
    assert found.within_count == 1
    assert len(found.groups) == 1


def test_groups_within_a_group_are_counted_and_not_repeated() -> None:
    held = collection(
        [place("a.py", 1, 30, "class"), place("b.py", 1, 30, "class")], vector(0),
        [place("a.py", 5, 9), place("b.py", 5, 9)], vector(0, axis=2),
        [place("a.py", 11, 15), place("b.py", 11, 15), place("c.py", 1, 5)], vector(0, axis=4),
    )  # fmt: skip
    found = find_duplicates(held, min_score=0.9, top=50)
    assert [len(group.places) for group in found.groups] == [2, 3]
    assert found.groups[0].places[0].kind == "class"
    assert found.within_count == 1


def test_what_is_too_much_is_counted_and_the_best_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(duplicates, "BLOCK_TEXTS", 7)
    monkeypatch.setattr(duplicates, "CANDIDATES_MAX", 30)
    given = []
    for number in range(40):
        given += [[place(f"{number:02}.py")], vector(number / 4)]
    found = find_duplicates(collection(*given), min_score=0.9, top=10)
    assert len(found.pairs) == 10
    assert {each.score for each in found.pairs} == {1.0}
    assert [(each.first.path[:2], each.second.path[:2]) for each in found.pairs] == [
        (f"{number // 2:02}", f"{number // 2 + 1 + number % 2:02}") for number in range(10)
    ]
    assert found.left_out_count == 40 * 39 // 2 - 10


def test_the_order_does_not_depend_on_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(5)
    given = []
    for number in range(50):
        row = random.normal(size=8).astype(np.float32)
        given += [[place(f"{number:02}.py")], row / np.linalg.norm(row)]
    held = collection(*given)
    whole = find_duplicates(held, min_score=0.3, top=2000)
    expected = {
        (f"{i:02}.py", f"{j:02}.py")
        for i in range(50)
        for j in range(i + 1, 50)
        if round(float(held.matrix[i] @ held.matrix[j]), 4) >= 0.3
    }
    assert {(each.first.path, each.second.path) for each in whole.pairs} == expected
    monkeypatch.setattr(duplicates, "BLOCK_TEXTS", 9)
    assert find_duplicates(held, min_score=0.3, top=2000) == whole


def test_nothing_is_alike_in_an_empty_collection() -> None:
    assert find_duplicates(collection(), min_score=0.9, top=5).pairs == ()
