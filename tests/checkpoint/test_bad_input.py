"""Directories that nobody should make: each is a finding or a clear error, and soon."""

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.checkpoint.directories import CONFIG, kinds, read, safetensors, write
from tests.doctor.facts import environment
from trueup.adapt.planning import plan_with_facts
from trueup.checkpoint.files import read_checkpoint
from trueup.checkpoint.regular import open_regular
from trueup.checkpoint.source import resolve
from trueup.cli.main import main
from trueup.doctor.examine import examine
from trueup.doctor.time_limit import time_limit, usual_limit
from trueup.errors import CheckpointError

WHOLE = {"config.json": CONFIG, "model.safetensors": safetensors("a")}
AUTO = {**CONFIG, "auto_map": {"AutoModel": "modeling_x.Model"}}


@pytest.fixture(autouse=True)
def no_hang() -> Iterator[None]:
    """End a test that waits for ever; none of them takes long."""
    signal.alarm(120)
    yield
    signal.alarm(0)


def nested(depth: int) -> str:
    return '{"model_type": "llama", "a": ' + '{"a":' * depth + "1" + "}" * depth + "}"


@pytest.mark.parametrize("depth", [100, 300, 900, 10_000, 100_000])
def test_deep_json_is_a_problem_and_no_walk_of_rules_fails(tmp_path: Path, depth: int) -> None:
    checkpoint = read(tmp_path, {**WHOLE, "config.json": nested(depth)})
    assert kinds(checkpoint) == [("not_json", "config.json")]
    examine(checkpoint, environment())


def test_json_that_is_as_deep_as_configs_are_is_read(tmp_path: Path) -> None:
    checkpoint = read(tmp_path, {**WHOLE, "config.json": nested(90)})
    assert kinds(checkpoint) == []
    examine(checkpoint, environment())


def test_brackets_in_texts_are_no_depth(tmp_path: Path) -> None:
    checkpoint = read(tmp_path, {**WHOLE, "config.json": {**CONFIG, "a": "{[" * 5000}})
    assert kinds(checkpoint) == []


def test_a_config_of_a_million_keys_is_read(tmp_path: Path) -> None:
    config = {**CONFIG, **{f"key{number}": number for number in range(1_000_000)}}
    checkpoint = read(tmp_path, {**WHOLE, "config.json": config})
    assert len(checkpoint.config) == 1_000_002
    assert kinds(checkpoint) == []
    examine(checkpoint, environment())


def test_a_huge_python_file_is_not_read(tmp_path: Path) -> None:
    write(tmp_path, {**WHOLE, "config.json": AUTO})
    with (tmp_path / "modeling_x.py").open("wb") as file:
        file.truncate(50 * 1024 * 1024)
    checkpoint = read_checkpoint(resolve(str(tmp_path)))
    assert kinds(checkpoint) == [("python_syntax", "modeling_x.py")]
    assert "larger than" in checkpoint.problems[0].detail


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer.model"])
@pytest.mark.parametrize("target", ["/dev/zero", "pipe", "loop", "nothing", "."])
def test_links_to_what_is_no_file_are_not_waited_for(
    tmp_path: Path, name: str, target: str
) -> None:
    write(tmp_path, {key: content for key, content in WHOLE.items() if key != name})
    os.mkfifo(tmp_path / "pipe")
    os.symlink("loop", tmp_path / "loop")
    os.symlink(target, tmp_path / name)
    checkpoint = read_checkpoint(resolve(str(tmp_path)))
    assert ("unreadable", name) in kinds(checkpoint)
    assert "DIR111" in [each.code for each in examine(checkpoint, environment())]


@pytest.mark.parametrize(
    ("target", "kind", "detail"),
    [
        ("/dev/zero", "unreadable", "it is a device, expected a file"),
        ("modeling_x.py", "unreadable", "Too many levels of symbolic links"),
        (".", "unreadable", "it is a directory, expected a file"),
        ("nothing", "absent", "asked for by config.json"),
    ],
)
def test_code_that_links_to_what_is_no_file_says_to_what(
    tmp_path: Path, target: str, kind: str, detail: str
) -> None:
    write(tmp_path, {**WHOLE, "config.json": AUTO})
    os.symlink(target, tmp_path / "modeling_x.py")
    checkpoint = read_checkpoint(resolve(str(tmp_path)))
    assert kinds(checkpoint) == [(kind, "modeling_x.py")]
    assert checkpoint.problems[0].detail == detail
    code = "DIR111" if kind == "unreadable" else "DIR112"
    assert code in [each.code for each in examine(checkpoint, environment())]


def test_folders_that_link_to_each_other_are_not_followed(tmp_path: Path) -> None:
    write(tmp_path, {**WHOLE, "inner/notes.txt": "x"})
    os.symlink("..", tmp_path / "inner" / "up")
    assert kinds(read_checkpoint(resolve(str(tmp_path)))) == []


def test_names_with_newlines_stay_on_their_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "model\nerror: all is well\x1b[31m.safetensors"
    write(tmp_path / "m", {"config.json": CONFIG, name: safetensors("a", missing_bytes=1)})
    assert main(["check", str(tmp_path / "m")]) == 1
    shown = capsys.readouterr().out
    assert not any(line.startswith("error: all") for line in shown.splitlines())
    assert "\x1b" not in shown


