from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from tests.checkpoints.encoders import Sentence, build_encoder
from tests.engines.encoders import (
    TEXTS,
    embed,
    load_engine,
    plan_of,
    reference,
    token_ids_of,
    unit,
)
from trueup.adapt.deviation import read_deviation, refreshed
from trueup.adapt.planning import Wishes, plan_model
from trueup.engines.embedding import EmbeddingEngine, unit_length
from trueup.engines.embedding_load import load_embedding_engine
from trueup.errors import AdaptError, BackendError, RequestError
from trueup.protocol.embedding import EmbeddingRequest

FAMILIES = ("roberta", "bert", "distilbert", "mpnet", "qwen2")
EXACT = 1e-5


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("encoders")


@pytest.fixture(scope="module")
def directories(folder: Path) -> dict[str, Path]:
    return {family: build_encoder(family, folder / family) for family in FAMILIES}


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
@pytest.mark.parametrize("family", FAMILIES)
def test_vectors_are_those_of_a_plain_forward_in_float64(
    family: str, pooling: str, normalize: bool, directories: dict[str, Path]
) -> None:
    directory = directories[family]
    engine = load_engine(directory, pooling=pooling, normalize=normalize)
    rows = [reference(directory, token_ids_of(directory, text), pooling) for text in TEXTS]
    expected = unit(np.stack(rows)) if normalize else np.stack(rows)
    # The texts are told apart, or anything would be equal to anything.
    assert np.abs(expected[0] - expected[1]).max() > 0.01
    for is_alone in (False, True):
        found = embed(engine, TEXTS, is_alone=is_alone)
        assert found.dtype == np.float32
        assert found.shape == (len(TEXTS), 64)
        assert np.abs(found - expected).max() <= EXACT


@pytest.mark.parametrize("is_old", [True, False])
@pytest.mark.parametrize(
    ("word", "pooling"), [("mean", "mean"), ("cls", "cls"), ("lasttoken", "last")]
)
def test_the_models_own_settings_decide_pooling_and_normalisation(
    word: str, pooling: str, is_old: bool, tmp_path: Path
) -> None:
    settings = Sentence(pooling=word, is_old=is_old, normalize=False)
    directory = build_encoder("bert", tmp_path / "bert", sentence=settings)
    text = TEXTS[1]
    expected = reference(directory, token_ids_of(directory, text), pooling)
    (found,) = embed(load_engine(directory), [text])
    assert np.abs(found - expected).max() <= EXACT


def test_dimensions_are_the_first_numbers_with_length_one_again(
    directories: dict[str, Path],
) -> None:
    for family in FAMILIES:
        engine = load_engine(directories[family])
        whole, cut = embed(engine, TEXTS), embed(engine, TEXTS, dimensions=16)
        assert cut.shape == (len(TEXTS), 16)
        assert np.abs(cut - unit(whole[:, :16].astype(np.float64))).max() < 1e-6
        assert np.array_equal(embed(engine, TEXTS, dimensions=64), whole)


def test_more_dimensions_than_the_model_has_are_refused(directories: dict[str, Path]) -> None:
    engine = load_engine(directories["roberta"])
    with pytest.raises(RequestError) as caught:
        embed(engine, ["x"], dimensions=65)
    assert (caught.value.param, "at most the model's 64" in caught.value.cause) == (
        "dimensions",
        True,
    )


def damage(directory: Path, family_file: str = "model.safetensors") -> int:
    """NaN in the embedding of a token that one text alone has; that text's token."""
    path = directory / family_file
    tensors = {name: tensor.clone() for name, tensor in load_file(path).items()}
    (token,) = token_ids_of(directory, "Q", is_bare=True)
    tensors["embeddings.word_embeddings.weight"][token] = float("nan")
    save_file(tensors, path, metadata={"format": "pt"})
    return token


