from __future__ import annotations

import json
from typing import Any

import pytest

from tests.suite.cases import result, subject, whole_report
from trueup.suite.case import Figure, State
from trueup.suite.report import build_report, summary


@pytest.mark.parametrize(
    ("states", "text"),
    [
        (["passed"] * 9 + ["failed"] * 2, "9 of 11, 81.8 %"),
        (["passed"] * 3, "3 of 3, 100.0 %"),
        (["passed"] * 1999 + ["failed"], "1999 of 2000, 99.9 %"),
        (["passed"] + ["failed"] * 5000, "1 of 5001, 0.1 %"),
        (["passed", "skipped", "not_run", "failed"], "1 of 4, 25.0 %"),
        (["failed"], "0 of 1, 0.0 %"),
        ([], "0 of 0, 0.0 %"),
    ],
)
def test_the_pass_rate_is_of_all_cases(states: list[State], text: str) -> None:
    found = summary([result(f"a/{number}", state) for number, state in enumerate(states)])
    assert found["text"] == text
    assert found["cases"] == len(states)


def test_the_report_is_json_with_its_version_and_every_case() -> None:
    report = json.loads(json.dumps(whole_report()))
    assert list(report) == [
        "schema_version", "kind", "trueup", "started_at", "seconds", "is_static", "is_interrupted",
        "environment", "summary", "subjects", "cases", "baseline",
    ]  # fmt: skip
    assert (report["schema_version"], report["kind"]) == (1, "suite")
    assert report["summary"]["text"] == "3 of 9, 33.3 %"
    assert {key: report["summary"][key] for key in ("passed", "failed", "skipped", "not_run")} == {
        "passed": 3, "failed": 3, "skipped": 2, "not_run": 1,
    }  # fmt: skip
    slow = next(each for each in report["cases"] if each["id"] == "glm/answer-zh")
    assert slow["where"] == {
        "text": "/repo/p.yaml:7: prompts[1]",
        "path": "/repo/p.yaml",
        "line": 7,
    }
    assert slow["figures"][0] == {
        "name": "answer", "value": 7.0, "unit": "s", "limit": 5.0, "is_floor": False,
        "is_met": False,
    }  # fmt: skip
    assert slow["instead"] == "`far`, which is faster"
    glm = report["subjects"][0]
    assert (glm["title"], glm["summary"]["text"]) == ("glm", "2 of 4, 50.0 %")
    assert glm["plan"]["dtype"] == "float32"


def test_a_problem_without_a_place_is_at_its_subjects() -> None:
    bare = next(each for each in whole_report()["cases"] if each["id"] == "glm/bare")
    assert bare["where"] == {
        "text": "trueup.yaml:3: models.glm", "path": "trueup.yaml", "line": 3,
    }  # fmt: skip
    far = next(each for each in whole_report()["cases"] if each["id"] == "far/reach")
    assert far["where"] is None


@pytest.mark.parametrize(
    ("value", "limit", "is_floor", "is_met"),
    [
        (5.0, 5.0, False, True),
        (5.1, 5.0, False, False),
        (0.85, 0.85, True, True),
        (0.84, 0.85, True, False),
        (99.0, None, False, True),
    ],
)
def test_a_figure_keeps_to_its_limit(
    value: float, limit: float | None, is_floor: bool, is_met: bool
) -> None:
    figure = Figure(name="x", value=value, unit="s", limit=limit, is_floor=is_floor)
    assert figure.is_met is is_met


def test_titles_say_what_a_subject_is() -> None:
    titles: dict[str, Any] = {
        "m": subject("m"),
        "m as r": subject("m", "member", role="r"),
        "the role r": subject("r", "role"),
        "a and b": subject("b", "comparison", chain=("a", "b")),
    }
    assert [each.title for each in titles.values()] == list(titles)


def test_a_report_of_nothing_is_a_report() -> None:
    report = build_report([], [], started_at="", seconds=0, environment={})
    assert report["summary"]["pass_rate"] == 0.0