@pytest.mark.parametrize("content", [b"\0" * 100, b"\xff" * 100, b"[" * 100, b"{}", b"null", b""])
@pytest.mark.parametrize(
    "name",
    ["config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json",
     "chat_template.jinja", "adapter_config.json", "adapter_model.safetensors", "m.gguf",
     "special_tokens_map.json", "added_tokens.json", "vocab.json", "modules.json",
     "model.safetensors", "model.safetensors.index.json", "net.py"],
)  # fmt: skip
def test_no_content_of_any_file_ends_in_a_traceback(
    tmp_path: Path, name: str, content: bytes
) -> None:
    for others in (WHOLE, {}):
        directory = tmp_path / str(len(others))
        write(directory, {"tokenizer.model": b"\n", **others, name: content})
        examine(read_checkpoint(resolve(str(directory))), environment())


ODD: tuple[Any, ...] = (None, True, -1, 0.5, "x", [], [1, None], {}, {"a": [None]}, 10**30)


@pytest.mark.parametrize("value", ODD, ids=str)
def test_no_value_of_any_key_ends_in_a_traceback(tmp_path: Path, value: Any) -> None:
    keys = (
        "model_type", "architectures", "auto_map", "quantization_config", "eos_token_id",
        "vocab_size", "num_hidden_layers", "_trueup_guessed", "torch_dtype",
    )  # fmt: skip
    write(
        tmp_path,
        {
            **WHOLE,
            "config.json": dict.fromkeys(keys, value),
            "generation_config.json": dict.fromkeys(
                ("eos_token_id", "temperature", "early_stopping", "num_beams", "max_new_tokens",
                 "num_return_sequences", "do_sample"), value),
            "tokenizer_config.json": dict.fromkeys(
                ("chat_template", "eos_token", "tokenizer_class", "added_tokens_decoder"), value),
            "tokenizer.json": dict.fromkeys(("model", "added_tokens"), value),
            "adapter_config.json": dict.fromkeys(
                ("peft_type", "base_model_name_or_path", "target_modules"), value),
        },
    )  # fmt: skip
    checkpoint = read_checkpoint(resolve(str(tmp_path)))
    found = examine(checkpoint, environment())
    json.dumps([each.as_dict() for each in found])
    write(tmp_path, {"config.json": {**CONFIG, "quantization_config": {"quant_method": value}}})
    examine(read_checkpoint(resolve(str(tmp_path))), environment())


def test_only_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, told in (("pipe", "a pipe"), (".", "a directory")):
        with pytest.raises(OSError, match=told):
            open_regular(tmp_path / name)


@pytest.mark.parametrize(
    "words", [["check", "--timeout", "0.05"], ["check", "--matrix", "--timeout", "0.05"], ["plan"]]
)
def test_a_check_that_takes_too_long_is_given_up(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
) -> None:
    monkeypatch.setattr("trueup.cli.report.model_report", endless)
    monkeypatch.setattr("trueup.doctor.matrix.row_of", endless)
    monkeypatch.setattr("trueup.cli.plan.CHECK_SECONDS", 0.05)
    assert main([*words, str(write(tmp_path, WHOLE))]) == 1
    shown = " ".join("".join(capsys.readouterr()).split())  # a matrix tells it in the model's row
    assert "took more than 0.05 s" in shown
    assert "--timeout" in shown


def endless(*_: object, **__: object) -> None:
    while True:
        with contextlib.suppress(Exception):
            sum(range(100))


@pytest.mark.parametrize("is_thread", [False, True])
def test_whoever_makes_a_plan_gives_up_as_a_check_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_thread: bool
) -> None:
    monkeypatch.setattr("trueup.adapt.planning.examine", endless)
    monkeypatch.setattr("trueup.doctor.time_limit.CHECK_SECONDS", 0.05)
    model = str(write(tmp_path, WHOLE))

    def looked() -> None:
        if is_thread:
            asyncio.run(asyncio.to_thread(plan_with_facts, model))
        plan_with_facts(model)

    with pytest.raises(CheckpointError, match=r"took more than 0\.05 s"):
        looked()


def test_trust_gives_up_as_a_check_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("trueup.cli.trust.read_code", endless)
    monkeypatch.setattr("trueup.cli.trust.CHECK_SECONDS", 0.05)
    assert main(["trust", str(write(tmp_path, WHOLE))]) == 1
    assert "took more than 0.05 s" in capsys.readouterr().err


def test_a_limit_that_was_set_is_not_cut_short_by_the_usual_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("trueup.doctor.time_limit.CHECK_SECONDS", 0.01)
    with time_limit(60, "model"), usual_limit("model"):
        ends = time.monotonic() + 0.1
        while time.monotonic() < ends:
            pass


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf"])
def test_a_time_limit_is_a_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], seconds: str
) -> None:
    assert main(["check", str(write(tmp_path, WHOLE)), f"--timeout={seconds}"]) == 2
    assert "is no time limit" in capsys.readouterr().err
