"""A model with the tokenizer that it needs: named, beside it, or known by its size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.hub_server import HubServer
from tests.kronos.conftest import Load
from tests.kronos.directories import (
    Noted,
    PublicKronos,
    PublicTokenizer,
    model,
    model_files,
    same,
    tokenizer,
    tokenizer_files,
    write,
)
from trueup.errors import CheckpointError, ConfigError, HubError
from trueup.kronos.loading import load_forecaster

SMALL_SIZE: dict[str, Any] = {"n_layers": 8, "d_model": 512, "n_heads": 8, "ff_dim": 8}
MINI_SIZE: dict[str, Any] = {"n_layers": 4, "d_model": 256, "n_heads": 4, "ff_dim": 8}
SMALL, BASE_TOKENIZER = "NeoQuasar/Kronos-small", "NeoQuasar/Kronos-Tokenizer-base"


def test_a_known_name_brings_its_tokenizer_and_context(hub: HubServer) -> None:
    hub.add(SMALL, model_files())
    hub.add(BASE_TOKENIZER, tokenizer_files())
    watch = Noted()
    found = load_forecaster("kronos-small", progress=watch)
    assert same(found.model, model())
    assert same(found.tokenizer, tokenizer())
    assert (found.context, watch.notes) == (512, [])


def test_tokenizer_and_context_that_are_given_win(hub: HubServer, tmp_path: Path) -> None:
    hub.add(SMALL, model_files())
    own = write(tmp_path / "own", tokenizer_files(seed=9))
    found = load_forecaster("kronos-small", tokenizer=own, context=64)
    assert same(found.tokenizer, tokenizer(seed=9))
    assert found.context == 64
    assert not hub.asked(BASE_TOKENIZER)


@pytest.mark.parametrize(
    ("at", "beside"),
    [
        ("model", "model/tokenizer"),
        ("Kronos-small", "Kronos-Tokenizer-base"),
        ("exp/basemodel", "exp/tokenizer"),
        ("exp/basemodel/best_model", "exp/tokenizer/best_model"),
    ],
)
def test_a_tokenizer_in_or_beside_the_directory_is_taken_before_the_published_one(
    hub: HubServer, tmp_path: Path, at: str, beside: str
) -> None:
    directory = write(tmp_path / at, model_files(**SMALL_SIZE))
    near = write(tmp_path / beside, tokenizer_files(seed=9))
    watch = Noted()
    found = load_forecaster(directory, progress=watch)
    assert same(found.tokenizer, tokenizer(seed=9))
    assert watch.notes == [f"the tokenizer is the one in `{near}`"]
    assert hub.requests == []


def test_the_size_of_a_directory_tells_its_tokenizer_and_context(
    hub: HubServer, tmp_path: Path
) -> None:
    hub.add("NeoQuasar/Kronos-Tokenizer-2k", tokenizer_files(group_size=5))
    watch = Noted()
    directory = write(tmp_path / "mine", model_files(**MINI_SIZE))
    assert load_forecaster(directory, progress=watch).context == 2048
    assert watch.notes == [
        "the model has the size of kronos-mini, so its tokenizer is taken to be "
        "NeoQuasar/Kronos-Tokenizer-2k"
    ]


def test_a_tokenizer_that_cannot_be_fetched_may_be_given(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = write(tmp_path / "mine", model_files(**SMALL_SIZE))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(HubError, match="HF_HUB_OFFLINE") as caught:
        load_forecaster(directory)
    assert "give the directory of the tokenizer" in str(caught.value.hint)
    assert hub.requests == []


def test_a_model_of_no_known_size_asks_which_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="1 layers of width 8") as caught:
        load_forecaster(write(tmp_path / "mine", model_files()), progress=Noted())
    assert "--tokenizer DIR" in str(caught.value.hint)


def test_the_context_of_no_known_size_is_told(tmp_path: Path) -> None:
    watch = Noted()
    directory = write(tmp_path / "m", model_files())
    write(directory / "tokenizer", tokenizer_files())
    assert load_forecaster(directory, progress=watch).context == 512
    assert "its context is not known: 512 bars" in watch.notes[0]


def test_a_tokenizer_of_2k_with_a_model_of_base_runs_in_public_and_is_refused_here(
    tmp_path: Path, public_load: Load
) -> None:
    of_model = write(tmp_path / "model", model_files(**SMALL_SIZE))
    of_tokenizer = write(tmp_path / "2k", tokenizer_files(group_size=5))
    assert public_load(PublicKronos, str(of_model)) is None
    assert public_load(PublicTokenizer, str(of_tokenizer)) is None
    with pytest.raises(CheckpointError, match="would run, and forecast noise") as caught:
        load_forecaster(of_model, tokenizer=of_tokenizer)
    assert "kronos-small, which goes with NeoQuasar/Kronos-Tokenizer-base" in caught.value.cause
    assert caught.value.where == str(of_tokenizer)
    assert load_forecaster(of_model, tokenizer=of_tokenizer, is_pair_checked=False).context == 512


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"s1_bits": 8, "s2_bits": 12}, "its `s1_bits` is 8, and the model's 10"),
        ({"s2_bits": 6}, "its `s2_bits` is 6, and the model's 10"),
        ({"d_in": 5}, "takes 5 columns, expected 6"),
    ],
)
def test_a_tokenizer_of_other_tokens_is_refused(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    directory = write(tmp_path / "model", model_files())
    write(directory / "tokenizer", tokenizer_files(**changes))
    with pytest.raises(CheckpointError, match=said):
        load_forecaster(directory, progress=Noted())


def test_the_two_given_the_wrong_way_round_are_told(tmp_path: Path) -> None:
    of_model = write(tmp_path / "model", model_files())
    of_tokenizer = write(tmp_path / "other", tokenizer_files())
    with pytest.raises(CheckpointError, match="holds a Kronos tokenizer, expected"):
        load_forecaster(of_tokenizer, tokenizer=of_model)
    with pytest.raises(CheckpointError, match="holds a Kronos language model, expected"):
        load_forecaster(of_model, tokenizer=of_model, progress=Noted())


@pytest.mark.parametrize("context", [0, -1, 1.5, True, 10**9])
def test_a_context_that_is_none_is_refused(tmp_path: Path, context: Any) -> None:
    with pytest.raises(ConfigError, match="expected a whole number of bars"):
        load_forecaster(write(tmp_path, model_files()), context=context)


def test_a_context_beyond_the_training_is_told(hub: HubServer) -> None:
    hub.add(SMALL, model_files())
    hub.add(BASE_TOKENIZER, tokenizer_files())
    watch = Noted()
    assert load_forecaster("kronos-small", context=2048, progress=watch).context == 2048
    assert "beyond the 512 that kronos-small was trained with" in watch.notes[0]


def test_the_model_is_of_the_dtype_that_was_asked_for_and_its_tokenizer_of_fp32(
    tmp_path: Path,
) -> None:
    directory = write(tmp_path / "m", model_files())
    write(directory / "tokenizer", tokenizer_files())
    found = load_forecaster(directory, dtype="bfloat16", device="auto", progress=Noted())
    assert {each.dtype for each in found.model.parameters()} == {torch.bfloat16}
    assert {each.dtype for each in found.tokenizer.parameters()} == {torch.float32}
