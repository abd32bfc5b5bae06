from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.checkpoints.encoders import build_encoder
from trueup.adapt.load import load_encoder_plan
from trueup.adapt.planning import Wishes, plan_model
from trueup.errors import AdaptError, CheckpointError

Tensors = dict[str, torch.Tensor]
ON_CPU = Wishes(device="cpu", dtype="float32")
TOKEN_IDS = torch.tensor([[0, 31, 7, 120, 300, 2]])


def hidden_of(directory: Path, wishes: Wishes = ON_CPU) -> torch.Tensor:
    plan = plan_model(str(directory), wishes)
    assert plan.route == "native", plan.why
    loaded = load_encoder_plan(plan, dtype="float32")
    assert not loaded.model.training
    with torch.no_grad():
        hidden: torch.Tensor = loaded.model(input_ids=TOKEN_IDS)[0]
    return hidden


def change(directory: Path, edit: Callable[[Tensors], Tensors | None]) -> Tensors:
    path = directory / "model.safetensors"
    tensors = {name: tensor.clone() for name, tensor in load_file(path).items()}
    tensors = edit(tensors) or tensors
    save_file(tensors, path, metadata={"format": "pt"})
    return tensors


def as_pickle(directory: Path, *, is_legacy: bool) -> None:
    path = directory / "model.safetensors"
    tensors = load_file(path)
    torch.save(
        tensors,
        directory / "pytorch_model.bin",
        _use_new_zipfile_serialization=not is_legacy,
    )
    path.unlink()


@pytest.mark.parametrize("model_type", ["roberta", "bert", "distilbert", "mpnet"])
def test_a_checkpoint_with_a_head_gives_what_the_one_without_gives(
    model_type: str, tmp_path: Path
) -> None:
    names = {"roberta": "Roberta", "bert": "Bert", "distilbert": "DistilBert", "mpnet": "MPNet"}
    architecture = f"{names[model_type]}ForMaskedLM"
    headed = build_encoder(model_type, tmp_path / "headed", architecture=architecture)
    prefix = {"distilbert": "distilbert."}.get(model_type, f"{model_type}.")
    bare = build_encoder(model_type, tmp_path / "bare")
    with_head = load_file(headed / "model.safetensors")
    body = {
        name.removeprefix(prefix): tensor
        for name, tensor in with_head.items()
        if name.startswith(prefix)
    }
    change(bare, lambda tensors: {**tensors, **body})
    assert set(with_head) - {prefix + name for name in body}
    assert torch.equal(hidden_of(headed), hidden_of(bare))


def test_saved_positions_of_old_releases_are_no_tensors_too_many(tmp_path: Path) -> None:
    directory = build_encoder("roberta", tmp_path / "model")
    expected = hidden_of(directory)

    def add(tensors: Tensors) -> None:
        tensors["embeddings.position_ids"] = torch.arange(514)[None]

    change(directory, add)
    assert torch.equal(hidden_of(directory), expected)


def test_positions_of_a_checkpoint_with_a_head_are_no_tensors_too_many(tmp_path: Path) -> None:
    directory = build_encoder("roberta", tmp_path / "model", architecture="RobertaForMaskedLM")

    def add(tensors: Tensors) -> None:
        tensors["roberta.embeddings.position_ids"] = torch.arange(514)[None]
        tensors["roberta.pooler.dense.weight"] = torch.zeros(64, 64)
        tensors["roberta.pooler.dense.bias"] = torch.zeros(64)

    expected = hidden_of(directory)
    change(directory, add)
    assert torch.equal(hidden_of(directory), expected)


NAME = "encoder.layer.1.output.dense.weight"


@pytest.mark.parametrize("architecture", ["", "RobertaForMaskedLM"])
@pytest.mark.parametrize("what", ["missing", "extra layer", "another shape"])
def test_an_encoder_that_is_not_whole_is_refused_by_the_tensor(
    what: str, architecture: str, tmp_path: Path
) -> None:
    directory = build_encoder("roberta", tmp_path / "model", architecture=architecture)
    prefix = "roberta." if architecture else ""
    name = prefix + NAME
    if what == "extra layer":
        name = name.replace("layer.1", "layer.2")

    def edit(tensors: Tensors) -> None:
        if what == "missing":
            del tensors[name]
        elif what == "extra layer":
            tensors[name] = tensors[prefix + NAME].clone()
        else:
            tensors[name] = tensors[name][:-1].clone()

    change(directory, edit)
    plan = plan_model(str(directory), ON_CPU)
    with pytest.raises(AdaptError) as caught:
        load_encoder_plan(plan, dtype="float32")
    # A whole layer too many is seen before anything is loaded.
    told = "3 layers" if what == "extra layer" else name.removeprefix(prefix)
    assert told in caught.value.cause


@pytest.mark.parametrize("is_legacy", [False, True])
def test_pickled_weights_are_read_by_the_library_in_both_layouts(
    is_legacy: bool, tmp_path: Path
) -> None:
    """CodeBERT is published in the layout of torch before 1.6."""
    directory = build_encoder("roberta", tmp_path / "model")
    expected = hidden_of(directory)
    as_pickle(directory, is_legacy=is_legacy)
    start = (directory / "pytorch_model.bin").read_bytes()[:2]
    assert (start == b"PK") is not is_legacy
    assert torch.equal(hidden_of(directory), expected)


class Unsafe:
    """What a pickle of weights has no need of."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return print, ("it ran",)


@pytest.mark.parametrize("is_legacy", [False, True])
def test_an_unsafe_pickle_stays_refused(
    is_legacy: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = build_encoder("roberta", tmp_path / "model")
    tensors: dict[str, Any] = {**load_file(directory / "model.safetensors"), "more": Unsafe()}
    (directory / "model.safetensors").unlink()
    path = directory / "pytorch_model.bin"
    torch.save(tensors, path, _use_new_zipfile_serialization=not is_legacy)
    plan = plan_model(str(directory), ON_CPU)
    assert plan.route == "refused"
    assert any("SAFE101" in line for line in plan.why)
    assert "it ran" not in capsys.readouterr().out


def test_a_tokenizer_that_is_not_there_is_told(tmp_path: Path) -> None:
    directory = build_encoder("roberta", tmp_path / "model")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (directory / name).unlink()
    plan = plan_model(str(directory), ON_CPU)
    with pytest.raises((AdaptError, CheckpointError)) as caught:
        load_encoder_plan(plan, dtype="float32")
    assert "tokenizer" in caught.value.cause


def test_files_that_changed_since_the_plan_are_refused(tmp_path: Path) -> None:
    directory = build_encoder("roberta", tmp_path / "model")
    plan = plan_model(str(directory), ON_CPU)
    path = directory / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**config, "layer_norm_eps": 0.5}), encoding="utf-8")
    with pytest.raises(AdaptError, match="changed since the plan"):
        load_encoder_plan(plan, dtype="float32")


def test_a_published_fp16_checkpoint_is_computed_in_the_dtype_asked_for(tmp_path: Path) -> None:
    directory = build_encoder("bert", tmp_path / "model", dtype="float16")
    plan = plan_model(str(directory), Wishes(device="cpu"))
    assert plan.dtype == "float32"
    assert load_encoder_plan(plan, dtype="float32").model.dtype == torch.float32
    assert load_encoder_plan(plan, dtype="bfloat16").model.dtype == torch.bfloat16
