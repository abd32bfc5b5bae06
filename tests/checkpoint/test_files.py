import os
from pathlib import Path
from typing import Any

import pytest

from tests.checkpoint.directories import CONFIG, kinds, read, safetensors, write
from trueup.checkpoint.files import read_checkpoint
from trueup.checkpoint.source import resolve
from trueup.errors import CheckpointError

WHOLE = {"config.json": CONFIG, "model.safetensors": safetensors("a", "b")}
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 123456\n"
HTML = b"\n<!DOCTYPE html><html><title>404</title></html>"


def test_a_whole_directory_has_no_problems(tmp_path: Path) -> None:
    checkpoint = read(tmp_path, WHOLE)
    assert checkpoint.problems == ()
    assert checkpoint.model_type == "llama"
    assert checkpoint.architectures == ("LlamaForCausalLM",)
    assert checkpoint.files["model.safetensors"] == len(safetensors("a", "b"))
    assert checkpoint.digest.startswith("sha256:")


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"config.json": b"{"}, ("not_json", "config.json")),
        ({"config.json": b""}, ("not_json", "config.json")),
        ({"config.json": b"[1]"}, ("not_json", "config.json")),
        ({"config.json": b"null"}, ("not_json", "config.json")),
        ({"config.json": b"\xff\xfe{"}, ("not_json", "config.json")),
        ({"config.json": b"\xef\xbb\xbf{}"}, ("byte_order_mark", "config.json")),
        ({"config.json": b"\xef\xbb\xbf{"}, ("not_json", "config.json")),
        ({"config.json": b'{"a":' * 10_000}, ("not_json", "config.json")),
        ({"config.json": b"[" * 10_000}, ("not_json", "config.json")),
        ({"config.json": b'{"a": ' + b"9" * 10_000 + b"}"}, ("not_json", "config.json")),
        ({"config.json": LFS}, ("lfs_pointer", "config.json")),
        ({"config.json": HTML}, ("html", "config.json")),
        ({"tokenizer_config.json": b"nope"}, ("not_json", "tokenizer_config.json")),
        ({"generation_config.json": b"nope"}, ("not_json", "generation_config.json")),
        ({"model.safetensors": LFS}, ("lfs_pointer", "model.safetensors")),
        ({"model.safetensors": HTML}, ("html", "model.safetensors")),
        ({"model.safetensors": b""}, ("truncated", "model.safetensors")),
    ],
)
def test_each_broken_file_is_one_problem(
    tmp_path: Path, files: dict[str, bytes], expected: tuple[str, str]
) -> None:
    assert kinds(read(tmp_path, {**WHOLE, **files})) == [expected]


def test_a_json_problem_knows_its_line(tmp_path: Path) -> None:
    checkpoint = read(tmp_path, {**WHOLE, "config.json": '{\n"a": 1,\n"b": oops}'})
    assert checkpoint.problems[0].line == 3


def test_weights_without_a_config_are_a_problem_not_an_error(tmp_path: Path) -> None:
    checkpoint = read(tmp_path, {"model.safetensors": safetensors("a")})
    assert kinds(checkpoint) == [("absent", "config.json")]
    assert checkpoint.config == {}


@pytest.mark.parametrize(
    ("files", "hint"),
    [
        ({}, None),
        ({"notes.txt": "hello"}, None),
        ({"inner/config.json": CONFIG}, "inner"),
        ({"global_step9/mp_rank_00_model_states.pt": b"x"}, "training program"),
        ({"__0_0.distcp": b"x"}, "dcp_to_torch"),
        ({"model_index.json": {}}, None),
    ],
)
def test_a_directory_that_is_no_model_is_an_error(
    tmp_path: Path, files: dict[str, Any], hint: str | None
) -> None:
    with pytest.raises(CheckpointError) as caught:
        read(tmp_path, files)
    assert caught.value.where == str(tmp_path)
    assert hint is None or hint in str(caught.value.hint)


def test_a_file_that_the_system_refuses_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, WHOLE)

    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    checkpoint = read_checkpoint(resolve(str(tmp_path)))
    assert sorted(kinds(checkpoint)) == [
        ("unreadable", "config.json"),
        ("unreadable", "model.safetensors"),
    ]


