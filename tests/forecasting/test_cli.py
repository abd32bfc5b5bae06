from __future__ import annotations

import json

import pytest

from trueup.cli.main import main


def test_the_demonstration_says_that_it_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["forecast", "--demo", "--horizon", "2", "--samples", "2", "--lookback", "40"]
    assert main(words) == 0
    assert "a demonstration, not a forecast" in capsys.readouterr().out
    assert main([*words, "--format", "json"]) == 0
    shape = json.loads(capsys.readouterr().out)
    assert (shape["schema_version"], shape["is_demonstration"]) == (1, True)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["c.csv", "--horizon", "3"],
        ["c.csv", "--model", "m"],
        ["--demo", "--horizon", "0"],
        ["--demo", "--model", "m"],
        ["--demo", "--origins", "3"],
        ["--demo", "--top-p", "2"],
        ["--demo", "--output", "-", "--format", "json"],
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(words: list[str]) -> None:
    assert main(["forecast", *words]) == 2


def test_a_file_that_is_not_there_is_a_failure() -> None:
    assert main(["forecast", "none.csv", "--model", "m", "--horizon", "3"]) == 1
