from pathlib import Path

import pytest

from trueup.checkpoint import demo
from trueup.checkpoint.source import resolve
from trueup.errors import CheckpointError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRUEUP_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_the_word_demo_is_a_copy_of_the_packed_checkpoint(home: Path) -> None:
    source = resolve("demo")
    assert source.id == "demo"
    assert source.directory.parent == home / "demo"
    for packed in demo.PACKED.iterdir():
        if packed.is_file():
            assert (source.directory / packed.name).read_bytes() == packed.read_bytes()


def test_the_second_call_writes_nothing(home: Path) -> None:
    first = demo.unpack_demo()
    (first / "mark").write_text("kept")
    assert demo.unpack_demo() == first
    assert (first / "mark").exists()


def test_other_content_goes_to_another_directory(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = demo.unpack_demo()
    (tmp_path / "packed").mkdir()
    (tmp_path / "packed" / "config.json").write_text("{}")
    monkeypatch.setattr(demo, "PACKED", tmp_path / "packed")
    assert demo.unpack_demo() != first


def test_a_copy_that_breaks_off_leaves_nothing_behind(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", full)
    with pytest.raises(CheckpointError, match="No space left on device"):
        demo.unpack_demo()
    assert list((home / "demo").iterdir()) == []


def test_a_package_without_the_checkpoint_says_so(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "PACKED", tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match="no demo checkpoint"):
        demo.unpack_demo()