def test_pipes_under_the_names_of_files_are_not_waited_for(tmp_path: Path) -> None:
    auto_map = {"AutoModel": "modeling_x.Model"}
    write(tmp_path, {"config.json": {**CONFIG, "auto_map": auto_map}})
    os.mkfifo(tmp_path / "modeling_x.py")
    os.mkfifo(tmp_path / "model.safetensors")
    checkpoint = read_checkpoint(resolve(str(tmp_path)))
    assert sorted(kinds(checkpoint)) == [
        ("unreadable", "model.safetensors"),
        ("unreadable", "modeling_x.py"),
    ]
    assert {each.detail for each in checkpoint.problems} == {"it is a pipe, expected a file"}


def test_links_to_nothing_and_to_themselves_are_problems(tmp_path: Path) -> None:
    write(tmp_path, {})
    (tmp_path / "config.json").symlink_to(tmp_path / "config.json")
    (tmp_path / "model.safetensors").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop").symlink_to(tmp_path)
    checkpoint = read_checkpoint(resolve(str(tmp_path)))
    assert sorted(kinds(checkpoint)) == [
        ("unreadable", "config.json"),
        ("unreadable", "model.safetensors"),
    ]


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_directory_under_a_files_name_is_said_to_be_one(tmp_path: Path, name: str) -> None:
    whole = {"config.json": CONFIG, "model.safetensors": safetensors("a")}
    write(tmp_path, {key: content for key, content in whole.items() if key != name})
    (tmp_path / name).mkdir()
    checkpoint = read_checkpoint(resolve(str(tmp_path)))
    assert kinds(checkpoint) == [("unreadable", name)]
    assert checkpoint.problems[0].detail == "it is a directory, expected a file"


def test_names_that_are_not_text_do_no_harm(tmp_path: Path) -> None:
    write(tmp_path, {**WHOLE, "new\nline.json": "{}"})
    with open(os.fsencode(tmp_path) + b"/caf\xe9.json", "wb") as file:
        file.write(b"{}")
    checkpoint = read_checkpoint(resolve(str(tmp_path)))
    assert checkpoint.problems == ()


def test_the_digest_follows_config_code_and_weights_but_not_the_readme(tmp_path: Path) -> None:
    def digest(name: str, **files: Any) -> str:
        changed = {key.replace("__", "."): value for key, value in files.items()}
        return read(tmp_path / name, {**WHOLE, **changed}).digest

    first = digest("a")
    assert digest("b") == first
    assert digest("c", README__md="hello") == first
    assert digest("d", config__json={**CONFIG, "x": 1}) != first
    assert digest("e", code__py="x = 1") != first
    assert digest("f", model__safetensors=safetensors("a", "c")) != first


@pytest.mark.parametrize("place", [0, 500_000, 900_000])
def test_the_digest_tells_weights_of_one_shape_apart(place: int, tmp_path: Path) -> None:
    before, after = bytes(1_000_000), bytearray(1_000_000)
    # A training changes nearly all numbers; here only a stretch of them.
    after[place : place + 100_000] = b"\1" * 100_000
    digests = set()
    for name, content in (("a", before), ("b", before), ("c", bytes(after))):
        read(tmp_path / name, WHOLE)
        path = tmp_path / name / "model.safetensors"
        path.write_bytes(path.read_bytes() + content)
        digests.add(read(tmp_path / name, {}).digest)
    assert len(digests) == 2


def test_the_auto_maps_of_both_files_are_joined(tmp_path: Path) -> None:
    checkpoint = read(
        tmp_path,
        {
            **WHOLE,
            "config.json": {**CONFIG, "auto_map": {"AutoModel": "modeling_x.Model"}},
            "tokenizer_config.json": {"auto_map": {"AutoTokenizer": [None, "tokenization_x.Fast"]}},
            "modeling_x.py": "from .layers import y\n",
            "layers.py": "",
            "tokenization_x.py": "",
            "unused.py": "",
        },
    )
    assert checkpoint.auto_map == {
        "AutoModel": "modeling_x.Model",
        "AutoTokenizer": "tokenization_x.Fast",
    }
    assert sorted(checkpoint.remote_code) == ["layers.py", "modeling_x.py", "tokenization_x.py"]
    assert checkpoint.problems == ()
