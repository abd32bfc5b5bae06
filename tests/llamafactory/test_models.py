"""The models that the other tests ask, and the environment that they are asked in."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.llamafactory.conftest import RECITED, Models

ASK = """
import json, sys
from llamafactory.chat import ChatModel
answers = []
for arguments in json.loads(sys.argv[1]):
    model = ChatModel({"template": "qwen", "infer_backend": "huggingface", **arguments})
    [answer] = model.chat([{"role": "user", "content": "你好"}], do_sample=False, max_new_tokens=12)
    answers.append([answer.response_text, answer.finish_reason])
print(json.dumps(answers))
"""


@pytest.mark.llamafactory
def test_an_adapter_changes_the_answer_and_a_reciting_model_says_its_text(
    llamafactory_python: Path, models: Models
) -> None:
    base = {"model_name_or_path": str(models.base)}
    asked = [
        base,
        {**base, "adapter_name_or_path": str(models.adapter)},
        {"model_name_or_path": str(models.reciting)},
    ]
    finished = subprocess.run(
        [llamafactory_python, "-c", ASK, json.dumps(asked)],
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert finished.returncode == 0, finished.stderr
    plain, adapted, recited = json.loads(finished.stdout.splitlines()[-1])
    assert plain[1] == adapted[1] == "length"
    assert plain[0] != adapted[0]
    assert recited == ["".join(RECITED), "stop"]
