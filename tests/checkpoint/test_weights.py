import json
from pathlib import Path
from typing import Any

import pytest

from tests.checkpoint.directories import CONFIG, header, kinds, read, safetensors

F32 = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


def test_names_shapes_dtypes_and_sizes_come_from_the_header(tmp_path: Path) -> None:
    weights = read(
        tmp_path, {"config.json": CONFIG, "model.safetensors": safetensors("a", "b")}
    ).weights
    assert weights.format == "safetensors"
    assert weights.files == ("model.safetensors",)
    assert weights.size_bytes == 32
    tensor = weights.tensors["b"]
    assert (tensor.dtype, tensor.shape, tensor.file, tensor.size_bytes) == (
        "F32",
        (2, 2),
        "model.safetensors",
        16,
    )


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (safetensors("a", missing_bytes=1), "truncated"),
        (safetensors("a", "b")[:40], "truncated"),
        (b"abc", "truncated"),
        (b"\xff" * 8 + b"x", "malformed"),
        (header({}), None),
        (header({"a": F32}) + bytes(8), None),
        (header({"a": F32}) + bytes(9), "malformed"),
        (header({"a": {**F32, "shape": [3]}}) + bytes(8), "malformed"),
        (header({"a": {**F32, "shape": [-2]}}) + bytes(8), "malformed"),
        (header({"a": {**F32, "data_offsets": [8, 0]}}) + bytes(8), "malformed"),
        (header({"a": {**F32, "data_offsets": [0]}}) + bytes(8), "malformed"),
        (header({"a": 3}), "malformed"),
        (header({"a": {**F32, "data_offsets": [8, 16]}}) + bytes(16), "malformed"),
        (header({"a": F32, "b": {**F32, "data_offsets": [4, 12]}}) + bytes(12), "malformed"),
        (header({"a": F32, "b": {**F32, "data_offsets": [16, 24]}}) + bytes(24), "malformed"),
        (header({"b": {**F32, "data_offsets": [8, 16]}, "a": F32}) + bytes(16), None),
        (header({"a": {**F32, "dtype": ["x"]}}), "malformed"),
        (header({"a": {**F32, "shape": "xy"}}), "malformed"),
        (header(["list"]), "malformed"),
        (b"\x05\0\0\0\0\0\0\0nojso", "malformed"),
        (b"\x20\x4e\0\0\0\0\0\0" + b"[" * 20_000, "malformed"),
        (header({"a": {**F32, "dtype": "F9_NEW"}}) + bytes(8), None),
        (header({"new\nline": F32}) + bytes(8), None),
    ],
)
def test_every_broken_header_is_one_problem(
    tmp_path: Path, content: bytes, kind: str | None
) -> None:
    checkpoint = read(tmp_path, {"config.json": CONFIG, "model.safetensors": content})
    assert [problem.kind for problem in checkpoint.problems] == ([kind] if kind else [])


def test_the_missing_bytes_are_counted(tmp_path: Path) -> None:
    checkpoint = read(
        tmp_path,
        {"config.json": CONFIG, "model.safetensors": safetensors("a", missing_bytes=5)},
    )
    assert checkpoint.problems[0].detail.endswith("5 are missing")


def index(**placed: Any) -> dict[str, Any]:
    return {"metadata": {}, "weight_map": placed}


INDEX = "model.safetensors.index.json"


def test_shards_are_held_against_their_index(tmp_path: Path) -> None:
    checkpoint = read(
        tmp_path,
        {
            "config.json": CONFIG,
            INDEX: index(a="s1.safetensors", b="s1.safetensors", c="s2.safetensors"),
            "s1.safetensors": safetensors("a"),
        },
    )
    assert sorted(kinds(checkpoint)) == [
        ("missing_shard", "s2.safetensors"),
        ("missing_tensor", "s1.safetensors"),
    ]


def test_a_tensor_in_another_shard_than_the_index_says_is_missing(tmp_path: Path) -> None:
    checkpoint = read(
        tmp_path,
        {
            "config.json": CONFIG,
            INDEX: index(a="s1.safetensors", b="s2.safetensors"),
            "s1.safetensors": safetensors("b"),
            "s2.safetensors": safetensors("a"),
        },
    )
    assert [kind for kind, _ in kinds(checkpoint)] == ["missing_tensor", "missing_tensor"]


def test_a_shard_that_was_copied_over_another_is_the_only_one_to_blame(tmp_path: Path) -> None:
    checkpoint = read(
        tmp_path,
        {
            "config.json": CONFIG,
            INDEX: index(a="s1.safetensors", b="s2.safetensors"),
            "s1.safetensors": safetensors("a"),
            "s2.safetensors": safetensors("a"),
        },
    )
    assert kinds(checkpoint) == [("missing_tensor", "s2.safetensors")]
    assert checkpoint.weights.tensors["a"].file == "s1.safetensors"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({}, ["malformed"]),
        ({"weight_map": []}, ["malformed"]),
        ({"weight_map": {}}, ["malformed"]),
        (index(a="../../etc/passwd"), ["malformed"]),
        (index(a="/etc/passwd"), ["malformed"]),
        (index(a=3), ["malformed"]),
        ([], ["not_json"]),
    ],
)
def test_an_index_that_makes_no_sense_is_a_problem(
    tmp_path: Path, content: Any, expected: list[str]
) -> None:
    checkpoint = read(tmp_path, {"config.json": CONFIG, INDEX: json.dumps(content)})
    assert [kind for kind, _ in kinds(checkpoint)] == expected


def test_the_files_are_those_that_transformers_would_take(tmp_path: Path) -> None:
    checkpoint = read(
        tmp_path,
        {
            "config.json": CONFIG,
            "model.safetensors": safetensors("a"),
            INDEX: index(a="gone.safetensors"),
            "pytorch_model.bin": b"not looked at",
            "consolidated.safetensors": safetensors("z"),
        },
    )
    assert checkpoint.weights.files == ("model.safetensors",)
    assert checkpoint.problems == ()


def test_shards_without_an_index_are_read_and_the_index_is_missed(tmp_path: Path) -> None:
    checkpoint = read(
        tmp_path,
        {
            "config.json": CONFIG,
            "model-00001-of-00002.safetensors": safetensors("a"),
            "model-00002-of-00002.safetensors": safetensors("b"),
        },
    )
    assert sorted(checkpoint.weights.tensors) == ["a", "b"]
    assert kinds(checkpoint) == [("absent", INDEX)]


def test_a_directory_without_weights_has_none(tmp_path: Path) -> None:
    checkpoint = read(tmp_path, {"config.json": CONFIG, "training_args.bin": b"x"})
    assert checkpoint.weights.format == "none"
    assert checkpoint.problems == ()


def test_gguf_is_recognised_and_not_read(tmp_path: Path) -> None:
    checkpoint = read(tmp_path, {"config.json": CONFIG, "m.gguf": b"GGUF...."})
    assert (checkpoint.weights.format, checkpoint.weights.files) == ("gguf", ("m.gguf",))
