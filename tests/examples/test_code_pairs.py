"""The labelled pairs of code say what the sources do when they run."""

from __future__ import annotations

import importlib
import json
import re
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "code_pairs"
sys.path.insert(0, str(FOLDER))
try:
    build, verify = (importlib.import_module(name) for name in ("build", "verify"))
finally:
    sys.path.remove(str(FOLDER))

GROUPS = {group.name: group for group in build.read_groups()}
ROWS = [json.loads(line) for line in (FOLDER / "pairs.jsonl").read_text("utf-8").splitlines()]
COUPLES = json.loads((FOLDER / "unrelated.json").read_text("utf-8"))["couples"]


def tokens(code: str) -> set[str]:
    return set(re.findall(r"\w+|[^\w\s]", code))


def token_overlap(row: dict[str, Any]) -> float:
    left, right = (tokens(row[side]["code"]) for side in ("left", "right"))
    return len(left & right) / len(left | right)


def name_overlap(row: dict[str, Any]) -> float:
    left, right = (
        set(re.findall(r"[A-Za-z_]\w+", row[side]["code"])) for side in ("left", "right")
    )
    return len(left & right) / len(left | right)


def length_ratio(row: dict[str, Any]) -> float:
    lengths = sorted(len(row[side]["code"]) for side in ("left", "right"))
    return lengths[0] / lengths[1]


def same_language(row: dict[str, Any]) -> float:
    return float(row["left"]["language"] == row["right"]["language"])


def area_under_curve(feature: Callable[[dict[str, Any]], float]) -> float:
    """Chance that a pair labelled 1 has more of the feature than one labelled 0."""
    values = [[feature(row) for row in ROWS if row["label"] == label] for label in (0, 1)]
    wins = sum((one > zero) + (one == zero) / 2 for one in values[1] for zero in values[0])
    return wins / len(values[0]) / len(values[1])


def test_the_pairs_are_what_the_sources_give() -> None:
    assert build.main(["--check"]) == 0


def test_check_sees_a_changed_pair(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = tmp_path / "pairs.jsonl"
    changed.write_text(build.PAIRS.read_text("utf-8").replace('"label": 1', '"label": 0', 1))
    monkeypatch.setattr(build, "PAIRS", changed)
    assert build.main(["--check"]) == 1
    assert "run build.py" in capsys.readouterr().err


@pytest.mark.parametrize("name", GROUPS)
def test_python_variants_answer_as_their_labels_say(name: str) -> None:
    group = GROUPS[name]
    cases = build.read_cases(name)
    expected = verify.run_python(group.same[0].code, cases)
    assert not [answer for answer in expected if isinstance(answer, dict) and "raises" in answer]
    faults = {
        variant.path.name: fault
        for variant in (*group.same, *group.near)
        if variant.language == "python"
        and (fault := verify.fault_of(variant, cases, expected)) is not None
    }
    assert not faults


@pytest.mark.parametrize("name", GROUPS)
def test_the_cases_of_a_group_ask_for_different_answers(name: str) -> None:
    answers = verify.run_python(GROUPS[name].same[0].code, build.read_cases(name))
    assert len({json.dumps(answer) for answer in answers}) > 1


@pytest.mark.parametrize("couple", COUPLES, ids="-".join)
def test_functions_paired_as_unrelated_answer_differently(couple: list[str]) -> None:
    one, other = (GROUPS[name].same[0].code for name in couple)
    cases = build.read_cases(couple[1])
    assert not verify.same(verify.run_python(one, cases), verify.run_python(other, cases))


def test_a_near_miss_that_misses_nothing_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    group = GROUPS["slugify"]
    cases = build.read_cases(group.name)
    expected = verify.run_python(group.same[0].code, cases)
    monkeypatch.setitem(group.near[0].__dict__, "code", group.same[0].code)
    assert verify.fault_of(group.near[0], cases, expected) == "answers every case like base.py"


def test_a_variant_that_answers_otherwise_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    group = GROUPS["slugify"]
    variant = next(variant for variant in group.same if variant.role == "renamed")
    cases = build.read_cases(group.name)
    expected = verify.run_python(group.same[0].code, cases)
    wrong = variant.code.replace('strip("-")', "strip()")
    monkeypatch.setitem(variant.__dict__, "code", wrong)
    assert "gives" in verify.fault_of(variant, cases, expected)


def test_there_are_as_many_pairs_as_promised_and_half_of_them_are_the_same() -> None:
    labels = Counter(row["label"] for row in ROWS)
    assert len(ROWS) >= 300
    assert abs(labels[0] - labels[1]) <= len(ROWS) * 0.05


def test_every_kind_has_pairs_and_goes_with_one_label() -> None:
    labels = {kind: {row["label"] for row in ROWS if row["kind"] == kind} for kind in kinds()}
    assert labels == {
        "renamed": {1},
        "reordered": {1},
        "rewritten": {1},
        "translated": {1},
        "near_miss": {0},
        "unrelated": {0},
    }


def kinds() -> set[str]:
    return {row["kind"] for row in ROWS}


def test_ids_are_unique_and_no_pair_comes_twice() -> None:
    texts = [frozenset(row[side]["code"] for side in ("left", "right")) for row in ROWS]
    assert len({row["id"] for row in ROWS}) == len(ROWS)
    assert len(set(texts)) == len(ROWS)


def test_no_pair_has_the_same_text_on_both_sides() -> None:
    assert not [row["id"] for row in ROWS if row["left"]["code"] == row["right"]["code"]]


def test_only_unrelated_pairs_name_two_groups() -> None:
    for row in ROWS:
        names = row["group"] if isinstance(row["group"], list) else [row["group"]]
        assert len(names) == (2 if row["kind"] == "unrelated" else 1), row["id"]
        assert set(names) <= GROUPS.keys()


def test_every_source_is_in_a_pair() -> None:
    used = {row[side]["code"] for row in ROWS for side in ("left", "right")}
    variants = [v for group in GROUPS.values() for v in (*group.same, *group.near)]
    assert {variant.code for variant in variants} == used


def test_neither_ids_nor_code_name_the_label() -> None:
    telling = re.compile(r"near_?miss|unrelated|rewritten|renamed|translated|buggy|wrong", re.I)
    told = [
        row["id"]
        for row in ROWS
        if telling.search(row["id"] + row["left"]["code"] + row["right"]["code"])
    ]
    assert not told


@pytest.mark.parametrize("feature", [token_overlap, name_overlap, length_ratio, same_language])
def test_no_feature_of_the_surface_tells_the_labels_apart(
    feature: Callable[[dict[str, Any]], float],
) -> None:
    assert 0.4 < area_under_curve(feature) < 0.6


def test_the_readme_counts_what_is_there() -> None:
    readme = (FOLDER / "README.md").read_text("utf-8")
    counts = build.tables(build.compose())
    for name in ("kind", "language"):
        for key, count in counts[name].items():
            assert f"| {key} | {count} |" in readme
    assert f"{len(ROWS)} pairs" in readme
    assert f"{len(GROUPS)} problems" in readme
