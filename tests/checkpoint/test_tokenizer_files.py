"""Tokenizer files that are not what their names say."""

import json
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any

import pytest

from tests.checkpoint.directories import CONFIG, kinds, read, safetensors
from trueup.doctor.examine import examine
from trueup.environment.packages import read_environment

DEMO = package_files("trueup") / "demo_checkpoint" / "tokenizer.model"
BPE = {"type": "BPE", "vocab": {f"t{n}": n for n in range(600)}, "merges": ["t 1"]}
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 17\n"
WHOLE = {"config.json": CONFIG, "model.safetensors": safetensors("a")}


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("tokenizer.model", LFS, "lfs_pointer"),
        ("tokenizer.model", b"<!DOCTYPE html><html>", "html"),
        ("tokenizer.model", b"", "truncated"),
        ("tokenizer.model", b"not a model at all", "malformed"),
        ("tokenizer.model", DEMO.read_bytes()[:-7], "truncated"),
        ("qwen.tiktoken", b"\x00\x01", "malformed"),
        ("tokenizer.json", b"{", "not_json"),
        ("tokenizer.json", b"", "not_json"),
        ("tokenizer.json", b"{}", "malformed"),
        ("tokenizer.json", b'{"model": {"type": "Letters", "vocab": {"a": 0}}}', "malformed"),
        ("tokenizer.json", b'{"model": {"type": "BPE", "vocab": {}, "merges": []}}', "malformed"),
        ("tokenizer.json", json.dumps({"model": {**BPE, "merges": []}}).encode(), "malformed"),
        ("vocab.json", LFS, "lfs_pointer"),
        ("vocab.txt", b"<html>", "html"),
    ],
)
def test_a_damaged_tokenizer_file_is_a_problem_that_blocks_every_route(
    tmp_path: Path, name: str, content: bytes, kind: str
) -> None:
    checkpoint = read(tmp_path, {**WHOLE, name: content})
    assert kinds(checkpoint) == [(kind, name)]
    (finding,) = [
        each for each in examine(checkpoint, read_environment()) if each.where.path == name
    ]
    assert finding.stage == "tokenizer"
    assert finding.blocks == ("native", "fixed", "isolated")


@pytest.mark.parametrize(
    ("files", "size", "ids"),
    [
        ({"tokenizer.model": DEMO.read_bytes()}, 2048, {}),
        ({"vocab.txt": "[PAD]\na\nb\n"}, 3, {}),
        ({"qwen.tiktoken": "IQ== 0\nIg== 1\n"}, 2, {}),
        (
            {
                "tokenizer.json": {"model": BPE, "added_tokens": [{"content": "<e>", "id": 601}]},
                "tokenizer_config.json": {"eos_token": {"content": "<e>"}, "pad_token": "none"},
            },
            600,
            {"eos_token": 601},
        ),
        (
            {
                "vocab.json": {"<s>": 0, "a": 5},
                "added_tokens.json": {"<x>": 6},
                "special_tokens_map.json": {"bos_token": "<s>", "unk_token": "<x>"},
            },
            6,
            {"bos_token": 0, "unk_token": 6},
        ),
    ],
)
def test_tokens_are_counted_and_special_ones_have_their_ids(
    tmp_path: Path, files: dict[str, Any], size: int, ids: dict[str, int]
) -> None:
    facts = read(tmp_path, {**WHOLE, **files}).tokenizer
    assert (facts.vocabulary_size, facts.special_ids) == (size, ids)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tokenizer.model", DEMO.read_bytes()),
        ("tokenizer.model", b"IQ== 0\nIg== 1\n"),
        ("qwen.tiktoken", b"IQ== 0\nIg== 1\n"),
        ("tokenizer.json", json.dumps({"model": BPE}).encode()),
        ("tokenizer.json", b'{"model": {"type": "Unigram", "vocab": [["a", 0.0]]}}'),
        ("vocab.txt", b"a\nb\n"),
    ],
)
def test_a_whole_tokenizer_file_is_no_problem(tmp_path: Path, name: str, content: bytes) -> None:
    assert kinds(read(tmp_path, {**WHOLE, name: content})) == []
