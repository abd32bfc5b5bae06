"""Model directories with code of their own, and hub repositories in a cache."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.checkpoint.directories import read, write
from trueup.checkpoint.checkpoint import Checkpoint

CONFIG = {
    "model_type": "x",
    "auto_map": {"AutoConfig": "configuration_x.XConfig", "AutoModel": "modeling_x.X"},
}
FILES: dict[str, Any] = {
    "config.json": CONFIG,
    "configuration_x.py": "class XConfig: pass\n",
    "modeling_x.py": "from .rope import Rope\nclass X: pass\n",
    "rope.py": "class Rope: pass\n",
    "train.py": "import os\nos.system('true')\n",
}


def model(directory: Path, **changed: Any) -> Checkpoint:
    """The model in `directory`; `modeling_x="…"` gives another content to modeling_x.py."""
    files = {**FILES, **{f"{name}.py": content for name, content in changed.items()}}
    return read(directory, files)


def cached(cache: Path, repository: str, files: Mapping[str, Any]) -> Path:
    """A repository as huggingface_hub keeps it."""
    folder = cache / f"models--{repository.replace('/', '--')}"
    write(folder / "snapshots" / ("a" * 40), files)
    write(folder, {"refs/main": "a" * 40})
    return folder


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"
