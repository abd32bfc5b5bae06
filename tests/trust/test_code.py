from pathlib import Path
from typing import Any

import pytest

from tests.checkpoint.directories import read
from tests.trust.models import CONFIG, FILES, cache, cached, model
from trueup.errors import CheckpointError
from trueup.trust.code import read_code

__all__ = ["cache"]


def names(directory: Path, files: dict[str, Any]) -> list[str]:
    return [file.name for file in read_code(read(directory, files)).files]


def test_code_is_what_the_configs_name_and_what_that_imports(tmp_path: Path) -> None:
    assert names(tmp_path, FILES) == ["configuration_x.py", "modeling_x.py", "rope.py"]


def test_every_config_and_every_part_of_one_can_name_code(tmp_path: Path) -> None:
    files = {
        "config.json": {"vision_config": {"auto_map": {"AutoModel": "vision_x.V"}}},
        "tokenizer_config.json": {"auto_map": ["tok_x.T", "fast_x.F"]},
        "processor_config.json": {"auto_map": {"AutoProcessor": ["proc_x.P", None]}},
        "preprocessor_config.json": {"auto_map": {"AutoImageProcessor": "image_x.I"}},
        **{f"{name}.py": "" for name in ("vision_x", "tok_x", "fast_x", "proc_x", "image_x")},
        "model.safetensors": b"x",
    }
    expected = ["fast_x.py", "image_x.py", "proc_x.py", "tok_x.py", "vision_x.py"]
    assert names(tmp_path, files) == expected


def test_a_function_for_generating_runs_though_no_config_names_it(tmp_path: Path) -> None:
    files = {
        "config.json": {"model_type": "llama"},
        "custom_generate/generate.py": "from .steps import step\n",
        "custom_generate/steps.py": "def step(): return 1\n",
        "custom_generate/requirements.txt": "torch\n",
    }
    assert names(tmp_path, files) == ["custom_generate/generate.py", "custom_generate/steps.py"]


def test_a_model_without_code_has_none(tmp_path: Path) -> None:
    code = read_code(read(tmp_path, {"config.json": {"model_type": "llama"}}))
    assert (code.files, code.missing) == ((), ())


def test_the_hash_is_that_of_the_content_wherever_it_lies(tmp_path: Path) -> None:
    first = read_code(model(tmp_path / "a")).digest
    assert read_code(model(tmp_path / "b")).digest == first
    assert read_code(model(tmp_path / "c", train="x = 1\n")).digest == first
    assert read_code(model(tmp_path / "d", rope="class Rope: x = 1\n")).digest != first


def test_the_same_content_under_another_name_is_other_code(tmp_path: Path) -> None:
    one = {"config.json": {"auto_map": {"AutoModel": "a.X"}}, "a.py": "x = 1\n"}
    two = {"config.json": {"auto_map": {"AutoModel": "b.X"}}, "b.py": "x = 1\n"}
    digests = {read_code(read(tmp_path / n, f)).digest for n, f in (("1", one), ("2", two))}
    assert len(digests) == 2


def test_what_is_named_and_not_there_is_told(tmp_path: Path) -> None:
    assert read_code(model(tmp_path, modeling_x="from .gone import y\n")).missing == ("gone.py",)


FOREIGN = {**CONFIG, "auto_map": {"AutoModel": "org/base--modeling_b.B", "AutoConfig": "conf.C"}}


def test_code_of_another_repository_is_read_from_the_cache(tmp_path: Path, cache: Path) -> None:
    cached(cache, "org/base", {"modeling_b.py": "from .more import m\n", "more.py": ""})
    files = {"config.json": FOREIGN, "conf.py": ""}
    expected = ["conf.py", "org/base: modeling_b.py", "org/base: more.py"]
    assert names(tmp_path / "m", files) == expected


def test_code_of_a_repository_that_cannot_be_had_is_an_error_with_a_command(
    tmp_path: Path, cache: Path
) -> None:
    with pytest.raises(CheckpointError, match="`org/base`, which cannot be had") as caught:
        names(tmp_path / "m", {"config.json": FOREIGN, "conf.py": ""})
    assert caught.value.hint == "hf download org/base --include '*.py'"


@pytest.mark.parametrize("repository", ["..", "../x", ".hidden/x", "a/b/c", "/etc", "a b/c"])
def test_what_is_no_hub_id_is_never_followed(tmp_path: Path, cache: Path, repository: str) -> None:
    config = {"auto_map": {"AutoModel": f"{repository}--a.B"}}
    with pytest.raises(CheckpointError, match="no hub id"):
        names(tmp_path / "m", {"config.json": config})


def test_a_folder_that_is_named_like_the_other_repository_is_not_taken_for_it(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached(cache, "org/base", {"modeling_b.py": ""})
    (tmp_path / "org" / "base").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match="a folder of that name"):
        names(tmp_path / "m", {"config.json": FOREIGN, "conf.py": ""})


def test_code_that_cannot_be_looked_at_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"rope\.py.*larger than"):
        read_code(model(tmp_path, rope="#" * (2 * 1024 * 1024 + 1)))


def test_code_that_does_not_parse_is_kept_as_such(tmp_path: Path) -> None:
    code = read_code(model(tmp_path, rope="print 'python 2'\n"))
    assert [file.name for file in code.files if file.module.tree is None] == ["rope.py"]
