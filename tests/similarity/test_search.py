from __future__ import annotations

import numpy as np
import pytest

from tests.similarity.given import collection, place, snippet
from trueup.similarity.search import best_pairs, comparable, nearest_matches, score_of


def never(*_: object) -> bool:
    return False


def vector(*values: float) -> np.ndarray:
    row = np.array(values, np.float32)
    return row / np.linalg.norm(row)


def test_the_nearest_come_first_and_copies_stand_with_them() -> None:
    held = collection(
        [("x.py", 1), ("y.py", 9)], vector(1, 0),
        [("z.py", 1)], vector(1, 1),
        [("w.py", 1)], vector(0, 1),
    )  # fmt: skip
    asked = [(snippet("q.py"), vector(1, 0.1))]
    (found,) = nearest_matches(held, asked, top=2, min_score=None, is_query_itself=never)
    assert [each.place.path for each in found] == ["x.py", "z.py"]
    assert [each.path for each in found[0].copies] == ["y.py"]
    assert found[0].score == score_of(1 / np.sqrt(1.01))


def test_nothing_below_the_least_score_is_given() -> None:
    held = collection([("x.py", 1)], vector(1, 0), [("y.py", 1)], vector(0, 1))
    asked = [(snippet("q.py"), vector(1, 0))]
    for least, paths in ((0.5, ["x.py"]), (-1.0, ["x.py", "y.py"]), (1.0, ["x.py"])):
        (found,) = nearest_matches(held, asked, top=9, min_score=least, is_query_itself=never)
        assert [each.place.path for each in found] == paths


def test_the_query_itself_is_left_out_and_its_copies_are_not() -> None:
    held = collection([("q.py", 1), ("copy.py", 1)], vector(1, 0))
    asked = [(snippet("q.py"), vector(1, 0))]
    (found,) = nearest_matches(
        held,
        asked,
        top=9,
        min_score=None,
        is_query_itself=lambda query, other: query.path == other.path,
    )
    assert [each.place.path for each in found] == ["copy.py"]
    assert found[0].copies == ()


def test_functions_are_compared_with_functions_and_files_with_everything() -> None:
    assert comparable("function", "function")
    assert not comparable("function", "class")
    assert comparable("file", "class")
    assert comparable("class", "file")
    held = collection([place("x.py", kind="class")], vector(1, 0), [place("y.py")], vector(0, 1))
    asked = [(snippet("q.py"), vector(1, 0))]
    (found,) = nearest_matches(held, asked, top=9, min_score=None, is_query_itself=never)
    assert [each.place.path for each in found] == ["y.py"]


def test_an_empty_collection_and_an_empty_query_give_nothing() -> None:
    asked = [(snippet("q.py"), vector(1, 0))]
    empty = collection()
    assert nearest_matches(empty, asked, top=9, min_score=None, is_query_itself=never) == [[]]
    held = collection([("x.py", 1)], vector(1, 0))
    assert nearest_matches(held, [], top=9, min_score=None, is_query_itself=never) == []


def test_each_snippet_of_two_files_is_in_one_pair_at_most() -> None:
    one = [(snippet("a.py", 1), vector(1, 0)), (snippet("a.py", 9), vector(1, 1))]
    two = [(snippet("b.py", 1), vector(1, 0)), (snippet("b.py", 9), vector(0, 1)),
           (snippet("b.py", 19), vector(1, 0.9))]  # fmt: skip
    pairs = best_pairs(one, two, min_score=None)
    assert [(each.first.first_line, each.second.first_line) for each in pairs] == [(1, 1), (9, 19)]
    assert pairs[0].score == 1.0
    assert best_pairs(one, two, min_score=0.9999) == pairs[:1]
    assert best_pairs([], two, min_score=None) == []


@pytest.mark.parametrize(("value", "shown"), [(1.0000001, 1.0), (-1.1, -1.0), (0.123456, 0.1235)])
def test_a_score_stays_a_cosine(value: float, shown: float) -> None:
    assert score_of(value) == shown
