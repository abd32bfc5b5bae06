from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.suite.cases import whole_report
from trueup.errors import UsageError
from trueup.suite.baseline import changes, read_baseline


def row(identity: str, state: str, value: float | None = None) -> dict[str, Any]:
    figures = [] if value is None else [{"unit": "s", "value": value}]
    return {"id": identity, "state": state, "figures": figures}


def test_what_changed_since_an_earlier_run() -> None:
    before = [
        row("was-good", "passed"), row("was-bad", "failed"), row("was-skipped", "skipped"),
        row("gone", "passed"), row("slow", "passed", 1.0), row("not-much", "passed", 1.0),
        row("tiny", "passed", 0.01), row("same", "failed"), row("not-run", "passed"),
        row("now-skipped", "passed"), row("unasked", "passed"),
    ]  # fmt: skip
    now = [
        row("was-good", "failed"), row("was-bad", "passed"), row("was-skipped", "passed"),
        row("slow", "passed", 2.0), row("not-much", "passed", 1.4), row("tiny", "passed", 0.2),
        row("same", "failed"), row("not-run", "not_run"), row("now-skipped", "skipped"),
        row("added", "failed"),
    ]  # fmt: skip
    found = changes({"cases": before}, now, is_chosen=lambda identity: identity != "unasked")
    assert {kind: [each["id"] for each in rows] for kind, rows in found.items()} == {
        "broken": ["was-good", "now-skipped"],
        "fixed": ["was-bad", "was-skipped"],
        "slower": ["slow"],
        "new": ["added"],
        "gone": ["gone"],
    }
    assert found["slower"] == [{"id": "slow", "before": 1.0, "now": 2.0}]
    assert found["broken"][0] == {"id": "was-good", "before": "passed", "now": "failed"}


def test_a_report_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "base.json"
    path.write_text(json.dumps(whole_report()))
    report = read_baseline(path)
    found = changes(report, report["cases"])
    assert not any(found.values())


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        ("{", "the baseline is no JSON"),
        ("[" * 100_000, "the baseline is no JSON"),
        ("\udcff", "the baseline is no JSON"),
        ("[]", "the baseline has kind `None`"),
        ('{"kind": "check", "schema_version": 1}', "the baseline has kind `check`"),
        ('{"kind": "suite", "schema_version": 2, "cases": []}', "schema_version `2`"),
        ('{"kind": "suite", "schema_version": 1, "cases": [3]}', "expected the report of a suite"),
    ],
)
def test_what_is_no_report_of_a_suite_is_refused(content: str, cause: str, tmp_path: Path) -> None:
    path = tmp_path / "base.json"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(UsageError) as caught:
        read_baseline(path)
    assert cause in caught.value.cause
    assert caught.value.hint == "write one: trueup suite --report baseline.json"


def test_a_baseline_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        read_baseline(tmp_path / "none.json")
