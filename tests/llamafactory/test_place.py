"""The commands, run by a real shell in a home of the test's own."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from trueup.backends.llamafactory.place import (
    NO_DIRECTORY,
    NO_ENVIRONMENT,
    NO_PYTHON,
    REMOTE_ROOT,
    in_environment,
    key_of,
    root_command,
)
from trueup.config.llamafactory_settings import LlamaFactorySettings

BASE = LlamaFactorySettings(name="x", base_model_path="/m")


def shell(command: str, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-c", command],
        env={"HOME": str(home), "PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def python_in(folder: Path) -> Path:
    python = folder / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch(0o755)
    return python


@pytest.mark.parametrize("name", ["lf", "a b", "it's"])
def test_an_environment_is_found_by_whatever_names_it(name: str, tmp_path: Path) -> None:
    conda = tmp_path / "miniforge3"
    python = python_in(conda / "envs" / name)
    base = python_in(conda)
    elsewhere = python_in(tmp_path / "elsewhere" / "far away")
    (tmp_path / ".conda").mkdir()
    (tmp_path / ".conda" / "environments.txt").write_text(f"{elsewhere.parent.parent}\n")
    (python.parent / "llamafactory-cli").touch(0o755)
    for settings, found in (
        ({"conda_env": name}, python),
        ({"conda_env": "base"}, base),
        ({"conda_env": str(python.parent.parent)}, python),
        ({"conda_env": f"~/miniforge3/envs/{name}"}, python),
        ({"conda_env": "far away"}, elsewhere),
        ({"python": str(python)}, python),
        ({"python": str(python.parent.parent)}, python),
        ({"cli_path": str(python.parent / "llamafactory-cli")}, python),
    ):
        command = in_environment(replace(BASE, **settings))
        done = shell(f'{command}; echo "$python"; echo "${{PATH%%:*}}"', tmp_path)
        assert (done.returncode, done.stderr) == (0, ""), settings
        assert done.stdout == f"{found}\n{found.parent}\n"


def test_conda_is_found_where_it_says_that_it_is(tmp_path: Path) -> None:
    python = python_in(tmp_path / "odd" / "envs" / "lf")
    command = in_environment(replace(BASE, conda_env="lf"))
    conda = f"{tmp_path}/odd/bin/conda"
    assert shell(f'{command}; echo "$python"', tmp_path, CONDA_EXE=conda).stdout == f"{python}\n"


@pytest.mark.parametrize(
    ("settings", "status"),
    [
        ({"work_dir": "/nowhere"}, NO_DIRECTORY),
        ({"work_dir": "~/nowhere"}, NO_DIRECTORY),
        ({"conda_env": "nowhere"}, NO_ENVIRONMENT),
        ({"conda_env": "/nowhere"}, NO_PYTHON),
        ({"python": "/nowhere"}, NO_PYTHON),
    ],
)
def test_what_is_missing_has_a_status_of_its_own(
    settings: dict[str, Any], status: int, tmp_path: Path
) -> None:
    assert shell(in_environment(replace(BASE, **settings)), tmp_path).returncode == status


def test_the_folder_of_workers_is_this_users_alone(tmp_path: Path) -> None:
    done = shell(root_command(REMOTE_ROOT), tmp_path)
    assert done.stdout == f"{tmp_path.resolve()}/.cache/trueup/llamafactory\n"
    assert (tmp_path / ".cache/trueup/llamafactory").stat().st_mode & 0o777 == 0o700


def test_another_model_or_environment_is_another_worker() -> None:
    others = [
        {},
        {"base_model_path": "/n"},
        {"adapter_path": "/a"},
        {"template": "qwen"},
        {"default_system": ""},
        {"python": "p"},
        {"conda_env": "p"},
        {"work_dir": "w"},
        {"infer_backend": "vllm"},
    ]
    keys = {key_of(replace(BASE, **each)) for each in others}
    assert len(keys) == len(others)
    assert key_of(replace(BASE, template="qwen2")) == key_of(replace(BASE, template="qwen"))
    assert key_of(replace(BASE, name="y", lease_seconds=1)) == key_of(BASE)
