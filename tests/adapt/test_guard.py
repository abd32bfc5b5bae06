"""Faults planted in sound models, each of which the guards name."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.adapt.library_checkpoints import build_library_checkpoint
from tests.adapt.library_zoo import CAUSAL, guarded
from tests.checkpoints.build import build_checkpoint
from tests.checkpoints.encoders import build_encoder
from tests.checkpoints.llama_kinds import build_llama_kind
from trueup.adapt import load as loading
from trueup.adapt.guard import guard
from trueup.adapt.guard_forward import check_forward
from trueup.adapt.guard_tensors import check_tensors, compare_tensors
from trueup.adapt.load import load_encoder_plan, load_plan, mapped_family
from trueup.adapt.plan import Plan
from trueup.adapt.planning import Wishes, plan_model
from trueup.checkpoint.checkpoint import Checkpoint
from trueup.checkpoint.files import read_checkpoint
from trueup.checkpoint.source import resolve
from trueup.errors import AdaptError
from trueup.protocol.errors import error_body

Break = Callable[[Any], object]
LAYER = "model.layers.1.self_attn"


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_checkpoint(
        "chatglm2", tmp_path_factory.mktemp("native"), multi_query_attention=False
    )


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = build_library_checkpoint(
        "qwen2",
        tmp_path_factory.mktemp("library"),
        num_key_value_heads=4,
        num_hidden_layers=4,
        attention_dropout=0.5,
    )
    path = directory / "model.safetensors"
    # As trained: what a token attends to matters.
    tensors = {name: each * (5 if each.dim() > 1 else 1) for name, each in load_file(path).items()}
    save_file(tensors, path, metadata={"format": "pt"})
    return directory


def parts(directory: Path, dtype: str = "float32") -> tuple[Any, Checkpoint, Plan]:
    """A model that the guards let pass, with what it was loaded from."""
    plan = plan_model(str(directory), Wishes(dtype=dtype, device="cpu"))
    assert plan.route == "native", plan.why
    return load_plan(plan).model, read_checkpoint(resolve(str(directory))), plan


def refusal(directory: Path, plant: Break, dtype: str = "float32") -> AdaptError:
    model, checkpoint, plan = parts(directory, dtype)
    with torch.no_grad():
        plant(model)
    family = mapped_family(plan)
    map_tensor = None if family is None else family.map_tensor(checkpoint)
    with pytest.raises(AdaptError) as caught:
        guard(model, checkpoint, plan, dtype=plan.dtype, map_tensor=map_tensor)
    return caught.value


def swap_projections(model: Any) -> None:
    attention = model.get_submodule(LAYER)
    attention.q_proj, attention.k_proj = attention.k_proj, attention.q_proj


def drop_bias(model: Any) -> None:
    model.get_submodule(LAYER).q_proj.bias = None


def other_bias(model: Any) -> None:
    model.get_submodule(LAYER).v_proj.bias = torch.nn.Parameter(torch.full((64,), 0.1), False)


def draw_layer(model: Any) -> None:
    for parameter in model.model.layers[1].parameters():
        parameter.data = torch.randn_like(parameter)


def flip_one(model: Any) -> None:
    weight = model.get_submodule(LAYER).o_proj.weight
    weight.data = weight.clone()
    weight[3, 7] = -weight[3, 7]


def put_nan(model: Any) -> None:
    weight = model.get_submodule("model.norm").weight
    weight.data = weight.clone()
    weight[5] = float("nan")


def other_theta(model: Any) -> None:
    model.model.rotary_emb.inv_freq = model.model.rotary_emb.inv_freq**1.3


def leave_meta(model: Any) -> None:
    model.model.rotary_emb.inv_freq = torch.empty(8, device="meta")


@pytest.mark.parametrize(
    ("plant", "code", "name"),
    [
        (swap_projections, "GUARD101", LAYER),
        (drop_bias, "GUARD101", f"{LAYER}.q_proj.bias"),
        (other_bias, "GUARD101", f"{LAYER}.v_proj.bias"),
        (draw_layer, "GUARD101", "model.layers.1."),
        (flip_one, "GUARD101", f"{LAYER}.o_proj.weight"),
        (put_nan, "GUARD103", "model.norm.weight"),
        (other_theta, "GUARD102", "model.rotary_emb.inv_freq"),
        (leave_meta, "GUARD102", "model.rotary_emb.inv_freq"),
        (torch.nn.Module.train, "GUARD105", "the model"),
        (lambda model: model.model.norm.requires_grad_(), "GUARD105", "model.norm.weight"),
    ],
)
@pytest.mark.parametrize("kind", ["native", "library"])
def test_a_planted_fault_is_named(
    plant: Break, code: str, name: str, kind: str, request: pytest.FixtureRequest
) -> None:
    directory = request.getfixturevalue(kind)
    error = refusal(directory, plant)
    assert error.code == code
    assert error.cause.startswith(f"{code}: ")
    assert name in error.cause
    assert str(directory) in (error.where or "")
    if code == "GUARD101":
        assert (error.where or "").endswith("model.safetensors")


def test_how_far_a_number_is_off_is_told_with_both(library: Path) -> None:
    error = refusal(library, flip_one)
    published = float(load_file(library / "model.safetensors")[f"{LAYER}.o_proj.weight"][3, 7])
    assert f"holds `{-published:.6g}` where the file has `{published:.6g}`" in error.cause
    assert "1 of 4096 numbers" in error.cause


def test_a_flipped_weight_is_seen_in_every_dtype_that_is_converted_to(library: Path) -> None:
    for dtype in ("bfloat16", "float16"):
        assert f"{LAYER}.o_proj.weight" in refusal(library, flip_one, dtype).cause


def test_a_layer_drawn_at_random_is_seen_where_only_rows_are_compared(tmp_path: Path) -> None:
    directory = build_library_checkpoint(
        "llama", tmp_path, hidden_size=128, intermediate_size=512, num_hidden_layers=4
    )
    model, checkpoint, _ = parts(directory)
    with torch.no_grad():
        weight = model.model.layers[2].mlp.up_proj.weight
        weight.data = torch.randn_like(weight)
    assert weight.nbytes > 16 * 1024
    faults = check_tensors(model, checkpoint, None, torch.float32)
    assert [each.name for each in faults] == ["model.layers.2.mlp.up_proj.weight"]


def test_a_number_that_is_none_is_named_also_where_the_sample_passes_over_it(
    tmp_path: Path,
) -> None:
    directory = build_library_checkpoint("llama", tmp_path, hidden_size=128, intermediate_size=512)

    def plant(model: Any) -> None:
        weight = model.model.layers[1].mlp.up_proj.weight
        checkpoint = read_checkpoint(resolve(str(directory)))
        for row in range(len(weight)):
            weight.data = weight.clone()
            weight[row, 5] = float("nan")
            if not check_tensors(model, checkpoint, None, torch.float32):
                return
            weight[row, 5] = 0
        raise AssertionError("the sample is the whole tensor")

    error = refusal(directory, plant)
    assert error.code == "GUARD103"
    assert "`model.layers.1.mlp.up_proj.weight`" in error.cause


@pytest.mark.parametrize(("number", "is_in_file"), [(float("nan"), True), (1e6, False)])
def test_it_is_said_whether_the_file_itself_holds_what_is_no_number(
    number: float, is_in_file: bool, tmp_path: Path
) -> None:
    directory = build_library_checkpoint("llama", tmp_path)
    path = directory / "model.safetensors"
    tensors = load_file(path)
    tensors["model.norm.weight"][5] = number
    save_file(tensors, path, metadata={"format": "pt"})

    # 1e6 is infinite in float16 alone.
    plan = plan_model(str(directory), Wishes(dtype="float16", device="cpu"))
    with pytest.raises(AdaptError, match="GUARD103: ") as caught:
        load_plan(plan)

    assert ("the weight file itself is damaged" in caught.value.cause) == is_in_file
    assert ("trueup verify" in (caught.value.hint or "")) != is_in_file


def test_a_whole_comparison_finds_a_weight_that_a_sample_passes_over(tmp_path: Path) -> None:
    directory = build_library_checkpoint("llama", tmp_path, hidden_size=128, vocab_size=2000)
    model, checkpoint, _ = parts(directory)
    weight = model.model.embed_tokens.weight
    passed_over = 0
    for row in range(0, 2000, 100):
        with torch.no_grad():
            weight.data = load_file(directory / "model.safetensors")["model.embed_tokens.weight"]
            weight[row, 5] += 1
        passed_over += not check_tensors(model, checkpoint, None, torch.float32)
        whole = compare_tensors(model, checkpoint, None, torch.float32, share=1.0)
        assert [each.amount for each in whole.faults] == [pytest.approx(1.0)]
        assert whole.unexplained == ()
    assert passed_over > 10


@pytest.mark.parametrize("model_type", ["mixtral", "qwen2_moe", "granitemoe"])
def test_experts_drawn_at_random_are_seen_where_the_library_merges_them(
    model_type: str, tmp_path: Path
) -> None:
    import transformers

    assert model_type in CAUSAL
    assert guarded(model_type, tmp_path) == []
    checkpoint = read_checkpoint(resolve(str(tmp_path)))
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    name, experts = next(
        (name, each)
        for name, each in model.named_parameters()
        if "layers.1." in name and ("experts" in name or "input_linear" in name)
    )
    with torch.no_grad():
        experts[-1].normal_()
    faults = check_tensors(model, checkpoint, None, torch.float32)
    assert faults
    assert {each.code for each in faults} == {"GUARD101"}
    assert all("layers.1." in each.name for each in faults), name


def with_signature(function: Any, original: Any) -> Any:
    function.__signature__ = inspect.signature(original)
    return function


def forget_cache(model: Any) -> None:
    forward = model.forward

    def forgetful(past_key_values: Any = None, **rest: Any) -> Any:
        return forward(**rest)

    model.forward = with_signature(forgetful, forward)


def ignore_padding(model: Any) -> None:
    forward = model.forward

    # Without a mask the library takes positions that begin anew for another text's.
    def careless(attention_mask: Any = None, position_ids: Any = None, **rest: Any) -> Any:
        return forward(**rest)

    model.forward = with_signature(careless, forward)


def make_constant(model: Any) -> None:
    model.lm_head.weight.data = torch.zeros_like(model.lm_head.weight)


def overflow(model: Any) -> None:
    model.lm_head.weight.data = torch.full_like(model.lm_head.weight, 3e38)


@pytest.mark.parametrize(
    ("plant", "words"),
    [
        (forget_cache, "going on with the cache"),
        (ignore_padding, "a left-padded row"),
        (lambda model: [each.self_attn.train() for each in model.model.layers], "a second pass"),
        (make_constant, "the same"),
        (overflow, "not finite"),
    ],
)
def test_a_forward_pass_shows_what_is_wrong(plant: Break, words: str, library: Path) -> None:
    model, _, _ = parts(library)
    with torch.no_grad():
        plant(model)
    (fault,) = check_forward(model)
    assert fault.code == "GUARD104"
    assert words in f"{fault.name} {fault.what}"


def test_a_short_pass_leaves_the_model_as_it_was(library: Path) -> None:
    model, _, _ = parts(library)
    layers, head = model.model.layers, model.lm_head
    state = torch.get_rng_state()
    assert check_forward(model, forward_bytes=1) == ()
    assert model.model.layers is layers
    assert model.lm_head is head
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("model_type", ["roberta", "bert", "mpnet", "qwen2"])
def test_an_encoder_is_guarded_at_its_load(
    model_type: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = build_encoder(model_type, tmp_path)
    plan = plan_model(str(directory), Wishes(device="cpu", kind="embedding"))
    load = loading.__dict__["guard"]

    def plant_first(model: Any, *rest: Any, **options: Any) -> None:
        name, parameter = list(model.named_parameters())[-1]
        parameter.data = parameter + 1
        planted.append(name)
        load(model, *rest, **options)

    planted: list[str] = []
    load_encoder_plan(plan, dtype="bfloat16")
    monkeypatch.setattr(loading, "guard", plant_first)
    with pytest.raises(AdaptError, match="GUARD101") as caught:
        load_encoder_plan(plan, dtype="bfloat16")
    assert f"`{planted[0]}`" in caught.value.cause


def test_no_load_is_without_guards(
    native: Path, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guarded_plans = []
    monkeypatch.setattr(
        loading, "guard", lambda _model, _files, plan, **_: guarded_plans.append(plan)
    )
    for directory in (native, library):
        load_plan(plan_model(str(directory), Wishes(dtype="float32", device="cpu")))
    assert [each.model.directory for each in guarded_plans] == [str(native), str(library)]


def test_a_failed_load_carries_the_code_of_its_finding(library: Path) -> None:
    error = error_body(refusal(library, flip_one))["error"]
    assert error["code"] == "GUARD101"
    assert f"`{LAYER}.o_proj.weight`" in error["message"]


@pytest.mark.parametrize("kind", ["baichuan-7b", "internlm"])
def test_tables_that_the_meta_device_left_without_values_are_found(
    kind: Any, tmp_path: Path
) -> None:
    from transformers.dynamic_module_utils import get_class_from_dynamic_module

    from trueup.adapt.guard_buffers import check_buffers, rebuilder

    directory = build_llama_kind(kind, tmp_path / kind)
    entry = json.loads((directory / "config.json").read_text())["auto_map"]["AutoModelForCausalLM"]
    model_class: Any = get_class_from_dynamic_module(entry, str(directory))
    model = model_class.from_pretrained(directory, dtype=torch.float32).eval()
    # Memory that nobody has written to may hold anything, so also the right numbers; before
    # release 5 it does.
    for name, buffer in model.named_buffers():
        if name.endswith("cos_cached"):
            buffer.fill_(0.5)
    faults = check_buffers(model, rebuilder(model))
    assert any(each.name.endswith("cos_cached") for each in faults)
    assert {each.code for each in faults} == {"GUARD102"}


def wrong_epsilon(model: Any) -> None:
    model.model.norm.variance_epsilon = 1e-5


def test_a_wrong_epsilon_is_not_for_guards_to_see(library: Path) -> None:
    # What the numbers in the files mean is for `trueup verify`: guards have only the config.
    model, checkpoint, plan = parts(library)
    wrong_epsilon(model)
    guard(model, checkpoint, plan, dtype="float32")


def test_a_second_copy_of_a_tied_head_that_nobody_reads_is_no_fault(tmp_path: Path) -> None:
    directory = build_library_checkpoint("qwen2", tmp_path, tie_word_embeddings=True)
    path = directory / "model.safetensors"
    tensors = load_file(path)
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()
    save_file(tensors, path, metadata={"format": "pt"})
    parts(directory)


def test_a_base_models_file_fills_the_class_with_a_head(tmp_path: Path) -> None:
    directory = build_library_checkpoint("qwen2", tmp_path, tie_word_embeddings=True)
    path = directory / "model.safetensors"
    tensors = {name.removeprefix("model."): each for name, each in load_file(path).items()}
    save_file(tensors, path, metadata={"format": "pt"})
    model, checkpoint, _ = parts(directory)
    assert compare_tensors(model, checkpoint, None, torch.float32, 1.0).unexplained == ()
