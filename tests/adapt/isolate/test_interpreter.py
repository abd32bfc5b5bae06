from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from trueup.adapt.isolate import json_instead
from trueup.adapt.isolate.interpreter import command
from trueup.errors import AdaptError

# A module that says what it sees: run by its name in the lent package's place.
SEEN = """
import importlib.util, json, sys
names = ("trueup", "uvicorn", "h11", "click", "orjson", "torch", "pydantic", "tests", "own")
found = {name: importlib.util.find_spec(name) for name in names}
print(json.dumps({name: spec.origin for name, spec in found.items() if spec}))
print(json.dumps(sys.argv))
"""


def bare_python(folder: Path) -> Path:
    """An interpreter without any package."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    return folder / "bin" / "python"


def seen(python: Path, folder: Path, lent: Path) -> tuple[dict[str, str], list[str]]:
    made = command(python, lent)
    (folder / "site").mkdir()
    (folder / "site" / "seen.py").write_text(SEEN)
    environment = made.environment({"PYTHONPATH": "/ours", "VIRTUAL_ENV": "/ours"})
    assert set(environment.values()) & {"/ours"} == set()
    environment["PYTHONPATH"] += f":{folder / 'site'}"
    run = subprocess.run(
        [*made.argv, "seen", "--flag"],
        env=environment,
        cwd=folder,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    origins, arguments = run.stdout.splitlines()
    return json.loads(origins), json.loads(arguments)


def test_a_bare_python_is_lent_this_package_and_what_serves_http(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("")  # where it starts is not where it imports from
    lent = tmp_path / "lent"
    origins, arguments = seen(bare_python(tmp_path / "bare"), tmp_path, lent)
    assert set(origins) == {"trueup", "uvicorn", "h11", "click", "orjson"}
    assert all(Path(origin).is_relative_to(lent) for origin in origins.values())
    assert Path(arguments[0]).name == "seen.py"
    assert arguments[1:] == ["--flag"]


def test_what_an_environment_has_itself_comes_first(tmp_path: Path) -> None:
    lent = tmp_path / "lent"
    origins, _ = seen(Path(sys.executable), tmp_path, lent)
    assert Path(origins["trueup"]).is_relative_to(lent)
    for name in ("uvicorn", "h11", "click", "orjson"):
        assert not Path(origins[name]).is_relative_to(lent)


def test_many_workers_share_one_folder(tmp_path: Path) -> None:
    first, again = (command(Path("/usr/bin/python"), tmp_path) for _ in range(2))
    assert first == again


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AdaptError, match="cannot be lent") as caught:
        command(Path("/usr/bin/python"), tmp_path / "file")
    assert caught.value.where == str(tmp_path / "file")


@pytest.mark.parametrize(
    "text", [b"{", b"\xff", b"NaN", b'{"a": Infinity}', b"[" * 100_000, b"", b"[1]]"]
)
def test_what_is_not_json_is_one_kind_of_error(text: bytes) -> None:
    with pytest.raises(json_instead.JSONDecodeError):
        json_instead.loads(text)


def test_json_is_written_as_orjson_writes_it() -> None:
    import numpy
    import orjson

    value = {"a": [1, 2.5, None, True], "b": "你好 \u2028 \x00", "c": {"d": ()}}
    assert json_instead.dumps(value) == orjson.dumps(value)
    assert json_instead.loads(orjson.dumps(value)) == orjson.loads(orjson.dumps(value))
    array = {"a": numpy.array([[1.0, 2.0]], dtype=numpy.float32)}
    written = json_instead.dumps(array, option=json_instead.OPT_SERIALIZE_NUMPY)
    assert written == orjson.dumps(array, option=orjson.OPT_SERIALIZE_NUMPY)
    for wrong in (array, {"a": object()}):
        with pytest.raises(TypeError):
            json_instead.dumps(wrong)
