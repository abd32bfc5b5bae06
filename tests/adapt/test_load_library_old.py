"""The library's own classes in a release of 2023, which takes other words than today's."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.adapt.library_checkpoints import build_library_checkpoint
from tests.environments import python_for
from trueup.adapt.isolate.interpreter import command
from trueup.adapt.load import load_plan
from trueup.adapt.planning import Wishes, plan_model

pytestmark = pytest.mark.environment

TOKEN_IDS = [[31, 7, 500, 12, 640, 3]]
PROGRAM = """
import json, sys
import numpy, torch
from trueup.adapt.load import load_plan
from trueup.adapt.plan import Plan
loaded = load_plan(Plan.from_dict(json.loads(sys.argv[1])))
with torch.no_grad():
    numpy.save(sys.argv[3], loaded.model(torch.tensor(json.loads(sys.argv[2]))).logits.numpy())
"""


def test_an_old_release_loads_its_class_in_the_dtype_of_the_plan(tmp_path: Path) -> None:
    directory = build_library_checkpoint("gptj", tmp_path / "gptj")
    _as_written_then(directory)
    plan = plan_model(str(directory), Wishes(dtype="float32", device="cpu"))
    lent = command(python_for("worker-4.30"), tmp_path / "lent")
    answer = tmp_path / "logits.npy"
    words = [json.dumps(plan.as_dict()), json.dumps(TOKEN_IDS), str(answer)]
    subprocess.run(
        [lent.argv[0], "-P", "-c", PROGRAM, *words],
        env=lent.environment(os.environ),
        cwd=tmp_path,
        check=True,
    )
    with torch.no_grad():
        here = load_plan(plan).model(torch.tensor(TOKEN_IDS)).logits.numpy()
    there = np.load(answer)
    assert there.dtype == np.float32
    np.testing.assert_allclose(there, here, atol=1e-4)


def _as_written_then(directory: Path) -> None:
    """The tokenizer's merges as text, since tokenizers before 0.20 read no lists."""
    path = directory / "tokenizer.json"
    shape = json.loads(path.read_text(encoding="utf-8"))
    merges = shape["model"].get("merges")
    if merges is not None:
        shape["model"]["merges"] = [m if isinstance(m, str) else " ".join(m) for m in merges]
    path.write_text(json.dumps(shape), encoding="utf-8")
