"""What the library's class would fill with random numbers or leave out is told from headers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.checkpoint.directories import read, tensors_of
from tests.doctor.facts import environment
from trueup.adapt.planning import make_plan
from trueup.checkpoint.layouts.classes import CLASSES
from trueup.checkpoint.layouts.wanted import compare
from trueup.doctor.examine import examine
from trueup.doctor.finding import Finding
from trueup.environment.hardware import read_hardware

Shapes = dict[str, tuple[int, ...]]
LLAMA = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 6,
    "vocab_size": 16,
    "tie_word_embeddings": False,
}
NORM, LAST = "model.norm.weight", "model.layers.1."


def layer(number: int, prefix: str = "model.") -> Shapes:
    start = f"{prefix}layers.{number}."
    return {
        f"{start}self_attn.q_proj.weight": (8, 8),
        f"{start}self_attn.k_proj.weight": (4, 8),
        f"{start}self_attn.v_proj.weight": (4, 8),
        f"{start}self_attn.o_proj.weight": (8, 8),
        f"{start}mlp.gate_proj.weight": (6, 8),
        f"{start}mlp.up_proj.weight": (6, 8),
        f"{start}mlp.down_proj.weight": (8, 6),
        f"{start}input_layernorm.weight": (8,),
        f"{start}post_attention_layernorm.weight": (8,),
    }


def decoder(prefix: str = "model.", *without: str, **more: tuple[int, ...]) -> Shapes:
    shapes: Shapes = {
        f"{prefix}embed_tokens.weight": (16, 8),
        **layer(0, prefix),
        **layer(1, prefix),
        f"{prefix}norm.weight": (8,),
        "lm_head.weight": (16, 8),
    }
    return {name: shape for name, shape in shapes.items() if name not in without} | more


BIASES: Shapes = {
    f"model.layers.{number}.self_attn.{name}_proj.bias": (4,) if name in "kv" else (8,)
    for number in (0, 1)
    for name in "qkvo"
}


def found_in(
    directory: Path, config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]
) -> list[Finding]:
    files = {"config.json": config, "model.safetensors": tensors_of(shapes)}
    checkpoint = read(directory, files)
    return [each for each in examine(checkpoint, environment()) if each.code.startswith("DIR1")]


@pytest.mark.parametrize(
    ("changes", "shapes", "code", "told"),
    [
        ({}, decoder("model.", NORM), "DIR124", f"no weight file has `{NORM}`"),
        ({}, decoder("model.", "lm_head.weight"), "DIR124", "`lm_head.weight`"),
        ({}, decoder("model.", "model.embed_tokens.weight"), "DIR124", "`model.embed_tokens."),
        ({}, decoder("model.", f"{LAST}mlp.up_proj.weight"), "DIR124", "mlp.up_proj.weight`"),
        ({"attention_bias": True}, decoder(), "DIR124", "and 5 more"),
        ({}, decoder("transformer.", "lm_head.weight"), "DIR124", "none of the 21 tensors"),
        ({}, decoder() | {"foo.bar": (2,)}, "DIR125", "the weights have `foo.bar`"),
        ({}, decoder() | {f"{LAST}self_attn.q_proj.bias": (8,)}, "DIR125", "q_proj.bias`"),
        ({"num_hidden_layers": 1}, decoder(), "DIR115", "tensors `model.layers.1.*`"),
        ({"num_hidden_layers": 1}, decoder(""), "DIR115", "tensors `layers.1.*`"),
        ({"num_hidden_layers": 3}, decoder(), "DIR115", "no tensor `model.layers.2.*`"),
        ({"num_hidden_layers": 3}, decoder(""), "DIR115", "no tensor `layers.2.*`"),
        ({"num_key_value_heads": 4}, decoder(), "DIR115", "of [8, 8], and the weights have it of"),
        ({"num_key_value_heads": None}, decoder(), "DIR115", "`num_key_value_heads` is not set"),
        ({"num_attention_heads": 2}, decoder(), "DIR115", "(and 3 more tensors"),
        ({"head_dim": 4}, decoder(), "DIR115", "self_attn.q_proj.weight` of [16, 8]"),
        ({"vocab_size": 17}, decoder(), "DIR115", "has 16 rows"),
    ],
)
def test_weights_that_the_class_would_not_take_are_one_error_and_no_route(
    tmp_path: Path, changes: dict[str, Any], shapes: Shapes, code: str, told: str
) -> None:
    (finding,) = found_in(tmp_path, LLAMA | changes, shapes)
    assert (finding.code, finding.severity, finding.stage) == (code, "error", "load")
    assert told in finding.cause
    assert "native" in finding.blocks
    checkpoint = read(tmp_path, {})
    plan = make_plan(checkpoint, environment(), read_hardware(), (finding,))
    assert plan.route == "refused"


@pytest.mark.parametrize(
    ("changes", "shapes"),
    [
        ({}, decoder()),
        ({"head_dim": None}, decoder()),
        ({"tie_word_embeddings": True}, decoder("model.", "lm_head.weight")),
        ({"tie_word_embeddings": True}, decoder()),
        ({"architectures": ["LlamaModel"]}, decoder("model.", "lm_head.weight")),
        ({"architectures": ["LlamaModel"]}, decoder("", "lm_head.weight")),
        ({}, decoder("")),
        ({"architectures": ["LlamaForSequenceClassification"]},
         decoder("model.", "lm_head.weight") | {"score.weight": (2, 8)}),
        ({}, decoder() | {f"{LAST}self_attn.rotary_emb.inv_freq": (1,)}),
        (
            {"architectures": ["LlamaForQuestionAnswering"]},
            decoder("transformer.", "lm_head.weight") | {"qa_outputs.weight": (2, 8)},
        ),
        ({}, decoder() | {"model.rotary_emb.inv_freq": (1,)}),
        ({"attention_bias": True}, decoder() | BIASES),
        ({"quantization_config": {"quant_method": "fp8"}}, decoder("model.", NORM)),
        # Of classes that are not listed nothing is claimed, nor of what a config does not say.
        ({"model_type": "stablelm"}, decoder("model.", NORM)),
        ({"num_attention_heads": None}, decoder()),
        ({"num_hidden_layers": None}, decoder("model.", NORM)),
        ({"num_hidden_layers": 1, "model_type": "deepseek_v3"}, decoder()),
    ],
)  # fmt: skip
def test_weights_that_the_class_takes_are_no_finding(
    tmp_path: Path, changes: dict[str, Any], shapes: Shapes
) -> None:
    found = found_in(tmp_path, LLAMA | changes, shapes)
    assert [each.code for each in found if each.code not in ("DIR123",)] == []


def encoder(prefix: str, norms: tuple[str, str] = ("weight", "bias")) -> Shapes:
    start = f"{prefix}encoder.layer.0."
    modules = {
        **dict.fromkeys(("query", "key", "value"), (8, 8)),
    }
    shapes: Shapes = {
        f"{prefix}embeddings.word_embeddings.weight": (16, 8),
        f"{prefix}embeddings.position_embeddings.weight": (4, 8),
        f"{prefix}embeddings.token_type_embeddings.weight": (2, 8),
        f"{prefix}embeddings.position_ids": (1, 4),
        f"{start}attention.output.dense.weight": (8, 8),
        f"{start}attention.output.dense.bias": (8,),
        f"{start}intermediate.dense.weight": (6, 8),
        f"{start}intermediate.dense.bias": (6,),
        f"{start}output.dense.weight": (8, 6),
        f"{start}output.dense.bias": (8,),
    }
    for name, shape in modules.items():
        shapes[f"{start}attention.self.{name}.weight"] = shape
        shapes[f"{start}attention.self.{name}.bias"] = (8,)
    for name in (f"{prefix}embeddings", f"{start}attention.output", f"{start}output"):
        shapes |= {f"{name}.LayerNorm.{norm}": (8,) for norm in norms}
    return shapes


BERT = {
    "model_type": "bert",
    "architectures": ["BertForMaskedLM"],
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 6,
    "vocab_size": 16,
    "max_position_embeddings": 4,
    "type_vocab_size": 2,
}


@pytest.mark.parametrize(
    "shapes",
    [
        encoder("bert."),
        encoder(""),
        encoder("bert.", ("gamma", "beta")),
        encoder("bert.") | {"cls.predictions.bias": (16,), "bert.pooler.dense.weight": (8, 8)},
    ],
)
def test_an_encoder_needs_its_embeddings_and_layers_and_neither_pooler_nor_head(
    tmp_path: Path, shapes: Shapes
) -> None:
    assert found_in(tmp_path, BERT, shapes) == []
    gone = next(name for name in shapes if name.endswith("attention.self.key.bias"))
    shapes.pop(gone)
    (finding,) = found_in(tmp_path, BERT, shapes)
    assert finding.code == "DIR124"
    assert gone in finding.cause


def test_code_of_its_own_may_have_other_tensors_so_only_the_native_route_is_closed(
    tmp_path: Path,
) -> None:
    config = LLAMA | {"auto_map": {"AutoModelForCausalLM": "modeling_x.XForCausalLM"}}
    found = found_in(tmp_path, config, decoder() | {"model.gate.weight": (8, 8)})
    (finding,) = [each for each in found if each.code == "DIR125"]
    assert (finding.severity, finding.blocks) == ("warning", ("native",))


SMALL = {
    "vocab_size": 16, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "intermediate_size": 6, "head_dim": 4, "pad_token_id": 0,
    "n_embd": 8, "n_layer": 2, "n_head": 2, "rotary_dim": 4, "tie_word_embeddings": False,
}  # fmt: skip
SWITCHES = ("attention_bias", "mlp_bias", "use_bias")


@pytest.mark.parametrize("switched", [None, True, False])
@pytest.mark.parametrize("model_type", sorted(set(CLASSES) - {"chatglm"}))
def test_the_listed_tensors_are_those_of_the_installed_class(
    tmp_path: Path, model_type: str, switched: bool | None
) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM

    settings = SMALL if switched is None else SMALL | dict.fromkeys(SWITCHES, switched)
    if not CLASSES[model_type].head:
        settings = {key: value for key, value in settings.items() if key not in SWITCHES}
    config = AutoConfig.for_model(model_type, **settings)
    auto = AutoModelForCausalLM if CLASSES[model_type].head else AutoModelForMaskedLM
    with torch.device("meta"):
        model = auto.from_config(config)
    shapes = {name: tuple(each.shape) for name, each in model.named_parameters()}
    written = config.to_diff_dict() | settings | {"architectures": [type(model).__name__]}
    files = {"config.json": written, "model.safetensors": tensors_of(shapes)}
    compared = compare(read(tmp_path, files))
    assert compared is not None
    assert (compared.missing, compared.extra, compared.mismatched) == ((), (), ())
    for name in shapes:
        if name.startswith(f"{compared.layers}0."):
            gone = {each: shape for each, shape in shapes.items() if each != name}
            less = compare(read(tmp_path, {"model.safetensors": tensors_of(gone)}))
            assert less is not None
            assert less.missing == (name,)
