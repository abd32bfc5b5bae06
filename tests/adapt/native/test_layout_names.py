"""Tensors too many and too few for a mapped layout are told by the plan, without loading."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from tests.checkpoints.build import build_checkpoint
from tests.checkpoints.llama_kinds import build_llama_kind
from trueup.adapt.native import NATIVE
from trueup.adapt.native.layout_names import name_refusals
from trueup.adapt.planning import Wishes, plan_model
from trueup.checkpoint.checkpoint import Checkpoint
from trueup.checkpoint.files import read_checkpoint
from trueup.checkpoint.source import resolve


@pytest.fixture(scope="module", params=["chatglm2", "baichuan2-7b", "internlm2"])
def checkpoint(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Checkpoint:
    directory: Path = tmp_path_factory.mktemp("model")
    build = build_checkpoint if request.param == "chatglm2" else build_llama_kind
    build(request.param, directory)  # type: ignore[operator]
    return read_checkpoint(resolve(str(directory)))


def told(checkpoint: Checkpoint) -> list[str]:
    (family,) = [each for each in NATIVE if each.recognise(checkpoint)]
    return [each.reason for each in name_refusals(family, checkpoint, 5)]


def without(checkpoint: Checkpoint, name: str, put: str | None = None) -> Checkpoint:
    tensors = dict(checkpoint.weights.tensors)
    tensor = tensors.pop(name)
    if put is not None:
        tensors[put] = replace(tensor, name=put)
    return replace(checkpoint, weights=replace(checkpoint.weights, tensors=tensors))


def test_a_whole_set_of_tensors_is_no_reason(checkpoint: Checkpoint) -> None:
    assert told(checkpoint) == []


def test_each_tensor_that_is_missing_is_named(checkpoint: Checkpoint) -> None:
    for name in checkpoint.weights.tensors:
        if name.endswith("inv_freq"):
            continue
        (reason,) = told(without(checkpoint, name))
        assert reason.startswith("the weight files lack `"), name


def test_a_tensor_too_many_is_named(checkpoint: Checkpoint) -> None:
    name = next(name for name in checkpoint.weights.tensors if "layers.0" in name)
    extra, missing = told(without(checkpoint, name, put="model.surplus"))
    assert extra.endswith("`model.surplus`")
    assert missing.startswith("the weight files lack")


def test_a_config_of_countless_layers_is_left_to_the_doctor(checkpoint: Checkpoint) -> None:
    key = "num_layers" if "num_layers" in checkpoint.config else "num_hidden_layers"
    config = {**checkpoint.config, key: 10**12}
    assert told(replace(checkpoint, config=config)) == []


def test_the_plan_says_which_tensor_is_missing(tmp_path: Path) -> None:
    directory = build_checkpoint("chatglm2", tmp_path / "model")
    (file,) = directory.glob("*.safetensors")
    tensors = load_file(file)
    del tensors["transformer.encoder.final_layernorm.weight"]
    save_file(tensors, file)
    plan = plan_model(str(directory), Wishes(route="native"))
    assert plan.route == "refused"
    assert "the weight files lack `model.norm.weight`" in " ".join(plan.why)
