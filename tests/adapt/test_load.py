from __future__ import annotations

import json
import re
import select
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import trueup
from tests.adapt.library_checkpoints import build_library_checkpoint
from tests.adapt.oracle import logits as oracle_logits
from tests.checkpoints.build import Family, build_checkpoint
from tests.checkpoints.weights import seeded
from trueup.adapt.load import Loaded, load_plan
from trueup.adapt.load_native import library_class
from trueup.adapt.own_process import load
from trueup.adapt.planning import Wishes, plan_model
from trueup.errors import AdaptError, CapacityError, CheckpointError, ConfigError, TrueUpError

TOKEN_IDS = [31, 7, 500, 12, 12, 640, 3, 99, 250, 18, 77, 401]
FP32 = Wishes(dtype="float32", device="cpu")


def loaded(directory: Path, wishes: Wishes = FP32) -> Loaded:
    plan = plan_model(str(directory), wishes)
    assert plan.route == "native", plan.why
    return load_plan(plan)


def config_in(directory: Path) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    return config


@pytest.mark.parametrize(
    ("family", "overrides"),
    [
        ("chatglm2", {}),
        ("chatglm2-32k", {}),
        ("chatglm3", {}),
        ("glm4", {}),
        ("chatglm2", {"multi_query_attention": False}),
        ("chatglm3", {"kv_channels": 32}),
        ("chatglm3", {"add_qkv_bias": False}),
        ("glm4", {"rope_ratio": 1}),
    ],
)
def test_logits_equal_those_of_the_published_equations(
    family: Family, overrides: dict[str, Any], tmp_path: Path
) -> None:
    directory = build_checkpoint(family, tmp_path / family, seed=3, **overrides)
    config = config_in(directory)
    divides = family == "chatglm2-32k"
    expected = oracle_logits(config, seeded(config, 3), TOKEN_IDS, divides_positions=divides)
    with torch.no_grad():
        got = loaded(directory).model(torch.tensor([TOKEN_IDS])).logits[0].numpy()
    assert np.abs(got - expected).max() <= 1e-4


def test_the_oracle_tells_the_meanings_of_rope_ratio_apart(tmp_path: Path) -> None:
    config = config_in(build_checkpoint("glm4", tmp_path / "glm4", seed=3))
    weights = seeded(config, 3)
    first = oracle_logits(config, weights, TOKEN_IDS, divides_positions=False)
    second = oracle_logits(config, weights, TOKEN_IDS, divides_positions=True)
    assert np.abs(first - second).max() > 1e-2


@pytest.mark.parametrize("weights_format", ["safetensors", "sharded", "pickle", "sharded-pickle"])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_every_weight_format_gives_the_same_model(
    weights_format: Any, dtype: str, tmp_path: Path
) -> None:
    directory = build_checkpoint(
        "chatglm3", tmp_path / "model", weights_format=weights_format, dtype=dtype
    )
    config = config_in(directory)
    model = loaded(directory).model
    source = torch.from_numpy(seeded(config, 0)["transformer.output_layer.weight"].copy())
    expected = source.to(getattr(torch, dtype)).float()
    assert torch.equal(model.lm_head.weight, expected)
    assert not model.training
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert not any(each.is_meta for each in (*model.parameters(), *model.buffers()))


def test_plain_generate_stops_and_pads_as_the_family_does(tmp_path: Path) -> None:
    result = loaded(build_checkpoint("chatglm3", tmp_path / "model"))
    tokenizer, settings = result.tokenizer, result.model.generation_config
    assert settings.eos_token_id == list(result.stop_token_ids)
    assert settings.pad_token_id == tokenizer.pad_token_id
    assert not settings.do_sample
    assert result.context_tokens == 512
    batch = tokenizer(["hello", "你好 world, how are you"], return_tensors="pt", padding=True)
    together = result.model.generate(**batch, max_new_tokens=6)[0]
    alone = result.model.generate(**tokenizer("hello", return_tensors="pt"), max_new_tokens=6)[0]
    assert together[-6:].tolist() == alone[-6:].tolist()


def rewrite(directory: Path, change: Any) -> None:
    path = directory / "model.safetensors"
    tensors = {name: tensor.clone() for name, tensor in load_file(path).items()}
    change(tensors)
    save_file(tensors, path, metadata={"format": "pt"})


QKV = "transformer.encoder.layers.1.self_attention.query_key_value.weight"


def drop(tensors: dict[str, torch.Tensor]) -> None:
    del tensors[QKV]


def add(tensors: dict[str, torch.Tensor]) -> None:
    tensors["transformer.encoder.layers.1.extra.weight"] = torch.zeros(2)


def add_layer(tensors: dict[str, torch.Tensor]) -> None:
    tensors["transformer.encoder.layers.9.mlp.dense_4h_to_h.weight"] = torch.zeros(2)


def cut(tensors: dict[str, torch.Tensor]) -> None:
    tensors[QKV] = tensors[QKV][:-1].clone()


def grow(tensors: dict[str, torch.Tensor]) -> None:
    tensors[QKV] = torch.cat([tensors[QKV], tensors[QKV]])


