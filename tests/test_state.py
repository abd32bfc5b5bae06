"""What outlives a process: kept, counted, forgotten in time, and never in the way."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from trueup.errors import ConfigError
from trueup.state import StateStore


def test_values_are_kept_across_stores_until_their_time_is_over(tmp_path: Path) -> None:
    now = [100.0]
    store = StateStore(tmp_path / "s.sqlite", clock=lambda: now[0])
    store.put("a", "k", {"x": [1, "中"]}, ttl_seconds=10)
    store.put("a", "forever", 1)
    store.put("b", "k", 2)
    store.close()
    again = StateStore(tmp_path / "s.sqlite", clock=lambda: now[0])
    assert again.get("a", "k") == {"x": [1, "中"]}
    assert [(e.key, e.expires_at) for e in again.entries("a")] == [("forever", None), ("k", 110.0)]
    now[0] = 111.0
    assert again.get("a", "k") is None
    assert [entry.key for entry in again.entries("a")] == ["forever"]
    again.remove("a", "forever")
    assert again.entries("a") == []
    assert again.get("b", "k") == 2
    again.close()


def test_a_count_begins_again_when_its_time_is_over(tmp_path: Path) -> None:
    now = [0.0]
    store = StateStore(tmp_path / "s.sqlite", clock=lambda: now[0])
    assert [store.increment("n", "k", ttl_seconds=10) for _ in range(3)] == [1, 2, 3]
    now[0] = 11.0
    assert store.increment("n", "k", ttl_seconds=10) == 1
    store.close()


def test_several_processes_count_together(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from trueup.state import StateStore\n"
        "s = StateStore(Path(sys.argv[1]))\n"
        "for _ in range(50): s.increment('n', 'k')\n"
    )
    path = tmp_path / "s.sqlite"
    running = [subprocess.Popen([sys.executable, "-c", code, str(path)]) for _ in range(3)]
    assert [each.wait() for each in running] == [0, 0, 0]
    store = StateStore(path)
    assert store.get("n", "k") == 150
    store.close()


def test_a_damaged_file_is_put_aside(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    path.write_bytes(b"this is no database, whatever its name says" * 99)
    store = StateStore(path)
    store.put("a", "k", 1)
    assert store.get("a", "k") == 1
    assert (tmp_path / "s.damaged").exists()
    store.close()
    again = StateStore(path)
    assert again.get("a", "k") == 1
    again.close()


@pytest.mark.parametrize("blocker", ["a file where the folder should be", "a folder as the file"])
def test_where_nothing_can_be_written_it_is_kept_in_memory(tmp_path: Path, blocker: str) -> None:
    if blocker.startswith("a file"):
        (tmp_path / "home").write_text("x")
        path = tmp_path / "home" / "s.sqlite"
    else:
        path = tmp_path / "s.sqlite"
        os.mkdir(path)
    store = StateStore(path)
    store.put("a", "k", 1)
    assert store.get("a", "k") == 1
    store.close()


def test_a_file_that_is_damaged_later_is_put_aside(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    store = StateStore(path)
    for number in range(500):
        store.put("a", str(number), "x" * 100)
    store.close()
    damaged = bytearray(path.read_bytes())
    damaged[100:] = b"\xff" * (len(damaged) - 100)
    path.write_bytes(damaged)
    again = StateStore(path)
    assert again.get("a", "1") is None
    again.put("a", "k", 1)
    assert again.get("a", "k") == 1
    again.close()
    assert (tmp_path / "s.damaged").read_bytes() == damaged


def test_a_file_of_another_shape_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE state (something TEXT)")
    store = StateStore(path)
    store.put("a", "k", 1)
    assert store.get("a", "k") == 1, "in memory"
    store.close()
    assert not path.with_suffix(".damaged").exists()
    with contextlib.closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT something FROM state").fetchall() == []


def test_a_lock_of_another_process_is_waited_for_and_then_borne(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trueup.state.BUSY_SECONDS", 0.01)
    path = tmp_path / "s.sqlite"
    store = StateStore(path)
    store.put("a", "before", 1)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        store.put("a", "meanwhile", 1)
        late = StateStore(path)
        late.put("a", "meanwhile", 1)
        late.close()
        other.execute("COMMIT")
    store.put("a", "after", 1)
    assert [entry.key for entry in store.entries("a")] == ["after", "before"]
    store.close()
    assert not path.with_suffix(".damaged").exists()


def test_a_home_that_cannot_be_found_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> Path:
        raise ConfigError("the folder cannot be found")

    monkeypatch.setattr("trueup.state.trueup_home", nowhere)
    store = StateStore()
    store.put("a", "k", 1)
    assert store.get("a", "k") == 1
    store.close()


def test_what_is_kept_in_memory_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    os.mkdir(tmp_path / "s.sqlite")
    store = StateStore(tmp_path / "s.sqlite")
    for _ in range(3):
        store.put("a", "k", 1)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    store.close()