def test_what_is_no_number_is_an_error_that_names_the_input(tmp_path: Path) -> None:
    directory = build_encoder("roberta", tmp_path / "model")
    damage(directory)
    engine = load_engine(directory)
    with pytest.raises(BackendError) as caught:
        embed(engine, ["a", "b", "cQ", "d"])
    error = caught.value
    assert "`input[2]`" in error.cause
    assert "1 of 4" in error.cause
    assert (error.code, error.status, error.retryable) == ("not_a_number", 500, False)
    assert np.isfinite(embed(engine, ["a", "b"])).all()


def test_one_broken_text_leaves_the_others_of_its_batch_whole(tmp_path: Path) -> None:
    """Requests of several clients share a batch."""
    directory = build_encoder("roberta", tmp_path / "model")
    damage(directory)
    engine = load_engine(directory)
    request = EmbeddingRequest(model="m", inputs=("longer than the other", "Q"))
    rows = engine.prepare(request).token_ids
    vectors = engine.encode(rows, threads=1)
    assert [bool(np.isfinite(vector).all()) for vector in vectors] == [True, False]


def test_a_row_of_zeros_keeps_its_zeros() -> None:
    vectors = np.array([[0, 0], [3, 4]], dtype=np.float32)
    assert unit_length(vectors).tolist() == [[0, 0], [pytest.approx(0.6), pytest.approx(0.8)]]


def test_lengths_are_found_where_squares_overflow_fp32() -> None:
    assert unit_length(np.full((1, 4), 1e30, dtype=np.float32)).tolist() == [[0.5] * 4]


def test_bf16_is_measured_once_and_shown_from_then_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = build_encoder("roberta", tmp_path / "model")
    plan = plan_of(directory, dtype="bfloat16")
    assert plan.embedding is not None
    assert plan.embedding.deviation is None
    (before,) = [each.text for each in plan.caveats if each.code == "DEVIATION"]
    assert "measured at the first load" in before
    load_embedding_engine(plan)
    again = plan_of(directory, dtype="bfloat16")
    assert again == refreshed(plan)
    assert again.embedding is not None
    deviation = again.embedding.deviation
    assert deviation is not None
    assert 0.99 < deviation.cosine_min <= deviation.cosine_mean <= 1 + 1e-6
    assert 0 < deviation.difference_max < 0.1
    assert deviation.texts == 9
    assert deviation == read_deviation(Path(str(again.embedding.artifact)))
    (after,) = [each.text for each in again.caveats if each.code == "DEVIATION"]
    assert f"{deviation.cosine_min:.6f}" in after

    def fail(*_arguments: Any, **_named: Any) -> None:
        raise AssertionError("measured a second time")

    monkeypatch.setattr("trueup.engines.embedding_load.measure_deviation", fail)
    load_embedding_engine(again)
    load_embedding_engine(plan)


def test_a_missing_artifact_folder_says_where_and_what_to_look_at(tmp_path: Path) -> None:
    directory = build_encoder("roberta", tmp_path / "model")
    home = tmp_path / "home"
    home.write_text("a file where the folder should be", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRUEUP_HOME", str(home))
        plan = plan_model(str(directory), Wishes(device="cpu", dtype="bfloat16"))
        with pytest.raises(AdaptError) as caught:
            load_embedding_engine(plan)
    assert caught.value.where is not None
    assert caught.value.where.startswith(str(home))
    assert "TRUEUP_HOME" in (caught.value.hint or "")


def test_a_plan_that_is_not_for_embeddings_is_refused(directories: dict[str, Path]) -> None:
    plan = plan_model(str(directories["qwen2"]), Wishes(device="cpu", kind="chat"))
    with pytest.raises(AdaptError, match="not for embeddings"):
        load_embedding_engine(plan)
    with pytest.raises(ValueError, match="not for embeddings"):
        EmbeddingEngine(None, None, plan, vocabulary_tokens=1)  # type: ignore[arg-type]
