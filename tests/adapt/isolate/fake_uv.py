"""A stand-in for uv that writes what uv would write, and fails or waits on cue."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from trueup.adapt.isolate import uv

PROGRAM = """#!{python} -SE
import json, os, pathlib, sys
here = pathlib.Path({here!r})
script = json.loads((here / "script.json").read_text())
words = sys.argv[1:]
step = words[0] if words[0] != "pip" else words[1]
with (here / "calls.jsonl").open("a") as calls:
    calls.write(json.dumps(words) + "\\n")
if script.get("waits_at") == step:
    with open(here / "waiting", "w") as pipe:  # opened by who waits for this
        pipe.write(str(os.getpid()))
    with open(here / "goes_on") as pipe:
        pipe.read()
if step in script["fails"]:
    sys.stderr.write(script["fails"][step])
    sys.exit(2)
if step == "venv":
    folder = pathlib.Path(words[words.index("--allow-existing") + 1])
    (folder / "bin").mkdir(parents=True)
    python = folder / "bin" / "python"
    python.write_text(script["interpreter"])
    python.chmod(0o755)
elif step == "compile":
    pathlib.Path(words[words.index("--output-file") + 1]).write_text(script["pylock"])
elif step == "install":
    sys.stderr.write("Downloading numpy (17.4MiB)\\n")
    packages = pathlib.Path(words[words.index("--python") + 1]).parent.parent
    packages = packages / "lib" / script["python"] / "site-packages"
    for name, text in script["files"].items():
        (packages / name).parent.mkdir(parents=True, exist_ok=True)
        (packages / name).write_text(text)
"""
PYLOCK = """
lock-version = "1.0"
created-by = "uv"

[[packages]]
name = "transformers"
version = "4.38.2"
wheels = [{ url = "file:///index/transformers-4.38.2-py3-none-any.whl", size = 8500000, \
hashes = { sha256 = "aa" } }]

[[packages]]
name = "numpy"
version = "1.26.4"
wheels = [
  { url = "file:///index/numpy-1.26.4-cp311-cp311-other_9_x86.whl", size = 7, \
hashes = { sha256 = "cc" } },
  { url = "file:///index/numpy-1.26.4-py3-none-any.whl", size = 18000000, \
hashes = { sha256 = "bb" } },
]
"""
RUNS = "#!/bin/sh\nexit 0\n"
FILES = {
    "transformers/__init__.py": "__version__ = '4.38.2'\n",
    "transformers-4.38.2.dist-info/METADATA": "Name: transformers\n",
}


class FakeUv:
    """The program and its script, in a folder."""

    def __init__(self, folder: Path, python: str) -> None:
        self.folder = folder
        self.path = folder / "uv"
        self.path.write_text(PROGRAM.format(python=sys.executable, here=str(folder)))
        self.path.chmod(0o755)
        self._script: dict[str, Any] = {
            "fails": {},
            "interpreter": RUNS,
            "pylock": PYLOCK,
            "python": f"python{python}",
            "files": FILES,
        }
        self.does()

    def does(self, **changes: Any) -> None:
        """Change what it does from now on."""
        self._script.update(changes)
        (self.folder / "script.json").write_text(json.dumps(self._script))

    @property
    def calls(self) -> list[list[str]]:
        """How it was called so far."""
        try:
            lines = (self.folder / "calls.jsonl").read_text().splitlines()
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in lines]

    @property
    def steps(self) -> list[str]:
        """What it was asked for so far: venv, compile, install, check."""
        return [words[1] if words[0] == "pip" else words[0] for words in self.calls]


def install_fake(folder: Path, python: str, monkeypatch: pytest.MonkeyPatch) -> FakeUv:
    folder.mkdir(parents=True, exist_ok=True)
    fake = FakeUv(folder, python)
    monkeypatch.setattr(uv, "find_uv", lambda: fake.path)
    return fake