def flatten(tensors: dict[str, torch.Tensor]) -> None:
    tensors["transformer.output_layer.weight"] = torch.tensor(1.0)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (drop, "model.layers.1.self_attn.q_proj.weight"),
        (add, "transformer.encoder.layers.1.extra.weight"),
        (add_layer, "transformer.encoder.layers.9.mlp.dense_4h_to_h.weight"),
        (cut, QKV),
        (grow, QKV),
        (flatten, "transformer.output_layer.weight"),
    ],
)
def test_a_tensor_too_few_too_many_or_misshapen_is_named(
    change: Any, word: str, tmp_path: Path
) -> None:
    directory = build_checkpoint("chatglm2", tmp_path / "model")
    plan = plan_model(str(directory), FP32)
    rewrite(directory, change)
    # The headers tell some of these to the planner; a plan that believes in the files does not.
    digest = plan_model(str(directory), FP32).model.digest
    with pytest.raises(AdaptError) as caught:
        load_plan(replace(plan, model=replace(plan.model, digest=digest)))
    assert f"`{word}`" in caught.value.cause
    assert str(directory) in (caught.value.where or "")


@pytest.mark.parametrize("weights_format", ["safetensors", "pickle"])
def test_a_file_cut_short_is_an_error_with_its_name(weights_format: Any, tmp_path: Path) -> None:
    directory = build_checkpoint("chatglm2", tmp_path / "model", weights_format=weights_format)
    plan = plan_model(str(directory), FP32)
    path = next(each for each in directory.iterdir() if each.suffix in (".safetensors", ".bin"))
    path.write_bytes(path.read_bytes()[:-5000])
    again = plan_model(str(directory), FP32)
    assert again.route == "refused"
    # Even a plan that believes in the files is not carried out.
    with pytest.raises(TrueUpError):
        load_plan(plan)
    digest = replace(plan, model=replace(plan.model, digest=again.model.digest))
    with pytest.raises(CheckpointError) as caught:
        load_plan(digest)
    assert caught.value.where == str(path)


def test_a_pickle_of_an_old_torch_can_be_rewritten_as_its_hint_says(tmp_path: Path) -> None:
    directory = build_checkpoint("chatglm2", tmp_path / "model", weights_format="pickle")
    plan = plan_model(str(directory), FP32)
    path = directory / "pytorch_model.bin"
    tensors = torch.load(path, weights_only=True)
    torch.save(tensors, path, _use_new_zipfile_serialization=False)
    digest = plan_model(str(directory), FP32).model.digest
    with pytest.raises(CheckpointError, match="zip pickle") as caught:
        load_plan(replace(plan, model=replace(plan.model, digest=digest)))
    command = (caught.value.hint or "").partition("python -c ")[2]
    program, *arguments = shlex.split(command)
    subprocess.run([sys.executable, "-c", program, *arguments], check=True, timeout=60)
    loaded(directory)


def test_a_pickle_that_runs_code_is_not_unpickled(tmp_path: Path) -> None:
    directory = build_checkpoint("chatglm2", tmp_path / "model", weights_format="pickle")
    plan = plan_model(str(directory), FP32)
    marker = tmp_path / "executed"

    class Trap:
        def __reduce__(self) -> tuple[Any, tuple[str, ...]]:
            return Path.touch, (marker,)  # type: ignore[return-value]

    torch.save({"transformer.output_layer.weight": Trap()}, directory / "pytorch_model.bin")
    digest = plan_model(str(directory), FP32).model.digest
    with pytest.raises(CheckpointError, match="more than tensors"):
        load_plan(replace(plan, model=replace(plan.model, digest=digest)))
    assert not marker.exists()


def test_a_plan_of_files_that_changed_is_not_carried_out(tmp_path: Path) -> None:
    directory = build_checkpoint("chatglm2", tmp_path / "model")
    plan = plan_model(str(directory), FP32)
    build_checkpoint("chatglm2", directory, layers=2)
    with pytest.raises(AdaptError, match="changed since"):
        load_plan(plan)


def test_a_refused_plan_is_not_loaded_and_says_why(tmp_path: Path) -> None:
    directory = build_checkpoint("chatglm2", tmp_path / "model", quantization_bit=4)
    with pytest.raises(AdaptError, match="quantization_bit"):
        load(str(directory))


def test_a_plan_of_another_environment_is_not_loaded_into_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = build_checkpoint("chatglm2", tmp_path / "model")
    plan = replace(plan_model(str(directory), FP32), route="isolated")
    monkeypatch.setattr("trueup.adapt.planning.plan_model", lambda *_: plan)
    with pytest.raises(AdaptError, match="an environment of its own"):
        load(str(directory))


def test_load_takes_paths_and_the_types_of_torch(tmp_path: Path) -> None:
    directory = build_checkpoint("chatglm2", tmp_path / "model")
    model, _ = load(directory, dtype=torch.bfloat16, device=torch.device("cpu"))
    assert (model.dtype, model.device) == (torch.bfloat16, torch.device("cpu"))


