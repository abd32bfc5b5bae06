from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from trueup.pool.directory import PREFIX, PoolDirectory


@pytest.fixture
def parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    short = Path(tempfile.mkdtemp(dir="/tmp"))
    monkeypatch.setattr(tempfile, "tempdir", str(short))
    return short


def test_a_directory_is_private_and_is_removed(parent: Path) -> None:
    directory = PoolDirectory()
    assert directory.path.parent == parent
    assert directory.path.stat().st_mode & 0o777 == 0o700
    (directory.path / "1").mkdir()
    directory.remove()
    assert list(parent.iterdir()) == []
    parent.rmdir()


def test_what_a_killed_server_left_is_removed_by_the_next_and_what_is_used_stays(
    parent: Path,
) -> None:
    script = (
        "from trueup.pool.directory import PoolDirectory; PoolDirectory(); import os; os._exit(9)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(parent)}
    subprocess.run([sys.executable, "-c", script], env=environment, check=False)
    [abandoned] = parent.iterdir()
    someone_else_s = parent / f"{PREFIX}new"
    someone_else_s.mkdir()
    used = PoolDirectory()
    latest = PoolDirectory()
    assert not abandoned.exists()
    assert {*parent.iterdir()} == {used.path, latest.path, someone_else_s}
    for directory in (used, latest):
        directory.remove()
    someone_else_s.rmdir()
    parent.rmdir()


def test_a_long_temporary_directory_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/tmp/" + "long" * 20)
    directory = PoolDirectory()
    assert directory.path.parent == Path("/tmp")
    directory.remove()
