"""config.json from tensor names and shapes, proven by the library's own classes."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from tests.checkpoint.directories import read, safetensors
from trueup.checkpoint.files import read_checkpoint
from trueup.checkpoint.rebuild import MARK, Rebuilt, rebuild
from trueup.checkpoint.source import resolve
from trueup.errors import CheckpointError

SMALL = {
    "vocab_size": 96, "hidden_size": 64, "intermediate_size": 80, "num_hidden_layers": 3,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64,
    "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
}  # fmt: skip
ENCODER = {
    "vocab_size": 96, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 4, "max_position_embeddings": 40, "type_vocab_size": 2,
    "pad_token_id": 0,
}  # fmt: skip
GPTJ = {"vocab_size": 96, "n_embd": 64, "n_layer": 2, "n_head": 4, "rotary_dim": 8, "n_inner": 96}
DETERMINED = {
    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "type_vocab_size",
    "tie_word_embeddings", "attention_bias", "mlp_bias", "n_embd", "n_layer", "n_inner",
}  # fmt: skip


def models() -> Iterator[Any]:
    rows: list[tuple[str, str, dict[str, Any]]] = [
        ("Llama", "LlamaForCausalLM", SMALL),
        ("Llama", "LlamaForCausalLM", {**SMALL, "attention_bias": True, "mlp_bias": True}),
        ("Llama", "LlamaForCausalLM", {**SMALL, "tie_word_embeddings": True}),
        ("Qwen2", "Qwen2ForCausalLM", SMALL),
        ("Qwen3", "Qwen3ForCausalLM", {**SMALL, "head_dim": 16}),
        ("Glm", "GlmForCausalLM", {**SMALL, "head_dim": 32, "attention_bias": True}),
        ("Glm4", "Glm4ForCausalLM", {**SMALL, "head_dim": 32, "attention_bias": False}),
        ("GPTJ", "GPTJForCausalLM", GPTJ),
        ("Bert", "BertForMaskedLM", ENCODER),
        ("Bert", "BertForSequenceClassification", {**ENCODER, "num_labels": 3}),
        ("Roberta", "RobertaForMaskedLM", ENCODER),
        ("Roberta", "RobertaForSequenceClassification", {**ENCODER, "num_labels": 5}),
    ]
    for family, name, settings in rows:
        yield pytest.param(family, name, settings, id=f"{name}-{len(settings)}")


def save(
    directory: Path, family: str, name: str, settings: dict[str, Any], *, is_kept: bool = False
) -> dict[str, Any]:
    """Save a random model, without its config.json unless that `is_kept`; returns what it said."""
    torch.manual_seed(1)
    config = getattr(transformers, f"{family}Config")(**settings)
    getattr(transformers, name)(config).save_pretrained(directory)
    said: dict[str, Any] = json.loads((directory / "config.json").read_text())
    if not is_kept:
        (directory / "config.json").unlink()
    return said


def rebuilt_in(directory: Path) -> Rebuilt:
    found = rebuild(read_checkpoint(resolve(str(directory))))
    (directory / "config.json").write_text(json.dumps(found.config))
    return found


@pytest.mark.parametrize(("family", "name", "settings"), list(models()))
def test_every_tensor_finds_its_place_in_the_model_of_the_rebuilt_config(
    tmp_path: Path, family: str, name: str, settings: dict[str, Any]
) -> None:
    said = save(tmp_path, family, name, settings)
    found = rebuilt_in(tmp_path)
    for key in DETERMINED & set(said) & set(found.config):
        assert found.config[key] == said[key], key
    assert found.config["architectures"] == [name]
    assert found.config["model_type"] == said["model_type"]
    loaded, told = getattr(transformers, name).from_pretrained(tmp_path, output_loading_info=True)
    assert not told["missing_keys"]
    assert not told["unexpected_keys"]
    assert not told["mismatched_keys"]
    assert loaded.num_parameters() > 0


def test_what_shapes_do_not_determine_is_marked_in_the_file(tmp_path: Path) -> None:
    save(tmp_path, "Llama", "LlamaForCausalLM", SMALL)
    found = rebuilt_in(tmp_path)
    guessed = json.loads((tmp_path / "config.json").read_text())[MARK]
    assert guessed == list(found.guessed)
    assert {"num_attention_heads", "rope_theta", "rms_norm_eps"} <= set(guessed)
    assert not {"hidden_size", "vocab_size", "intermediate_size"} & set(guessed)


def test_heads_of_qwen3_are_determined_by_its_norms(tmp_path: Path) -> None:
    save(tmp_path, "Qwen3", "Qwen3ForCausalLM", {**SMALL, "head_dim": 16})
    found = rebuilt_in(tmp_path)
    assert (found.config["num_attention_heads"], found.config["num_key_value_heads"]) == (4, 2)
    assert not {"head_dim", "num_attention_heads"} & set(found.guessed)


def test_labels_are_counted_and_their_names_are_guesses(tmp_path: Path) -> None:
    save(tmp_path, "Bert", "BertForSequenceClassification", {**ENCODER, "num_labels": 3})
    found = rebuilt_in(tmp_path)
    assert len(found.config["id2label"]) == 3
    assert "id2label" in found.guessed


def test_values_that_the_weights_contradict_are_replaced_and_others_kept(tmp_path: Path) -> None:
    said = save(tmp_path, "Qwen2", "Qwen2ForCausalLM", SMALL)
    old = {**said, "hidden_size": 63, "rope_theta": 7.0, "mine": [1]}
    (tmp_path / "config.json").write_text(json.dumps(old))
    found = rebuild(read_checkpoint(resolve(str(tmp_path))))
    assert found.replaced == {"hidden_size": 63}
    assert (found.config["hidden_size"], found.config["rope_theta"]) == (64, 7.0)
    assert found.config["mine"] == [1]
    assert found.config["num_attention_heads"] == 4
    assert "num_attention_heads" not in found.guessed


@pytest.mark.parametrize(("family", "name", "settings"), list(models()))
def test_a_config_that_fits_is_left_as_it_is(
    tmp_path: Path, family: str, name: str, settings: dict[str, Any]
) -> None:
    save(tmp_path, family, name, settings, is_kept=True)
    found = rebuild(read_checkpoint(resolve(str(tmp_path))))
    assert not found.is_new
    assert found.guessed == ()


def test_the_size_of_heads_follows_from_their_count(tmp_path: Path) -> None:
    said = save(tmp_path, "Qwen2", "Qwen2ForCausalLM", {**SMALL, "head_dim": 8})
    told = {"model_type": "qwen2", "num_attention_heads": said["num_attention_heads"]}
    (tmp_path / "config.json").write_text(json.dumps(told))
    found = rebuild(read_checkpoint(resolve(str(tmp_path))))
    assert found.config["head_dim"] == 8
    assert found.config["num_key_value_heads"] == said["num_key_value_heads"]
    assert not {"head_dim", "num_key_value_heads"} & set(found.guessed)


@pytest.mark.parametrize(
    ("edited", "replaced"),
    [
        ({"num_attention_heads": 5}, {"num_attention_heads": 5}),
        ({"num_key_value_heads": 3}, {"num_key_value_heads": 3}),
        ({"head_dim": 17}, {"head_dim": 17}),
        ({"num_attention_heads": 8}, {"num_attention_heads": 8}),
        ({"num_attention_heads": 5, "head_dim": None}, {"num_attention_heads": 5}),
    ],
)
def test_heads_that_the_tensors_cannot_have_are_replaced(
    tmp_path: Path, edited: dict[str, Any], replaced: dict[str, Any]
) -> None:
    said = save(tmp_path, "Llama", "LlamaForCausalLM", {**SMALL, "head_dim": 16})
    told = {**said, **edited}
    told = {key: value for key, value in told.items() if value is not None}
    (tmp_path / "config.json").write_text(json.dumps(told))
    found = rebuild(read_checkpoint(resolve(str(tmp_path))))
    assert {key: found.replaced.get(key) for key in replaced} == replaced
    config = found.config
    size = config.get("head_dim", 64 // config["num_attention_heads"])
    assert (64 // size, 32 // size) == (
        config["num_attention_heads"],
        config["num_key_value_heads"],
    )


def test_an_encoders_heads_divide_its_width(tmp_path: Path) -> None:
    said = save(tmp_path, "Bert", "BertForMaskedLM", ENCODER)
    (tmp_path / "config.json").write_text(json.dumps({**said, "num_attention_heads": 5}))
    found = rebuild(read_checkpoint(resolve(str(tmp_path))))
    assert found.replaced == {"num_attention_heads": 5}
    assert 32 % found.config["num_attention_heads"] == 0


def test_a_second_time_changes_nothing_and_keeps_the_marks(tmp_path: Path) -> None:
    save(tmp_path, "Llama", "LlamaForCausalLM", SMALL)
    first = rebuilt_in(tmp_path)
    second = rebuild(read_checkpoint(resolve(str(tmp_path))))
    assert first.is_new
    assert not second.is_new
    assert second.guessed == first.guessed


@pytest.mark.parametrize(
    ("files", "cause"),
    [
        ({"model.safetensors": safetensors("a", "b")}, "`a`, `b`"),
        ({"model.safetensors": safetensors("a", missing_bytes=3)}, "not whole"),
        ({"config.json": {"d_in": 6}}, "there are none"),
        (
            {"model.safetensors.index.json": {"weight_map": {"a": "m-1.safetensors"}}},
            "`m-1.safetensors`",
        ),
    ],
)
def test_weights_that_do_not_tell_a_config_are_an_error(
    tmp_path: Path, files: dict[str, Any], cause: str
) -> None:
    checkpoint = read(tmp_path, files)
    with pytest.raises(CheckpointError) as caught:
        rebuild(checkpoint)
    assert cause in caught.value.cause
    assert caught.value.hint
