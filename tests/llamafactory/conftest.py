from __future__ import annotations

from pathlib import Path

import pytest

from tests.llamafactory.worker import FAKE, Bench


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setenv("PYTHONPATH", str(FAKE))
    monkeypatch.setenv("TRUEUP_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FAKE_LOADS", str(tmp_path / "loads"))
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "model.safetensors").write_bytes(b"0" * 2_500_000)
    return Bench(tmp_path)
