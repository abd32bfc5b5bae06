from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from tests.adapt.isolate.planned_facts import environment_at, torch_at, write_distribution
from trueup.adapt.isolate import linking
from trueup.adapt.isolate.linking import Shared, can_link, share_files
from trueup.adapt.isolate.shared_torch import SharedTorch, shared_torch


def test_the_closure_is_torch_and_what_its_metadata_asks_for_here(tmp_path: Path) -> None:
    torch = torch_at(tmp_path)
    assert [package.name for package in torch.packages] == ["torch", "sympy", "mpmath"]
    assert torch.version == "2.13.0+cpu"
    assert "torch/lib.so" in torch.packages[0].files
    assert not any(name.startswith("..") for name in torch.packages[0].files)
    assert torch.size_bytes > 5000


def test_a_torch_whose_needs_are_not_known_cannot_be_shared(tmp_path: Path) -> None:
    write_distribution(tmp_path, "torch", "2.13.0", {"torch/a.py": ""}, ("sympy",))
    found = shared_torch(environment_at(tmp_path, {"torch": "2.13.0"}))
    assert isinstance(found, str)
    assert "`sympy`" in found


def test_a_torch_without_a_list_of_its_files_cannot_be_shared(tmp_path: Path) -> None:
    torch_at(tmp_path)
    (tmp_path / "mpmath-1.3.0.dist-info" / "RECORD").unlink()
    names = {"torch": "2.13.0+cpu", "sympy": "1.14.0", "mpmath": "1.3.0", "other": "1"}
    found = shared_torch(environment_at(tmp_path, names))
    assert isinstance(found, str)
    assert "`mpmath-1.3.0.dist-info/RECORD`" in found


def test_somebodys_working_copy_of_torch_cannot_be_shared(tmp_path: Path) -> None:
    torch_at(tmp_path)
    url = tmp_path / "torch-2.13.0+cpu.dist-info" / "direct_url.json"
    url.write_text('{"url": "file:///src/pytorch", "dir_info": {"editable": true}}')
    names = {"torch": "2.13.0+cpu", "sympy": "1.14.0", "mpmath": "1.3.0", "more": "1"}
    assert isinstance(shared_torch(environment_at(tmp_path, names)), str)


def test_no_torch_is_a_reason(tmp_path: Path) -> None:
    assert "not installed" in str(shared_torch(environment_at(tmp_path, {})))


def test_files_are_linked_and_one_that_is_gone_is_passed_over(tmp_path: Path) -> None:
    torch = torch_at(tmp_path / "home")
    (tmp_path / "home" / "torch" / "lib.so").unlink()
    done = Shared()
    for package in torch.packages:
        share_files(package.folder, tmp_path / "new", package.files, done)
    assert (tmp_path / "new" / "sympy" / "__init__.py").stat().st_nlink == 2
    assert (done.copied, done.cloned) == (0, 0)
    assert done.linked == sum(len(package.files) for package in torch.packages) - 1


@pytest.mark.parametrize("number", [errno.EXDEV, errno.EPERM, errno.EMLINK])
def test_files_that_cannot_be_linked_are_copied_as_they_are(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = torch_at(tmp_path / "home")

    def refused(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(linking.os, "link", refused)
    monkeypatch.setattr(linking, "_clone", lambda *_: False)
    done = Shared()
    share_files(tmp_path / "home", tmp_path / "new", torch.packages[0].files, done)
    source, copy = (tmp_path / name / "torch" / "lib.so" for name in ("home", "new"))
    assert copy.read_bytes() == source.read_bytes()
    assert copy.stat().st_mtime_ns == source.stat().st_mtime_ns
    assert (done.linked, done.copied) == (0, len(torch.packages[0].files))
    assert done.copied_bytes >= 5000


def test_a_full_disk_is_no_reason_to_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = torch_at(tmp_path / "home")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(linking.os, "link", full)
    with pytest.raises(OSError, match="No space"):
        share_files(tmp_path / "home", tmp_path / "new", torch.packages[0].files, Shared())


def test_a_place_that_is_not_there_yet_is_on_the_file_system_of_its_parent(tmp_path: Path) -> None:
    assert can_link(tmp_path, tmp_path / "not" / "there")
    assert not can_link(tmp_path, Path("/proc/self"))


def test_torch_of_the_running_interpreter_can_be_read_where_it_is_installed() -> None:
    from trueup.environment.packages import read_environment

    environment = read_environment()
    found = shared_torch(environment)
    assert isinstance(found, SharedTorch)
    assert found.version == environment.packages["torch"]
    assert {"torch", "sympy", "jinja2"} <= {package.name for package in found.packages}
