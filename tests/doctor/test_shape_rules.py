"""config.json is compared with the shapes in the weights' headers."""

import json
import shutil
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import pytest

from tests.checkpoint.directories import header, read, tensors_of
from tests.doctor.facts import environment
from trueup.checkpoint.files import read_checkpoint
from trueup.checkpoint.source import resolve
from trueup.doctor.examine import examine
from trueup.doctor.finding import Finding
from trueup.doctor.rules.shapes import ConfigNotOfTheWeights
from trueup.environment.packages import read_environment

LLAMA = {
    "model_type": "llama",
    "num_hidden_layers": 2,
    "hidden_size": 4,
    "vocab_size": 8,
}


def demo_with(directory: Path, **changes: Any) -> tuple[Finding, ...]:
    with as_file(files("trueup") / "demo_checkpoint") as demo:
        shutil.copytree(demo, directory / "model")
    path = directory / "model" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    checkpoint = read_checkpoint(resolve(str(path.parent)))
    found = examine(checkpoint, read_environment())
    return tuple(each for each in found if each.code == ConfigNotOfTheWeights.code)


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("num_layers", 7, "`transformer.encoder.layers.5.*`"),
        ("num_layers", 3, "`transformer.encoder.layers.4.*`"),
        ("padded_vocab_size", 4000, "has 2112 rows"),
        ("hidden_size", 4096, "has 128 columns"),
    ],
)
def test_a_config_that_is_not_of_the_weights_blocks_every_route(
    tmp_path: Path, key: str, value: int, told: str
) -> None:
    (finding,) = demo_with(tmp_path, **{key: value})
    assert finding.where.key == key
    assert finding.blocks == ("native", "fixed", "isolated")
    assert f"`{key}` is {value}" in finding.cause
    assert told in finding.cause


def test_a_config_of_the_weights_is_no_finding(tmp_path: Path) -> None:
    assert demo_with(tmp_path) == ()


@pytest.mark.parametrize(
    ("changes", "keys"),
    [
        ({}, []),
        ({"num_hidden_layers": 1}, ["num_hidden_layers"]),
        # Of other types the library ignores layers that only guess the next token.
        ({"num_hidden_layers": 1, "model_type": "deepseek_v3"}, []),
        ({"num_hidden_layers": 3}, ["num_hidden_layers"]),
        ({"vocab_size": 9, "hidden_size": 5}, ["vocab_size", "hidden_size"]),
        ({"vocab_size": None, "hidden_size": "5"}, []),
    ],
)
def test_the_librarys_own_names_are_compared_too(
    tmp_path: Path, changes: dict[str, Any], keys: list[str]
) -> None:
    shapes = {"model.embed_tokens.weight": [8, 4], "model.layers.0.a": [1], "model.layers.1.a": [1]}
    entries, position = {}, 0
    for name, shape in shapes.items():
        size = 4 * shape[0] * (shape[1] if len(shape) > 1 else 1)
        entries[name] = {
            "dtype": "F32",
            "shape": shape,
            "data_offsets": [position, position + size],
        }
        position += size
    weights = header(entries) + bytes(position)
    checkpoint = read(tmp_path, {"config.json": LLAMA | changes, "model.safetensors": weights})
    found = examine(checkpoint, read_environment())
    assert [each.where.key for each in found if each.code == "DIR115"] == keys


SIZES = {"hidden_size": 4, "num_hidden_layers": 1, "intermediate_size": 6, "vocab_size": 8}
DECODER = {
    "model.embed_tokens.weight": (8, 4),
    **{f"model.layers.0.self_attn.{name}_proj.weight": (4, 4) for name in "qkvo"},
    **{f"model.layers.0.mlp.{name}_proj.weight": (6, 4) for name in ("gate", "up")},
    "model.layers.0.mlp.down_proj.weight": (4, 6),
    "model.layers.0.input_layernorm.weight": (4,),
    "model.layers.0.post_attention_layernorm.weight": (4,),
    "model.norm.weight": (4,),
    "lm_head.weight": (8, 4),
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "code", "key"),
    [
        ({}, None, None),
        ({"intermediate_size": 7}, "DIR115", "intermediate_size"),
        ({"hidden_size": 5}, "DIR115", "hidden_size"),
        ({"intermediate_size": None}, None, None),
    ],
)
def test_every_size_of_a_known_layout_is_compared(
    tmp_path: Path, changes: dict[str, Any], code: str | None, key: str | None
) -> None:
    config = {"model_type": "llama", **SIZES, **changes}
    checkpoint = read(tmp_path, {"config.json": config, "model.safetensors": tensors_of(DECODER)})
    found = [each for each in examine(checkpoint, environment()) if each.code.startswith("DIR")]
    assert [(each.code, each.where.key) for each in found] == ([(code, key)] if code else [])


def test_sizes_that_config_json_does_not_say_are_told(tmp_path: Path) -> None:
    config = {"model_type": "llama", "vocab_size": 8}
    checkpoint = read(tmp_path, {"config.json": config, "model.safetensors": tensors_of(DECODER)})
    (finding,) = [each for each in examine(checkpoint, environment()) if each.code == "DIR123"]
    assert "`hidden_size` (4), `num_hidden_layers` (1), `intermediate_size` (6)" in finding.cause
    assert str(finding.hint).endswith(f"trueup check {tmp_path} --write-config")


def test_a_directory_without_a_config_is_told_how_to_rebuild_it(tmp_path: Path) -> None:
    checkpoint = read(tmp_path, {"model.safetensors": tensors_of(DECODER)})
    (finding,) = [each for each in examine(checkpoint, environment()) if each.code == "DIR101"]
    assert str(finding.hint).endswith("--write-config")
