from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A path for a Unix socket: pytest's own directories can be longer than 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="trueup-") as directory:
        yield Path(directory) / "s"
