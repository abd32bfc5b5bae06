from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.accuracy import predict


def test_only_errors_are_predictions(tmp_path: Path) -> None:
    told = {"stage": "load", "cause": "told", "code": "X1", "exception": "KeyError"}
    found = [{**told, "severity": severity} for severity in ("error", "warning", "info")]
    assert len(predict.causes(tuple(found), tmp_path)) == 1


def test_a_check_that_ends_in_an_error_predicts_nothing_and_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict.findings(tmp_path / "absent", sys.executable) == ()
    assert "absent" in capsys.readouterr().err
