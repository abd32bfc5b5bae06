from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.adapt.isolate.fake_uv import FILES, FakeUv, install_fake
from tests.adapt.isolate.planned_facts import MINOR, planned_at
from trueup.adapt.isolate import build
from trueup.adapt.isolate.build import build_environment
from trueup.adapt.isolate.half_built import half_built
from trueup.adapt.isolate.planned import PlannedEnvironment
from trueup.adapt.isolate.prune import prune
from trueup.adapt.isolate.store import (
    Built,
    built_environment,
    every_environment,
    interpreter_of,
    kept_lock,
    site_packages,
)
from trueup.errors import AdaptError, ConfigError, TrueUpError

NO_ROOM = "error: failed to write: No space left on device (os error 28)\n"


def silent(_: str) -> None:
    """Hears nothing."""


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeUv:
    return install_fake(tmp_path / "uv", MINOR, monkeypatch)


@pytest.fixture
def planned(tmp_path: Path) -> PlannedEnvironment:
    return planned_at(tmp_path / "home")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRUEUP_HOME", str(tmp_path / "trueup"))
    return tmp_path / "trueup" / "environments"


def left(root: Path) -> list[str]:
    """What lies there beside locks."""
    return sorted(path.name for path in root.iterdir() if path.name not in ("locks", "requests"))


def used(built: Built) -> Path:
    """The Python with which a plan of that environment starts its worker."""
    return interpreter_of({"lock": built.digest, "command": "trueup env build demo"})


def test_a_whole_environment_has_the_name_of_its_lock_and_is_used_again(
    fake: FakeUv, planned: PlannedEnvironment, root: Path
) -> None:
    told: list[str] = []
    built = build_environment(planned, tell=told.append)
    assert left(root) == [built.lock.digest]
    assert used(built) == built.interpreter == built.folder / "bin" / "python"
    assert fake.steps == ["compile", "venv", "install", "check"]
    assert "Downloading numpy (17.4MiB)" in told
    again = build_environment(planned, tell=told.append)
    assert again.folder == built.folder
    assert (built.is_new, again.is_new) == (True, False)
    assert len(fake.steps) == 4


def test_torch_is_shared_with_all_that_it_needs_and_left_out_of_the_resolution(
    fake: FakeUv, planned: PlannedEnvironment, root: Path, tmp_path: Path
) -> None:
    built = build_environment(planned, tell=silent)
    packages = site_packages(built.folder, MINOR)
    for name in ("torch/lib.so", "sympy/__init__.py", "mpmath/__init__.py"):
        assert (packages / name).samefile(tmp_path / "home" / name)
    assert not (built.folder / "bin" / "torch").exists()
    assert built.disk_bytes < 200_000
    assert built.lock.versions == {
        "mpmath": "1.3.0", "numpy": "1.26.4", "sympy": "1.14.0", "torch": "2.13.0+cpu",
        "transformers": "4.38.2",
    }  # fmt: skip
    compiled = fake.calls[0]
    assert "--excludes" in compiled
    assert "torch" not in " ".join(planned.request.requirements)


def test_what_is_installed_is_the_lock_by_its_hashes(
    fake: FakeUv, planned: PlannedEnvironment, root: Path
) -> None:
    built = build_environment(planned, tell=silent)
    assert {"--require-hashes", "--no-deps"} <= set(fake.calls[2])
    # A link to uv's cache would be the same file in every environment.
    assert fake.calls[2][fake.calls[2].index("--link-mode") + 1] == "copy"
    assert (built.folder / "lock.txt").read_text() == (
        "numpy==1.26.4 --hash=sha256:bb --hash=sha256:cc\ntransformers==4.38.2 --hash=sha256:aa\n"
    )


def test_a_wheelhouse_asks_no_network(
    fake: FakeUv, planned: PlannedEnvironment, root: Path, tmp_path: Path
) -> None:
    build_environment(planned, tell=silent, wheelhouse=tmp_path)
    for words in (fake.calls[0], fake.calls[2]):
        assert {"--no-index", "--offline"} <= set(words)
        assert words[words.index("--find-links") + 1] == str(tmp_path)


@pytest.mark.parametrize(
    ("step", "said", "cause"),
    [
        ("compile", "error: No solution found when resolving dependencies\n", "exclude each other"),
        ("compile", "error: Failed to fetch: http://127.0.0.1:9/\n", "cannot be reached"),
        ("install", NO_ROOM, "no room is left"),
        ("install", "error: hash mismatch for numpy\n", "hash mismatch"),
        ("check", "error: numpy 1.26.4 needs torch<2\n", "do not fit"),
    ],
)
def test_what_uv_cannot_do_is_told_and_leaves_nothing(
    step: str, said: str, cause: str, fake: FakeUv, planned: PlannedEnvironment, root: Path
) -> None:
    fake.does(fails={step: said})
    with pytest.raises(AdaptError, match=cause) as told:
        build_environment(planned, tell=silent)
    assert left(root) == []
    assert ".half" not in str(told.value.where)


