"""The far worker as a file: the same bytes everywhere, for interpreters as old as Python 3.9."""

from __future__ import annotations

import ast
import hashlib
import io
import sys
import zipfile
from pathlib import Path

import pytest

import trueup.backends.llamafactory
from trueup.backends.llamafactory.deploy import worker_file, worker_name

FAR = Path(trueup.backends.llamafactory.__file__).parent / "far"
SOURCES = sorted(FAR.glob("*.py"))
# What is there beside LlamaFactory itself.
BESIDE = {"torch", "transformers", "llamafactory"}


def test_the_file_is_the_same_whenever_it_is_made() -> None:
    first = worker_file()
    worker_file.cache_clear()
    assert worker_file() == first
    assert worker_name() == f"worker-{hashlib.sha256(first).hexdigest()[:16]}.pyz"
    with zipfile.ZipFile(io.BytesIO(first)) as archive:
        entries = archive.infolist()
    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
    assert {entry.compress_type for entry in entries} == {zipfile.ZIP_STORED}
    # Its start, and what a hook in llamafactory-cli is found by.
    assert len(entries) == len(SOURCES) + 2


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_every_module_is_python_3_9_and_imports_only_what_is_there(source: Path) -> None:
    tree = ast.parse(source.read_text(encoding="utf-8"), feature_version=(3, 9))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [each.name.partition(".")[0] for each in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [str(node.module).partition(".")[0]]
        else:
            continue
        assert set(names) <= sys.stdlib_module_names | BESIDE, names
        if set(names) & BESIDE:  # only where a model is loaded: never at the top
            assert node not in tree.body
