from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from tests.adapt.library_checkpoints import build_library_checkpoint
from trueup.adapt.load import load_plan
from trueup.adapt.own_process import load
from trueup.adapt.planning import Wishes, plan_model
from trueup.errors import AdaptError, CheckpointError

FP32 = Wishes(dtype="float32", device="cpu")
TOKEN_IDS = torch.tensor([[31, 7, 500, 12, 640, 3]])


@pytest.mark.parametrize("model_type", ["qwen2", "llama", "gpt2", "gptj", "glm4"])
def test_models_of_the_library_answer_as_without_us(model_type: str, tmp_path: Path) -> None:
    directory = build_library_checkpoint(model_type, tmp_path / model_type)
    plan = plan_model(str(directory), FP32)
    loaded = load_plan(plan)
    plain = transformers.AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)
    assert plan.implementation == f"transformers.{type(plain).__name__}"
    assert (plan.kind, loaded.stop_token_ids) == ("chat", (2,))
    assert not loaded.model.training
    with torch.no_grad():
        got, expected = loaded.model(TOKEN_IDS).logits, plain.eval()(TOKEN_IDS).logits
    assert torch.equal(got, expected)


def test_remote_code_is_passed_over_where_the_library_has_the_model(tmp_path: Path) -> None:
    directory = build_library_checkpoint("qwen2", tmp_path / "qwen2")
    path = directory / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["auto_map"] = {
        "AutoConfig": "configuration_qwen2.Qwen2Config",
        "AutoModelForCausalLM": "modeling_qwen2.Qwen2ForCausalLM",
    }
    path.write_text(json.dumps(config), encoding="utf-8")
    for name in ("configuration_qwen2.py", "modeling_qwen2.py"):
        (directory / name).write_text("raise SystemExit('it ran')\n", encoding="utf-8")
    model, _ = load(str(directory), dtype="float32")
    assert type(model).__name__ == "Qwen2ForCausalLM"


NAME = "model.layers.1.mlp.down_proj.weight"


def drop(tensors: dict[str, torch.Tensor]) -> None:
    del tensors[NAME]


def add(tensors: dict[str, torch.Tensor]) -> None:
    tensors["model.layers.1.extra.weight"] = torch.zeros(2)


def cut(tensors: dict[str, torch.Tensor]) -> None:
    tensors[NAME] = tensors[NAME][:-1].clone()


@pytest.mark.parametrize(
    ("change", "word"), [(drop, NAME), (add, "model.layers.1.extra.weight"), (cut, NAME)]
)
def test_what_the_library_only_warns_of_is_an_error(change: Any, word: str, tmp_path: Path) -> None:
    directory = build_library_checkpoint("llama", tmp_path / "llama")
    path = directory / "model.safetensors"
    tensors = {name: tensor.clone() for name, tensor in load_file(path).items()}
    change(tensors)
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises((AdaptError, CheckpointError)) as caught:
        load_plan(plan_model(str(directory), FP32))
    assert word in caught.value.cause


def test_a_checkpoint_without_tokenizer_says_so(tmp_path: Path) -> None:
    directory = build_library_checkpoint("llama", tmp_path / "llama")
    plan = plan_model(str(directory), FP32)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (directory / name).unlink()
    later = plan_model(str(directory), FP32)
    if later.route == "native":
        plan = later
    with pytest.raises((AdaptError, CheckpointError)):
        load_plan(plan)
