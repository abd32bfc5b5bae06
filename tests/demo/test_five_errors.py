"""The demo checkpoint breaks on new libraries where ChatGLM2 breaks, in processes of their own."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.environments import python_for

HERE = Path(__file__).resolve().parent
CHECKPOINT = HERE.parent.parent / "src" / "trueup" / "demo_checkpoint"
LIMIT_SECONDS = 300

FIVE_ERRORS = [
    (
        "padding_side",
        "TypeError",
        "_pad() got an unexpected keyword argument 'padding_side'",
        "build_inputs",
        "tokenizer([prompt]",
    ),
    (
        "num_hidden_layers",
        "AttributeError",
        "'ChatGLMConfig' object has no attribute 'num_hidden_layers'",
        "chat",
        "self.generate(",
    ),
    (
        "extract_past",
        "AttributeError",
        "object has no attribute '_extract_past_from_model_output'",
        "_update_model_kwargs_for_generation",
        "self._extract_past_from_model_output(",
    ),
    (
        "get_masks",
        "AttributeError",
        "'NoneType' object has no attribute 'shape'",
        "get_masks",
        "past_key_values[0][0].shape[0]",
    ),
    (
        "torch_cat",
        "TypeError",
        "expected Tensor as element 0 in argument 0, but got NoneType",
        "forward",
        "torch.cat((cache_k, key_layer), dim=0)",
    ),
]


def run_on(python: Path, script: str, modules_cache: Path) -> list[dict[str, Any]]:
    done = subprocess.run(
        [python, HERE / script, CHECKPOINT],
        env={
            **os.environ,
            "HF_HUB_OFFLINE": "1",
            "HF_MODULES_CACHE": str(modules_cache),
            "OMP_NUM_THREADS": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


@pytest.fixture(scope="module")
def stages_on_456(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    cache = tmp_path_factory.mktemp("modules")
    return run_on(python_for("transformers-4.56"), "five_errors.py", cache)


@pytest.mark.environment
def test_the_five_errors_come_in_order_each_after_the_repair_of_the_one_before(
    stages_on_456: list[dict[str, Any]],
) -> None:
    met = [stage for stage in stages_on_456 if "error" in stage]
    assert [stage["stage"] for stage in met] == [stage for stage, *_ in FIVE_ERRORS]
    for stage, (_, error, message, function, line) in zip(met, FIVE_ERRORS, strict=True):
        assert stage["transformers"] == "4.56.0"
        assert stage["error"] == error
        assert message in stage["message"]
        assert stage["function"] == function
        assert line in stage["line"]


@pytest.mark.environment
def test_after_the_last_repair_the_answer_is_right(stages_on_456: list[dict[str, Any]]) -> None:
    answers = {stage["stage"]: stage["answer"] for stage in stages_on_456 if "answer" in stage}
    assert list(answers) == ["without a cache", "repaired"]
    assert stages_on_456[-1]["stage"] == "repaired"
    assert answers["repaired"].startswith("TrueUp gets open-weight models")
    assert answers["without a cache"] == answers["repaired"]


@pytest.mark.environment
def test_on_transformers_5_the_tokenizer_and_the_construction_fail(tmp_path: Path) -> None:
    tokenizer, model = run_on(python_for("transformers-5.23"), "unpatched.py", tmp_path)
    assert tokenizer["transformers"].startswith("5.")
    assert tokenizer["error"] == "TypeError"
    assert "_pad() got an unexpected keyword argument 'padding_side'" in tokenizer["message"]
    assert model["error"] == "AttributeError"
    assert model["message"] == "'ChatGLMConfig' object has no attribute 'max_length'"
    assert (model["function"], model["line"]) == (
        "__init__",
        "self.max_sequence_length = config.max_length",
    )
