from __future__ import annotations

import os
from pathlib import Path

import pytest

from trueup.pool.scrub import worker_environment

ADDED = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "PYTHONUNBUFFERED": "1",
    "PYTORCH_NVML_BASED_CUDA_CHECK": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
}


@pytest.mark.parametrize(
    "name",
    ["PATH", "HOME", "LC_ALL", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "PYTORCH_CUDA_ALLOC_CONF",
     "TOKENIZERS_PARALLELISM", "LD_LIBRARY_PATH"],
)  # fmt: skip
def test_what_computing_needs_is_kept(name: str) -> None:
    assert worker_environment({name: "x"}) == {**ADDED, name: "x"}


@pytest.mark.parametrize(
    "name",
    ["TRUEUP_API_KEY", "OPENAI_API_KEY", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "GITHUB_TOKEN",
     "AWS_SECRET_ACCESS_KEY", "PGPASSWORD", "CUDA_LICENSE_KEY", "TORCH_HUB_TOKEN", "SSH_AUTH_SOCK",
     "HTTP_PROXY", "HF_HOME", "ANYTHING"],
)  # fmt: skip
def test_all_else_is_not(name: str) -> None:
    assert worker_environment({name: "x"}) == ADDED


def test_what_the_user_set_for_openmp_wins_and_offline_does_not_yield() -> None:
    found = worker_environment({"OMP_WAIT_POLICY": "ACTIVE", "HF_HUB_OFFLINE": "0"})
    assert (found["OMP_WAIT_POLICY"], found["HF_HUB_OFFLINE"]) == ("ACTIVE", "1")


def test_relative_places_of_modules_are_found_from_the_worker_s_directory() -> None:
    found = worker_environment({"PYTHONPATH": f"src{os.pathsep}/b{os.pathsep}"})
    assert found["PYTHONPATH"] == f"{Path('src').absolute()}{os.pathsep}/b"


def test_the_home_of_agreed_code_is_kept_and_absolute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    for given, wanted in (
        ("~/trueup", "/home/somebody/trueup"),
        ("here", f"{os.getcwd()}/here"),
        ("", ""),
    ):
        assert worker_environment({"TRUEUP_HOME": given})["TRUEUP_HOME"] == wanted
