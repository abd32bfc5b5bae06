"""What check predicts is what really happens, and the catalogue knows every error that did."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.demo.test_five_errors import run_on
from tests.environments import python_for
from trueup.cli.main import main
from trueup.doctor.catalogue import explain


@pytest.mark.environment
@pytest.mark.parametrize(
    ("name", "version", "script"),
    [
        ("transformers-4.56", "4.56.0", "five_errors.py"),
        ("transformers-5.23", "5.23.0", "unpatched.py"),
    ],
)
def test_each_error_that_is_met_was_predicted_in_its_order(
    name: str, version: str, script: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    met: list[dict[str, Any]] = [
        stage for stage in run_on(python_for(name), script, tmp_path) if "error" in stage
    ]
    assert met
    texts = [
        f'  File "modeling_chatglm.py", line 1, in {stage["function"]}\n    {stage["line"]}\n'
        f"{stage['error']}: {stage['message']}"
        for stage in met
    ]
    recognised = [explain(text)[1][0].code for text in texts]
    main(["check", "demo", "--transformers", version, "--format", "json"])
    predicted = [each["code"] for each in json.loads(capsys.readouterr().out)["findings"]]
    assert predicted[: len(recognised)] == recognised
