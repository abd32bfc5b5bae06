"""What a proof leaves: the stronger record, and nothing half-written or forgotten."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from trueup.adapt.proof_record import SCHEMA_VERSION, Subject, path_of
from trueup.errors import ConfigError
from trueup.proof import keeping
from trueup.proof.keeping import PREFIX, check_records, check_room, keep, working_folder

SUBJECT = Subject(digests={"weights": "sha256:1"})
CASES = ({"case": "greedy"},)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRUEUP_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def record(
    verdict: str = "proven", *, tokens: int = 512, is_streamed: bool = False
) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "verdict": verdict,
        "date": "2026-11-27T12:00:00+00:00",
        "reasons": [],
        "model": {},
        "subject": dict(SUBJECT.digests),
        "tried": {
            "layer_by_layer": is_streamed,
            "extent": "layer by layer" if is_streamed else "loaded",
            "longest_tokens": tokens,
        },
        "figures": {"float32": list(CASES)},
        "inspection": {},
    }


def held() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path_of(SUBJECT).read_text())
    return found


@pytest.mark.parametrize(
    "weaker", [record(tokens=64), record(is_streamed=True), record(tokens=1024, is_streamed=True)]
)
def test_a_weaker_proof_leaves_the_stronger_record(weaker: dict[str, Any]) -> None:
    keep(record(), SUBJECT)

    kept = keep(weaker, SUBJECT)

    assert (kept.record, kept.fault) == (path_of(SUBJECT), None)
    assert "which tried more: proven up to 512 tokens, whole" in str(kept.note)
    assert held()["tried"] == record()["tried"]


@pytest.mark.parametrize(
    "newer", [record(tokens=1024), record(), record("failed", tokens=5, is_streamed=True)]
)
def test_a_proof_that_tried_as_much_or_failed_is_kept(newer: dict[str, Any]) -> None:
    keep(record(), SUBJECT)

    assert keep(newer, SUBJECT).note is None

    assert (held()["verdict"], held()["tried"]) == (newer["verdict"], newer["tried"])


def test_a_damaged_record_is_replaced() -> None:
    keep(record(), SUBJECT)
    path_of(SUBJECT).write_text(path_of(SUBJECT).read_text().replace("512", "9999"))

    assert keep(record(tokens=64), SUBJECT).note is None
    assert held()["tried"]["longest_tokens"] == 64


def test_a_record_that_cannot_be_kept_is_told_beside_the_verdict(home: Path) -> None:
    home.write_text("")

    kept = keep(record(), SUBJECT)

    assert kept.record is None
    assert "the record cannot be written" in str(kept.fault)


def test_a_full_disk_is_told_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ConfigError, match="the record cannot be written: No space") as caught:
        check_records()
    assert str(caught.value.hint).startswith("make room on the disk of")


def test_looking_for_room_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "golden.npz"

    check_room(path, "the file")

    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConfigError, match="the file cannot be written: Is a directory"):
        check_room(tmp_path, "the file")


def test_what_a_killed_proof_left_is_removed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    program = (
        "import os, trueup.proof.keeping as k; f = k.working_folder(); f.__enter__(); os._exit(9)"
    )
    told = {**os.environ, "TMPDIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", program], env=told, check=False)
    (left,) = tmp_path.glob(f"{PREFIX}*")

    with working_folder() as one:
        assert not left.exists()
        with working_folder() as other:
            assert one.is_dir()
            assert other.is_dir()

    assert list(tmp_path.glob(f"{keeping.PREFIX}*")) == []
