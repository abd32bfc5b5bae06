from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.environments import ROOT
from trueup.adapt.isolate import build
from trueup.adapt.isolate.build import build_environment
from trueup.adapt.isolate.planned import PlannedEnvironment, planned_environment
from trueup.adapt.isolate.store import site_packages
from trueup.checkpoint.files import read_checkpoint
from trueup.checkpoint.source import resolve
from trueup.environment.packages import read_environment
from trueup.errors import AdaptError

pytestmark = pytest.mark.environment

IMPORTED = """
import json, numpy, torch, transformers, tokenizers, huggingface_hub
print(json.dumps({
    "transformers": transformers.__version__, "torch": torch.__version__,
    "numpy": numpy.__version__, "hub": huggingface_hub.__version__,
    "sum": torch.tensor(numpy.ones(3, dtype="float32")).sum().item(),
}))
"""
MOST_BYTES = 200_000_000


@pytest.fixture(scope="module")
def root() -> Path:
    """Kept beside the other environments of the tests: what is built there is built once."""
    return ROOT / ".envs" / "isolated" / "environments"


@pytest.fixture(scope="module")
def planned(root: Path) -> PlannedEnvironment:
    found = planned_environment(
        read_checkpoint(resolve("demo")), read_environment(), transformers="4.30.2", root=root
    )
    assert isinstance(found, PlannedEnvironment)
    return found


def test_an_old_release_runs_beside_the_running_torch_in_little_room(
    planned: PlannedEnvironment, root: Path
) -> None:
    built = build_environment(planned, tell=print, root=root)
    assert built.disk_bytes < MOST_BYTES
    told = json.loads(
        subprocess.run(
            [built.interpreter, "-I", "-W", "ignore", "-c", IMPORTED],
            capture_output=True, text=True, check=True,
        ).stdout
    )  # fmt: skip
    assert planned.shared is not None
    assert (told["transformers"], told["torch"]) == ("4.30.2", planned.shared.version)
    assert told["numpy"].startswith("1.")
    assert told["hub"].startswith("0.")
    assert told["sum"] == 3.0
    ours = planned.shared.packages[0]
    library = next(name for name in ours.files if name.endswith("libtorch_python.so"))
    there = site_packages(built.folder, planned.request.python) / library
    assert there.stat().st_size == (ours.folder / library).stat().st_size
    assert planned.copies_torch or there.samefile(ours.folder / library)


def test_what_is_locked_is_built_from_a_wheelhouse_and_one_that_lacks_a_wheel_says_which(
    planned: PlannedEnvironment, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = build_environment(planned, tell=print, root=root)
    monkeypatch.setattr(build, "TRIED", "")  # the test before this one imports it all
    monkeypatch.setattr(build, "TRIED_MODULES", ("orjson",))
    wheels = tmp_path / "wheels"
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "-qq", "--no-deps", "--only-binary", ":all:",
         "--dest", wheels, "--requirement", built.folder / "lock.txt"],
        check=True, capture_output=True,
    )  # fmt: skip
    offline = replace(planned, lock=None, built=None)
    again = build_environment(
        offline, tell=print, wheelhouse=wheels, root=tmp_path / "environments"
    )
    assert again.lock.versions == built.lock.versions
    next(wheels.glob("tokenizers-*")).unlink()
    with pytest.raises(AdaptError, match=r"wheelhouse does not have .*tokenizers"):
        build_environment(offline, tell=print, wheelhouse=wheels, root=tmp_path / "others")


def test_versions_that_exclude_each_other_are_told_by_their_names(
    planned: PlannedEnvironment, tmp_path: Path
) -> None:
    lines = (*planned.request.requirements, "tokenizers>=0.20")
    odd = replace(planned, lock=None, request=replace(planned.request, requirements=lines))
    with pytest.raises(AdaptError, match=r"exclude each other: .*tokenizers"):
        build_environment(odd, tell=print, root=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["locks"]
