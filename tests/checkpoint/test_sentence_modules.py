from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.checkpoints.encoders import Sentence, write_sentence_files
from trueup.checkpoint.checkpoint import Problem, SentenceModules
from trueup.checkpoint.files import read_checkpoint
from trueup.checkpoint.sentence_modules import read_sentence_modules
from trueup.checkpoint.source import Source


def read(directory: Path) -> tuple[SentenceModules, tuple[Problem, ...]]:
    files = {
        path.relative_to(directory).as_posix(): path.stat().st_size
        for path in directory.rglob("*")
        if path.is_file()
    }
    modules, problems, _ = read_sentence_modules(directory, files)
    return modules, problems


def digest(directory: Path) -> str:
    source = Source(directory=directory, source=str(directory), revision=None, id="m")
    return read_checkpoint(source).digest


def test_without_a_list_of_modules_there_are_none(tmp_path: Path) -> None:
    (tmp_path / "sentence_bert_config.json").write_text("{}", encoding="utf-8")
    modules, problems = read(tmp_path)
    assert (modules.is_present, modules.modules, problems) == (False, (), ())


def test_modules_are_read_in_order_with_their_configs(tmp_path: Path) -> None:
    settings = Sentence(max_seq_length=128, prompts={"query": "q: "}, default_prompt="query")
    write_sentence_files(tmp_path, settings)
    modules, problems = read(tmp_path)
    assert problems == ()
    assert [(each.type, each.path) for each in modules.modules] == [
        ("Transformer", ""),
        ("Pooling", "1_Pooling"),
        ("Normalize", "2_Normalize"),
    ]
    assert modules.modules[1].config["pooling_mode_mean_tokens"] is True
    assert modules.transformer["max_seq_length"] == 128
    assert modules.settings["default_prompt_name"] == "query"


@pytest.mark.parametrize("content", ["{}", "[1]", "[", "", "null", "[" * 100_000])
def test_a_list_that_is_none_is_a_problem(content: str, tmp_path: Path) -> None:
    (tmp_path / "modules.json").write_text(content, encoding="utf-8")
    modules, problems = read(tmp_path)
    assert (modules.is_present, modules.modules) == (True, ())
    assert [(each.kind, each.path) for each in problems] == [("not_json", "modules.json")]


@pytest.mark.parametrize(
    "name",
    ["1_Pooling/config.json", "sentence_bert_config.json", "config_sentence_transformers.json"],
)
def test_a_broken_file_of_a_module_is_a_problem_by_its_name(name: str, tmp_path: Path) -> None:
    write_sentence_files(tmp_path, Sentence())
    (tmp_path / name).write_text("{", encoding="utf-8")
    _, problems = read(tmp_path)
    assert [(each.kind, each.path) for each in problems] == [("not_json", name)]


@pytest.mark.parametrize("path", ["../secret", "/etc", "a/../../secret"])
def test_a_path_out_of_the_directory_is_not_followed(path: str, tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "config.json").write_text('{"seen": true}', encoding="utf-8")
    entries = [{"type": "sentence_transformers.models.Pooling", "path": path}]
    (model / "modules.json").write_text(json.dumps(entries), encoding="utf-8")
    files = {"modules.json": 1, f"{path}/config.json": 1}
    modules, _, _ = read_sentence_modules(model, files)
    assert modules.modules[0].config == {}


def test_the_oldest_name_of_the_settings_is_known(tmp_path: Path) -> None:
    write_sentence_files(tmp_path, Sentence(max_seq_length=64))
    (tmp_path / "sentence_bert_config.json").rename(tmp_path / "sentence_roberta_config.json")
    modules, _ = read(tmp_path)
    assert modules.transformer["max_seq_length"] == 64


def test_another_pooling_is_another_checkpoint(tmp_path: Path) -> None:
    """A plan is not carried out on files that changed: these decide the vectors."""
    (tmp_path / "config.json").write_text('{"model_type": "bert"}', encoding="utf-8")
    write_sentence_files(tmp_path, Sentence(pooling="mean"))
    before = digest(tmp_path)
    write_sentence_files(tmp_path, Sentence(pooling="cls"))
    between = digest(tmp_path)
    write_sentence_files(tmp_path, Sentence(pooling="cls", prompts={"query": "q: "}))
    assert len({before, between, digest(tmp_path)}) == 3
