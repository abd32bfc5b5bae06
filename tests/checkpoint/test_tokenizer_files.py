"""Tokenizer files that are not what their names say."""

from importlib.resources import files as package_files
from pathlib import Path

import pytest

from tests.checkpoint.directories import CONFIG, kinds, read, safetensors
from trueup.doctor.examine import examine
from trueup.environment.packages import read_environment

DEMO = package_files("trueup") / "demo_checkpoint" / "tokenizer.model"
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
    ("name", "content"),
    [
        ("tokenizer.model", DEMO.read_bytes()),
        ("tokenizer.model", b"IQ== 0\nIg== 1\n"),
        ("qwen.tiktoken", b"IQ== 0\nIg== 1\n"),
        ("tokenizer.json", b"{}"),
        ("vocab.txt", b"a\nb\n"),
    ],
)
def test_a_whole_tokenizer_file_is_no_problem(tmp_path: Path, name: str, content: bytes) -> None:
    assert kinds(read(tmp_path, {**WHOLE, name: content})) == []