def test_packages_that_do_not_import_are_no_environment(
    fake: FakeUv, planned: PlannedEnvironment, root: Path
) -> None:
    fake.does(interpreter="#!/bin/sh\necho 'ImportError: no numpy.core' >&2\nexit 1\n")
    with pytest.raises(AdaptError, match=r"does not import: ImportError: no numpy\.core"):
        build_environment(planned, tell=silent)
    assert left(root) == []


def test_a_disk_without_room_is_told_before_anything_is_asked(
    fake: FakeUv, planned: PlannedEnvironment, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(build.shutil, "disk_usage", lambda _: usage._replace(free=10**6))
    with pytest.raises(ConfigError, match="the disk has 1 MB"):
        build_environment(planned, tell=silent)
    assert fake.calls == []


def test_a_disk_that_fills_while_torch_is_shared_leaves_nothing(
    fake: FakeUv, planned: PlannedEnvironment, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device", "/somewhere/torch/lib.so")

    monkeypatch.setattr(build, "share_files", full)
    with pytest.raises(ConfigError, match="No space left on device") as told:
        build_environment(planned, tell=silent)
    assert told.value.where == str(root)
    assert left(root) == []


@pytest.mark.parametrize("change", ["edited", "deleted", "added", "interpreter", "lock"])
def test_an_environment_that_was_changed_is_not_used_and_is_built_anew(
    change: str, fake: FakeUv, planned: PlannedEnvironment, root: Path
) -> None:
    built = build_environment(planned, tell=silent)
    library = site_packages(built.folder, MINOR) / "transformers" / "__init__.py"
    if change == "edited":
        library.write_text("__version__ = '4.38.3'\n")
    elif change == "deleted":
        library.unlink()
    elif change == "added":
        library.with_name("more.py").touch()
    elif change == "interpreter":
        built.interpreter.unlink()
    else:
        manifest = built.folder / "environment.json"
        shape = json.loads(manifest.read_text())
        shape["lock"]["packages"][0]["version"] = "2.0"
        manifest.write_text(json.dumps(shape))
    with pytest.raises(AdaptError, match="no longer what was built"):
        used(built)
    again = build_environment(planned, tell=silent)
    assert (again.fault, again.is_new) == (None, True)
    assert library.read_text() == FILES["transformers/__init__.py"]
    assert left(root) == [built.lock.digest]


def test_what_python_compiles_later_is_no_change(
    fake: FakeUv, planned: PlannedEnvironment, root: Path
) -> None:
    built = build_environment(planned, tell=silent)
    compiled = site_packages(built.folder, MINOR) / "transformers" / "__pycache__"
    compiled.mkdir()
    (compiled / "x.pyc").write_bytes(b"x")
    assert used(built) == built.interpreter


def test_an_environment_that_is_not_built_is_told_with_the_command() -> None:
    with pytest.raises(AdaptError, match="is not built") as told:
        interpreter_of({"lock": None, "command": "trueup env build demo"})
    assert told.value.hint == "trueup env build demo"


def test_a_plan_from_before_the_build_finds_what_was_built_since(
    fake: FakeUv, planned: PlannedEnvironment, root: Path
) -> None:
    before = planned.as_dict()
    with pytest.raises(AdaptError, match="is not built"):
        interpreter_of(before)
    assert interpreter_of(before | {"is_ours": False, "interpreter": "/x"}) == Path("/x")
    built = build_environment(planned, tell=silent)
    assert before["lock"] is None
    assert interpreter_of(before) == built.interpreter


def test_a_whole_torch_comes_from_the_builds_that_the_running_one_is_of(
    fake: FakeUv, planned: PlannedEnvironment, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = replace(planned.request, shares_torch=False, torch="torch==2.13.0")
    planned = replace(planned, shared=None, request=replace(whole, torch_is_for_cpu=True))
    assert planned.disk_bytes > 900_000_000
    built = build_environment(planned, tell=silent)
    assert not (site_packages(built.folder, MINOR) / "torch").exists()
    assert built.lock.shared == {}
    for words in (fake.calls[0], fake.calls[2]):
        assert words[words.index("--torch-backend") + 1] == "cpu"
    monkeypatch.setenv("UV_TORCH_BACKEND", "cu128")
    build_environment(planned, tell=silent, resolves_anew=True)
    assert "--torch-backend" not in fake.calls[-1]


def test_two_builders_at_once_build_it_once(
    fake: FakeUv, planned: PlannedEnvironment, root: Path
) -> None:
    os.mkfifo(fake.folder / "waiting")
    os.mkfifo(fake.folder / "goes_on")
    fake.does(waits_at="install")
    told: list[str] = []
    is_waiting = threading.Event()

    def second(text: str) -> None:
        told.append(text)
        is_waiting.set()

    results: list[Any] = []
    one = threading.Thread(target=lambda: results.append(build_environment(planned, tell=silent)))
    one.start()
    (fake.folder / "waiting").read_text()
    two = threading.Thread(target=lambda: results.append(build_environment(planned, tell=second)))
    two.start()
    assert is_waiting.wait(timeout=60)
    (fake.folder / "goes_on").write_text("")
    one.join(timeout=60)
    two.join(timeout=60)
    assert told == ["another process builds the same environment: waiting for it"]
    assert [result.digest for result in results] == [results[0].digest] * 2
    assert sorted(result.is_new for result in results) == [False, True]
    assert fake.steps.count("install") == 1


BUILDER = """
import sys
from pathlib import Path
from tests.adapt.isolate.planned_facts import planned_at
from trueup.adapt.isolate import uv
from trueup.adapt.isolate.build import build_environment
uv.find_uv = lambda: Path(sys.argv[2])
build_environment(planned_at(Path(sys.argv[1])), tell=lambda _: None)
"""


@pytest.fixture
def killed(fake: FakeUv, tmp_path: Path, root: Path) -> Iterator[int]:
    """A builder that was killed while uv installs; the process of uv, which still runs."""
    os.mkfifo(fake.folder / "waiting")
    os.mkfifo(fake.folder / "goes_on")
    fake.does(waits_at="install")
    words = [sys.executable, "-c", BUILDER, str(tmp_path / "home"), str(fake.path)]
    with subprocess.Popen(words, cwd=Path(__file__).parents[3]) as builder:
        pid = int((fake.folder / "waiting").read_text())
        builder.send_signal(signal.SIGKILL)
    fake.does(waits_at=None)
    yield pid
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def test_a_build_that_is_killed_half_way_is_never_used_and_is_deleted(
    killed: int, fake: FakeUv, root: Path, tmp_path: Path
) -> None:
    planned = planned_at(tmp_path / "home")
    lock = kept_lock(planned.request)
    assert lock is not None
    assert built_environment(lock.digest) is None
    assert every_environment() == []
    assert len(left(root)) == 2  # a folder and its lock
    assert half_built(root) == []  # what the builder started is still at it
    os.kill(killed, signal.SIGKILL)
    wait_until_unlocked(next(root.glob(".half-*.lock")))
    assert len(prune(is_dry=True).half_built) == 1
    (half,) = prune().half_built
    assert half.parent == root
    assert left(root) == []


def test_the_next_build_deletes_what_a_killed_one_left(
    killed: int, fake: FakeUv, root: Path, tmp_path: Path
) -> None:
    os.kill(killed, signal.SIGKILL)
    wait_until_unlocked(next(root.glob(".half-*.lock")))
    built = build_environment(planned_at(tmp_path / "home"), tell=silent)
    assert left(root) == [built.lock.digest]


def wait_until_unlocked(path: Path) -> None:
    import fcntl

    with path.open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)


def test_a_folder_with_a_name_that_says_nothing_of_itself_is_not_used(
    fake: FakeUv, planned: PlannedEnvironment, root: Path
) -> None:
    built = build_environment(planned, tell=silent)
    (built.folder / "environment.json").write_text("{")
    with pytest.raises(AdaptError, match="is not built"):
        used(built)
    assert len(prune().half_built) == 1
    assert left(root) == []


def test_pruning_takes_what_is_named_old_or_all(
    fake: FakeUv, planned: PlannedEnvironment, root: Path
) -> None:
    built = build_environment(planned, tell=silent)
    assert prune().environments == ()
    assert prune(named=["sha256:" + "0" * 64]).environments == ()
    assert prune(unused_since=built.used_at - 1).environments == ()
    assert [each.digest for each in prune(unused_since=built.used_at + 1).environments] == [
        built.digest
    ]
    build_environment(planned, tell=silent)
    assert fake.steps.count("compile") == 1  # the lock is kept
    assert [each.digest for each in prune(named=[built.digest]).environments] == [built.digest]
    build_environment(planned, tell=silent)
    assert len(prune(takes_all=True).environments) == 1
    assert kept_lock(planned.request) is None


def test_an_environment_in_which_a_process_runs_is_kept(
    fake: FakeUv, planned: PlannedEnvironment, root: Path
) -> None:
    built = build_environment(planned, tell=silent)
    with subprocess.Popen(
        [f"{built.folder}/bin/python", "-c", "import sys; print(flush=True); sys.stdin.read()"],
        executable=sys.executable,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it runs under its name
        done, everything = prune(named=[built.digest]), prune(takes_all=True)
        process.communicate()
    assert (done.environments, done.in_use) == ((), (built.digest,))
    assert everything == done
    assert kept_lock(planned.request) == built.lock
    assert used(built) == built.interpreter


def test_a_home_that_cannot_be_written_is_told(
    fake: FakeUv, planned: PlannedEnvironment, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TrueUpError, match="cannot be kept"):
        build_environment(planned, tell=silent, root=tmp_path / "file" / "environments")
