"""The guards raise no false alarm: models of many classes, as each release saves and loads them."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.adapt.library_zoo import CAUSAL, ENCODERS, guarded
from tests.environments import ROOT, python_for


@pytest.mark.parametrize("model_type", list(CAUSAL))
def test_nothing_is_wrong_with_a_sound_model_that_generates(
    model_type: str, tmp_path: Path
) -> None:
    assert guarded(model_type, tmp_path) == []


@pytest.mark.parametrize("model_type", list(ENCODERS))
def test_nothing_is_wrong_with_a_sound_model_that_embeds(model_type: str, tmp_path: Path) -> None:
    assert guarded(model_type, tmp_path, is_encoder=True) == []


@pytest.mark.environment
@pytest.mark.slow
@pytest.mark.parametrize("release", ["4.56", "4.57"])
def test_nothing_is_wrong_with_sound_models_on_older_releases(release: str) -> None:
    python = python_for(f"transformers-{release}")
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [python, "-W", "ignore", "-m", "tests.adapt.library_zoo"],
        env=environment,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
        timeout=600,
    )
    found = json.loads(done.stdout)
    assert {name: faults for name, faults in found.items() if faults} == {}
    assert len(found) == len(CAUSAL) + len(ENCODERS)
