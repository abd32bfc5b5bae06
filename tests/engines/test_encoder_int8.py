from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.checkpoints.encoders import build_encoder
from tests.engines.encoders import TEXTS, embed, load_engine, plan_of
from trueup.adapt.deviation import read_deviation
from trueup.adapt.plan import Plan
from trueup.engines import encoder_int8
from trueup.engines.embedding_load import load_embedding_engine
from trueup.engines.encoder_int8 import GRAPH_FILE, graph_of
from trueup.errors import AdaptError


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_encoder("roberta", tmp_path_factory.mktemp("roberta"))


def folder_of(plan: Plan) -> Path:
    assert plan.embedding is not None
    return Path(str(plan.embedding.artifact))


def forbid(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def fail(*_arguments: Any, **_named: Any) -> None:
        raise AssertionError(f"{name} a second time")

    monkeypatch.setattr(encoder_int8, name, fail)


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
def test_int8_is_near_fp32_in_every_pooling_padded_or_not(pooling: str, directory: Path) -> None:
    expected = embed(load_engine(directory, pooling=pooling), TEXTS)
    engine = load_engine(directory, pooling=pooling, dtype="int8")
    for is_alone in (True, False):
        found = embed(engine, TEXTS, is_alone=is_alone)
        cosines = (expected * found).sum(axis=1)
        assert cosines.min() > 0.99
        assert not np.array_equal(found, expected)


@pytest.mark.parametrize("family", ["bert", "distilbert", "mpnet"])
def test_the_graph_is_the_model_in_other_families(family: str, tmp_path: Path) -> None:
    made = build_encoder(family, tmp_path / family)
    expected = embed(load_engine(made), TEXTS)
    found = embed(load_engine(made, dtype="int8"), TEXTS)
    assert (expected * found).sum(axis=1).min() > 0.99


def test_the_graph_is_made_once_kept_and_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = build_encoder("roberta", tmp_path / "model")
    plan = plan_of(made, dtype="int8", pooling="mean")
    folder = folder_of(plan)
    first = embed(load_embedding_engine(plan), TEXTS)
    assert sorted(path.name for path in folder.iterdir()) == ["deviation.json", GRAPH_FILE]
    deviation = read_deviation(folder)
    assert deviation is not None
    assert 0.99 < deviation.cosine_min <= deviation.cosine_mean <= 1 + 1e-6
    again = plan_of(made, dtype="int8", pooling="mean")
    assert again.embedding is not None
    assert again.embedding.deviation == deviation
    forbid(monkeypatch, "_export")
    assert np.array_equal(embed(load_embedding_engine(again), TEXTS), first)


def test_an_export_that_was_cut_off_leaves_nothing_and_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = build_encoder("roberta", tmp_path / "model", intermediate_size=80)
    plan = plan_of(made, dtype="int8")

    def cut(_model: Any, path: Path) -> None:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(encoder_int8, "_export", cut)
        with pytest.raises(KeyboardInterrupt):
            load_embedding_engine(plan)
    assert list(folder_of(plan).iterdir()) == []
    load_embedding_engine(plan)
    assert (folder_of(plan) / GRAPH_FILE).is_file()


def test_a_kept_graph_that_is_damaged_is_made_again(tmp_path: Path) -> None:
    made = build_encoder("roberta", tmp_path / "model", intermediate_size=72)
    plan = plan_of(made, dtype="int8")
    expected = embed(load_embedding_engine(plan), TEXTS)
    graph = folder_of(plan) / GRAPH_FILE
    graph.write_bytes(graph.read_bytes()[:1000])
    assert np.array_equal(embed(load_embedding_engine(plan), TEXTS), expected)
    assert graph.stat().st_size > 1000


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    made = build_encoder("roberta", tmp_path / "model", intermediate_size=64)
    plan = plan_of(made, dtype="int8")
    folder = folder_of(plan)
    folder.rmdir()
    with pytest.raises(AdaptError) as caught:
        load_embedding_engine(plan)
    assert caught.value.where == str(folder)
    assert "TRUEUP_HOME" in (caught.value.hint or "")


def test_a_folder_that_is_full_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = build_encoder("roberta", tmp_path / "model", intermediate_size=56)
    plan = plan_of(made, dtype="int8")

    def full(*_arguments: Any, **_named: Any) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(encoder_int8, "_export", full)
    with pytest.raises(AdaptError, match="No space left on device") as caught:
        load_embedding_engine(plan)
    assert caught.value.where == str(folder_of(plan))


@pytest.mark.parametrize("package", ["onnxruntime", "onnx"])
def test_a_package_that_is_missing_is_told_with_what_installs_it(
    package: str, directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.import_module

    def imported(name: str, *more: Any) -> Any:
        if name.partition(".")[0] == package:
            raise ModuleNotFoundError(f"No module named '{package}'", name=package)
        return real(name, *more)

    monkeypatch.setattr(importlib, "import_module", imported)
    with pytest.raises(AdaptError) as caught:
        graph_of(None, tmp_path)
    assert f"`{package}`" in caught.value.cause
    assert caught.value.hint == "pip install 'trueup[onnx]'"
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_cannot_be_traced_is_told_with_another_way(tmp_path: Path) -> None:
    import torch

    class Odd(torch.nn.Module):
        config = None

        def forward(self, **_inputs: Any) -> Any:
            raise NotImplementedError("it branches")

    with pytest.raises(AdaptError, match="cannot be written as an ONNX graph") as caught:
        graph_of(Odd(), tmp_path)
    assert "`dtype: bfloat16`" in (caught.value.hint or "")
    assert list(tmp_path.iterdir()) == []
