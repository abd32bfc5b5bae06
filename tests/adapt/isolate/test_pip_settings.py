from __future__ import annotations

from pathlib import Path

import pytest

from trueup.adapt.isolate.pip_settings import index_variables

MIRROR = "http://127.0.0.1:9/simple"


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def found(tmp_path: Path, **environment: str) -> str | None:
    variables = {"HOME": str(tmp_path / "home"), **environment}
    told = index_variables(variables, prefix=tmp_path / "prefix", root=tmp_path / "root")
    return told.get("UV_DEFAULT_INDEX")


@pytest.mark.parametrize(
    "place",
    [
        "prefix/pip.conf",
        "home/.config/pip/pip.conf",
        "home/.pip/pip.conf",
        "root/etc/xdg/pip/pip.conf",
        "root/etc/pip.conf",
    ],
)
@pytest.mark.parametrize("section", ["global", "install"])
def test_a_mirror_that_pip_knows_is_uvs_too(place: str, section: str, tmp_path: Path) -> None:
    assert found(tmp_path) is None
    written(tmp_path / place, f"[{section}]\nindex-url = {MIRROR}\n")
    assert found(tmp_path) == MIRROR


def test_the_variable_goes_before_the_files_and_the_named_file_before_the_others(
    tmp_path: Path,
) -> None:
    written(tmp_path / "home/.pip/pip.conf", "[global]\nindex-url = https://users.example\n")
    named = written(tmp_path / "named.conf", f"[global]\nindex-url = {MIRROR}\n")
    assert found(tmp_path) == "https://users.example"
    assert found(tmp_path, PIP_CONFIG_FILE=str(named)) == MIRROR
    assert found(tmp_path, PIP_INDEX_URL="https://first.example") == "https://first.example"


@pytest.mark.parametrize("name", ["UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_CONFIG_FILE"])
def test_what_uv_was_told_itself_is_left_alone(name: str, tmp_path: Path) -> None:
    assert found(tmp_path, PIP_INDEX_URL=MIRROR, **{name: "set"}) is None


def test_settings_of_uv_in_a_file_are_left_alone(tmp_path: Path) -> None:
    written(tmp_path / "root/etc/uv/uv.toml", "")
    assert found(tmp_path, PIP_INDEX_URL=MIRROR) is None


@pytest.mark.parametrize("text", ["[global]\n", "no section", "[global]\nindex-url =\n", "\x00["])
def test_settings_that_name_no_index_tell_nothing(text: str, tmp_path: Path) -> None:
    written(tmp_path / "home/.pip/pip.conf", text)
    assert found(tmp_path) is None
