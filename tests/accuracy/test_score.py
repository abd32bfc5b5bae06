from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from benchmarks.accuracy import report, score
from benchmarks.accuracy.cause import Cause

OK: dict[str, Any] = {"outcome": "ok"}


def failed(exception: str, message: str = "told") -> dict[str, Any]:
    return {"outcome": "failed", "exception": exception, "message": message, "frame": None}


def said(stage: str, exception: str | None, text: str = "told") -> Cause:
    return Cause(stage=stage, exception=exception, text=text, code="X1")


def verdicts(stages: dict[str, Any], *predictions: Cause) -> list[tuple[str, str]]:
    found = score.rows("own", "own", "5.0.0", stages, predictions, Path())
    return [(row.stage, row.verdict) for row in found]


def test_a_prediction_of_what_happened_is_right() -> None:
    assert verdicts({"load": failed("KeyError")}, said("load", "KeyError")) == [("load", "right")]


def test_another_cause_is_both_missed_and_a_false_alarm() -> None:
    found = verdicts({"load": failed("KeyError")}, said("load", "TypeError"))
    assert found == [("load", "missed"), ("load", "false alarm")]


def test_a_prediction_of_a_stage_that_went_well_is_a_false_alarm() -> None:
    assert verdicts({"load": OK}, said("load", "KeyError")) == [("load", "false alarm")]


@pytest.mark.parametrize("outcome", ["unscored", "not applicable"])
def test_a_stage_that_did_not_run_is_not_scored(outcome: str) -> None:
    assert verdicts({"forward": {"outcome": outcome}}, said("forward", "KeyError")) == []


def test_two_parts_that_fail_of_one_cause_are_one_row() -> None:
    stages = {"generate.cached": failed("KeyError"), "generate.uncached": failed("KeyError")}
    assert verdicts(stages, said("generate", "KeyError")) == [("generate", "right")]


def test_two_parts_that_fail_of_two_causes_are_two_rows() -> None:
    stages = {"generate.cached": failed("KeyError"), "generate.uncached": failed("TypeError")}
    found = verdicts(stages, said("generate", "TypeError"))
    assert found == [("generate", "missed"), ("generate", "right")]


def test_one_prediction_is_right_once_and_said_twice_is_said_once() -> None:
    twice = (said("load", "KeyError"), said("load", "KeyError"))
    assert verdicts({"load": failed("KeyError")}, *twice) == [("load", "right")]


def test_saving_is_run_and_not_scored() -> None:
    assert verdicts({"save": failed("RuntimeError")}) == []


def test_silence_is_a_row_of_forward_without_an_exception() -> None:
    stages = {"forward": OK, "silent": {**OK, "result": {"is_silent": True, "difference": 2.0}}}
    assert verdicts(stages, said("forward", None)) == [("forward", "right")]
    assert verdicts(stages) == [("forward", "missed")]


def test_predicted_silence_is_scored_only_where_it_was_listened_for() -> None:
    heard = {"forward": OK, "silent": {**OK, "result": {"is_silent": False, "difference": 0.0}}}
    unheard = {"forward": OK, "silent": {**OK, "result": {"difference": None}}}
    assert verdicts(heard, said("forward", None)) == [("forward", "false alarm")]
    assert verdicts(unheard, said("forward", None)) == []


@pytest.mark.parametrize(
    ("hits", "total", "low", "high"), [(9, 10, 0.596, 0.982), (0, 5, 0.0, 0.434), (5, 5, 0.566, 1)]
)
def test_an_interval_is_wilsons(hits: int, total: int, low: float, high: float) -> None:
    share, least, most = score.wilson(hits, total)
    assert share == hits / total
    assert (least, most) == pytest.approx((low, high), abs=1e-3)


def test_of_nothing_nothing_is_known() -> None:
    share, least, most = score.wilson(0, 0)
    assert math.isnan(share)
    assert (least, most) == (0.0, 1.0)


def test_a_family_is_of_one_half_by_its_name_alone() -> None:
    halves = {name: score.half(name) for name in ("chatglm2", "falcon")}
    assert halves == {"chatglm2": "report", "falcon": "tune"}


def test_the_report_tells_figures_and_every_wrong_row_with_its_note() -> None:
    stages = {"init": failed("KeyError"), "load": OK, "forward": failed("TypeError", "a | b\nc")}
    rows = score.rows(
        "own", "falcon", "5.0.0", stages, [said("init", "KeyError"), said("load", "X")], Path()
    )
    environments = {"5.0.0": {"packages": {"torch": "2.13.0"}}}
    labels = {
        "models": {"own": {"family": "falcon"}},
        "environments": environments,
        "frozen": "2026-11-27",
    }
    text = report.markdown(rows, labels, (), {"own 5.0.0 forward": "not seen statically"})
    assert "| tune half | 1 | 1 | 1 | 0.50 (0.09 to 0.91) | 0.50 (0.09 to 0.91) |" in text
    assert "| own | 5.0.0 | tune | load | false alarm (X1) | X: told |  |" in text
    assert "TypeError: a \\| b" in text
    assert "not seen statically" in text
    assert report.as_json(rows, labels)["figures"]["tune"]["right"] == 1
