from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.environments import python_for
from tests.llamafactory.models import write_adapter, write_base, write_reciting
from tests.llamafactory.worker import FAKE, Bench

# What cuts a reader short that takes the first prompt for the end of a reply.
RECITED = ("你好！🙂", "\nUser: ", "again", "\nAssistant: ", "yes")


@dataclass(frozen=True, kw_only=True)
class Models:
    base: Path
    adapter: Path
    reciting: Path


@pytest.fixture(scope="session")
def llamafactory_python() -> Path:
    """The interpreter of the real llamafactory."""
    return python_for("llamafactory-0.9.5")


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    folder = tmp_path_factory.mktemp("models")
    base = write_base(folder / "base")
    return Models(
        base=base,
        adapter=write_adapter(folder / "adapter", base),
        reciting=write_reciting(folder / "reciting", RECITED),
    )


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setenv("PYTHONPATH", str(FAKE))
    monkeypatch.setenv("TRUEUP_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FAKE_LOADS", str(tmp_path / "loads"))
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "model.safetensors").write_bytes(b"0" * 2_500_000)
    return Bench(tmp_path)


@pytest.fixture
def real(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """The bench with the real llamafactory."""
    monkeypatch.delenv("PYTHONPATH")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return bench
