import os
from pathlib import Path

import pytest

from trueup.environment import library_models as tables
from trueup.environment.library_models import library_models, read_library_models

OLD_CONFIG = """
CONFIG_MAPPING_NAMES = OrderedDict(
    [
        # comment
        ("llama", "LlamaConfig"),
        ("bert", "BertConfig"),
    ]
)
OTHER = OrderedDict([("nope", "Nope")])
"""
MODELS = """
MODEL_MAPPING_NAMES = OrderedDict([("bert", "BertModel")])
MODEL_FOR_CAUSAL_LM_MAPPING_NAMES = OrderedDict([("llama", "LlamaForCausalLM")])
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRUEUP_HOME", str(tmp_path / "home"))
    folder = tmp_path / "transformers" / "models" / "auto"
    folder.mkdir(parents=True)
    (folder / "configuration_auto.py").write_text(OLD_CONFIG)
    (folder / "modeling_auto.py").write_text(MODELS)
    return folder


def test_the_tables_of_4_are_read(folder: Path) -> None:
    assert read_library_models(folder) == {"llama": "LlamaForCausalLM", "bert": None}


def test_the_tables_of_5_are_joined_from_their_parts(folder: Path) -> None:
    (folder / "auto_mappings.py").write_text(OLD_CONFIG)
    (folder / "configuration_auto.py").write_text(
        "from .auto_mappings import CONFIG_MAPPING_NAMES\n"
        'CONFIG_MAPPING_NAMES.update({"glm": "GlmConfig"})\n'
        'CONFIG_MAPPING_NAMES = OrderedDict(**{"gpt-sw3": "GPT2Config"}, **CONFIG_MAPPING_NAMES)\n'
    )
    (folder / "modeling_auto.py").write_text(
        'MODEL_FOR_CAUSAL_LM_MAPPING_NAMES = OrderedDict([("glm", ("GlmForCausalLM", "Other"))])\n'
    )
    assert read_library_models(folder) == {
        "llama": None,
        "bert": None,
        "glm": "GlmForCausalLM",
        "gpt-sw3": None,
    }


def test_the_answer_is_kept_until_a_file_changes(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = folder.parent.parent
    first = library_models(package, "4.0")
    with monkeypatch.context() as patched:
        patched.setattr(tables, "read_library_models", lambda _: pytest.fail("not kept"))
        assert library_models(package, "4.0") == first
    (folder / "modeling_auto.py").write_text(MODELS.replace("llama", "glm"))
    os.utime(folder / "modeling_auto.py", (1, 1))
    assert "glm" in library_models(package, "4.0")


def test_a_broken_cache_is_made_again(folder: Path, tmp_path: Path) -> None:
    package = folder.parent.parent
    first = library_models(package, "4.0")
    (cache,) = (tmp_path / "home" / "cache").iterdir()
    cache.write_text("{")
    assert library_models(package, "4.0") == first


def test_a_home_that_cannot_be_written_costs_time_only(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TRUEUP_HOME", str(tmp_path / "file" / "home"))
    assert library_models(folder.parent.parent, "4.0")["llama"] == "LlamaForCausalLM"


@pytest.mark.parametrize("content", ["def (", "X = 1", "CONFIG_MAPPING_NAMES = other()"])
def test_sources_of_another_shape_give_nothing(folder: Path, content: str) -> None:
    for path in folder.iterdir():
        path.write_text(content)
    assert read_library_models(folder) == {}


def test_what_is_read_is_what_the_installed_library_says() -> None:
    import transformers
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    models = read_library_models(Path(transformers.__file__).parent / "models" / "auto")
    assert set(CONFIG_MAPPING_NAMES) <= set(models)
    for model_type, name in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.items():
        assert models[model_type] == (name if isinstance(name, str) else name[0])
