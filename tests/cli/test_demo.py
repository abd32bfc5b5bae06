from __future__ import annotations

import json
import os

import psutil
import pytest

from trueup.cli.main import main

pytestmark = pytest.mark.slow


def test_the_demo_checks_plans_and_answers_and_leaves_nothing_running(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["demo", "--format", "json"]) == 0
    shape = json.loads(capsys.readouterr().out)
    reported = [finding["code"] for finding in shape["check"]["4.56.0"]["findings"]]
    assert reported[:5] == ["TOK104", "CFG101", "GEN101", "CACHE101", "CACHE102"]
    assert shape["plan"]["route"] == "native"
    chinese, english = shape["answers"]
    assert "TrueUp" in chinese["answer"]
    assert "transformers" in english["answer"]
    assert {chinese["finish_reason"], english["finish_reason"]} == {"stop"}
    assert psutil.Process(os.getpid()).children(recursive=True) == []


def test_the_demo_shows_each_step_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo"]) == 0
    shown = capsys.readouterr().out
    steps = ["$ trueup check demo --transformers 4.56.0", "$ trueup check demo\n"]
    steps += ["$ trueup plan demo", "$ trueup serve demo --port 0", "> 你好", "> Why"]
    assert [shown.find(step) for step in steps] == sorted(shown.find(step) for step in steps)
    assert "http://127.0.0.1:" in shown
