from pathlib import Path

import pytest

from tests.checkpoints.encoders import build_encoder
from trueup.adapt.planning import Wishes, plan_model
from trueup.checkpoint.content import weights_digest
from trueup.checkpoint.files import read_checkpoint
from trueup.checkpoint.source import resolve


@pytest.fixture
def encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRUEUP_HOME", str(tmp_path / "home"))
    return build_encoder("roberta", tmp_path / "encoder")


def digest(directory: Path) -> str:
    return weights_digest(read_checkpoint(resolve(str(directory))))


def flip(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def test_every_byte_counts_wherever_it_is(encoder: Path) -> None:
    weights = encoder / "model.safetensors"
    seen = {digest(encoder)}
    size = weights.stat().st_size
    for position in (size // 3 + 1, size // 2 + 3, size - 1):
        flip(weights, position)
        seen.add(digest(encoder))
    assert len(seen) == 4


def test_the_digest_is_read_once_and_kept(encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = digest(encoder)
    monkeypatch.setattr("hashlib.file_digest", lambda *_: pytest.fail("read again"))
    assert digest(encoder) == first


def test_other_weights_never_get_the_artifacts_of_these(encoder: Path) -> None:
    wishes = Wishes(dtype="int8", device="cpu")
    before = plan_model(str(encoder), wishes).embedding
    weights = encoder / "model.safetensors"
    flip(weights, weights.stat().st_size - 5)
    after = plan_model(str(encoder), wishes).embedding
    assert before is not None
    assert after is not None
    assert before.artifact != after.artifact


def test_a_home_that_cannot_be_written_costs_only_time(
    encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = digest(encoder)
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("TRUEUP_HOME", str(tmp_path / "file"))
    assert digest(encoder) == kept
