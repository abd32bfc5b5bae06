from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.forecasting.pictures.charts import chart
from trueup.errors import ConfigError
from trueup.forecasting.pictures import check_destination, draw, drawing, html


@pytest.mark.parametrize("name", ["a.html", "a.png", "A.PNG", "terminal"])
def test_what_can_be_drawn_passes(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    check_destination(name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.svg", "a", "a.html.gz", "Terminal", ""])
def test_another_kind_of_picture_is_refused_with_the_choices(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_destination(name)
    assert caught.value.hint == "give `terminal`, a file `*.html` or a file `*.png`"


def test_a_missing_folder_is_told_with_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no directory") as caught:
        check_destination(tmp_path / "my charts" / "a.png")
    assert caught.value.hint == f"mkdir -p '{tmp_path / 'my charts'}'"


def test_a_file_for_a_folder_and_a_folder_for_a_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(ConfigError, match="is no directory"):
        check_destination(tmp_path / "file" / "a.png")
    with pytest.raises(ConfigError, match="a directory has the name"):
        check_destination(tmp_path / "folder.png")


def test_a_place_without_permission_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Root may write everywhere, so the system's answer is given for it.
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    with pytest.raises(ConfigError, match="no permission"):
        check_destination(tmp_path / "a.png")


@pytest.mark.parametrize(("name", "package"), [("terminal", "plotext"), ("a.png", "matplotlib")])
def test_a_missing_package_is_told_with_the_extra(
    name: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match=f"`{package}` is not installed") as caught:
        check_destination(name)
    assert caught.value.hint == "pip install 'trueup[forecast]'"


def test_a_package_that_cannot_be_imported_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> Any:
        raise ImportError("its compiled part is missing")

    monkeypatch.setattr(drawing.importlib, "import_module", broken)
    with pytest.raises(ConfigError, match="cannot be imported: its compiled part is missing"):
        check_destination("terminal")


def test_a_page_needs_the_library_of_the_installation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(html, "LIBRARY", tmp_path / "none.js")
    with pytest.raises(ConfigError, match="lightweight-charts") as caught:
        check_destination(tmp_path / "a.html")
    assert "make install" in str(caught.value.hint)


def test_a_chart_replaces_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    path.write_text("before")
    draw(chart(), path)
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")


@pytest.mark.parametrize("bars", [0, -5])
def test_no_history_is_no_chart(bars: int, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"{bars} bars of history"):
        draw(chart(), tmp_path / "a.html", history_bars=bars)


def test_a_disk_that_is_full_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ConfigError, match="No space left on device"):
        draw(chart(), tmp_path / "a.html")


def test_the_package_imports_nothing_that_draws() -> None:
    code = (
        "import sys, trueup.forecasting.pictures;"
        "assert not {'matplotlib', 'plotext', 'pandas', 'torch'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