@pytest.mark.parametrize(
    ("wishes", "words"),
    [
        ({"model": 3}, "model is `3`, expected a string or a `PathLike`"),
        ({"model": b"/models"}, "model is"),
        ({"dtype": 16}, "dtype is `16`, expected a string or a `dtype`"),
        ({"dtype": None}, "dtype is `None`"),
        ({"dtype": torch.int8}, "`int8` is no dtype"),
        ({"device": 0}, "device is `0`, expected a string or a `device`"),
        ({"device": torch.device("meta")}, "`meta` is no device"),
        ({"device": Path("cpu")}, "device is"),
        ({"route": Path("auto")}, "route is"),
    ],
)
def test_load_says_which_argument_cannot_be_meant(
    wishes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    directory = build_checkpoint("chatglm2", tmp_path / "model")
    with pytest.raises(ConfigError, match=re.escape(words)):
        load(**{"model": directory, **wishes})


def test_dir_lists_what_the_package_offers() -> None:
    assert set(trueup.__all__) <= set(dir(trueup))
    assert {"Any", "TYPE_CHECKING", "annotations"}.isdisjoint(dir(trueup))


def test_a_class_that_the_library_lacks_is_an_error_that_can_be_followed() -> None:
    with pytest.raises(AdaptError, match="has no `NobodyForCausalLM`") as caught:
        library_class("transformers.NobodyForCausalLM")
    assert caught.value.hint == "pip install --upgrade transformers"
    assert (caught.value.where or "").endswith("transformers")


def test_memory_that_runs_out_while_loading_names_a_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(*_: Any, **__: Any) -> Any:
        raise MemoryError

    plan = plan_model(str(build_checkpoint("chatglm2", tmp_path / "model")), FP32)
    monkeypatch.setattr("trueup.adapt.load_native.load_native", exhausted)
    with pytest.raises(CapacityError) as caught:
        load_plan(plan)
    assert "--dtype bfloat16" in (caught.value.hint or "")


def test_progress_rises_to_one(tmp_path: Path) -> None:
    directory = build_checkpoint("glm4", tmp_path / "model")
    seen: list[float] = []
    load_plan(plan_model(str(directory), FP32), seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(1.0)


def test_no_code_of_the_model_runs(tmp_path: Path) -> None:
    directory = build_checkpoint("chatglm2", tmp_path / "model")
    for path in directory.glob("*.py"):
        path.write_text(path.read_text(encoding="utf-8") + "\nraise SystemExit('it ran')\n")
    load(str(directory))


MEMORY_PROGRAM = """
import json, sys
from trueup.adapt.load import load_plan
from trueup.adapt.planning import Wishes, plan_model
wishes = Wishes(dtype=sys.argv[2], device="cpu")
plan = plan_model(sys.argv[1], wishes)
load_plan(plan_model(sys.argv[3], wishes))  # imports and caches are no part of the model
print("ready", flush=True)
sys.stdin.readline()
sizes = [each.nbytes for each in load_plan(plan).model.parameters()]
print(json.dumps({"weights": sum(sizes), "largest": max(sizes)}), flush=True)
"""


def anonymous_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024
    return 0


def measured_load(large: Path, small: Path, dtype: str) -> tuple[int, dict[str, int]]:
    """How far anonymous memory rises while `large` is loaded, watched from outside: bytes."""
    command = [sys.executable, "-c", MEMORY_PROGRAM, str(large), dtype, str(small)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n"
            before = peak = anonymous_bytes(process.pid)
            process.stdin.write("\n")
            process.stdin.flush()
            while not select.select([process.stdout], [], [], 0.0005)[0]:
                peak = max(peak, anonymous_bytes(process.pid))
            told: dict[str, int] = json.loads(process.stdout.readline())
        finally:
            process.kill()
    return peak - before, told


def large_and_small(model_type: str, weights_format: Any, folder: Path) -> tuple[Path, Path]:
    if model_type == "qwen2":
        wide = {"hidden_size": 1024, "num_hidden_layers": 6, "intermediate_size": 4096}
        return (
            build_library_checkpoint(
                "qwen2", folder / "large", dtype="float16", vocab_size=32000, **wide
            ),
            build_library_checkpoint("qwen2", folder / "small", dtype="float16"),
        )
    sizes: dict[str, Any] = {"layers": 6, "hidden": 1024, "heads": 8, "padded_vocab_size": 32000}
    formats: dict[str, Any] = {"dtype": "float16", "weights_format": weights_format}
    return (
        build_checkpoint("chatglm3", folder / "large", ffn_hidden_size=4096, **sizes, **formats),
        build_checkpoint("chatglm3", folder / "small", **formats),
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model_type", "weights_format"),
    [("chatglm3", "safetensors"), ("chatglm3", "sharded-pickle"), ("qwen2", "safetensors")],
)
def test_anonymous_memory_stays_within_the_final_weights(
    model_type: str, weights_format: Any, tmp_path: Path
) -> None:
    large, small = large_and_small(model_type, weights_format, tmp_path)
    for planned in ("float16", "float32", "bfloat16"):
        rise, told = measured_load(large, small, planned)
        weights, largest = told["weights"], told["largest"]
        assert weights > 200e6
        assert rise <= weights + max(weights // 10, largest), planned
