from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from tests.checkpoints.build import config_of, write_tokenizer
from tests.environments import python_for
from trueup.adapt.native.tokenizer import SPECIAL_TOKENS, build_tokenizer, save_tokenizer
from trueup.errors import CheckpointError

FAMILIES = ("chatglm2", "chatglm3", "glm4")
TEXTS = ["hello world", "", "sophisticated eops", "  你好\n\tx ", "<|user|></s>[gMASK]", "😀é"]
MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "你好"},
    {"role": "assistant", "content": "Hi.\nWhat now?"},
    {"role": "user", "content": "more"},
]
# What a saved tokenizer must keep, told by plain transformers of any release.
DESCRIBE = """
def describe(tokenizer, texts, messages):
    return {
        "batch": tokenizer(texts, padding=True)["input_ids"],
        "keys": sorted(tokenizer(texts[0])),
        "pair": tokenizer(texts[0], texts[3])["input_ids"],
        "plain": [tokenizer(text, split_special_tokens=True)["input_ids"] for text in texts],
        "chat": tokenizer.apply_chat_template(
            messages, tokenize=True, add_generation_prompt=True, return_dict=False
        ),
        "decoded": tokenizer.decode(tokenizer("a , b .")["input_ids"], skip_special_tokens=True),
        "settings": [tokenizer.padding_side, tokenizer.model_max_length, len(tokenizer)],
        "specials": [tokenizer.eos_token_id, tokenizer.pad_token_id, tokenizer.bos_token],
    }
"""
LOAD = f"""
import json, sys
from transformers import AutoTokenizer
{DESCRIBE}
folders, texts, messages = json.load(sys.stdin)
loaded = [AutoTokenizer.from_pretrained(folder) for folder in folders]
print(json.dumps([describe(tokenizer, texts, messages) for tokenizer in loaded]))
"""


def described(tokenizer: Any) -> Mapping[str, Any]:
    namespace: dict[str, Any] = {}
    exec(DESCRIBE, namespace)
    found = namespace["describe"](tokenizer, TEXTS, MESSAGES)
    assert isinstance(found, dict)
    return found


def built(family: Any, directory: Path, **config: Any) -> Any:
    write_tokenizer(family, directory)
    settings = json.loads((directory / "tokenizer_config.json").read_text(encoding="utf-8"))
    return build_tokenizer(
        family, directory, config=config_of(family) | config, tokenizer_config=settings
    )


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Mapping[str, Any]]]:
    """Each family's tokenizer, saved beside the config of the class that it serves."""
    folders = {}
    for family in FAMILIES:
        tokenizer = built(family, tmp_path_factory.mktemp(family))
        target = tmp_path_factory.mktemp(f"{family}-saved")
        save_tokenizer(tokenizer, target)
        config = {"model_type": "glm", "architectures": ["GlmForCausalLM"]}
        (target / "config.json").write_text(json.dumps(config), encoding="utf-8")
        folders[family] = target, described(tokenizer)
    return folders


@pytest.mark.parametrize("family", FAMILIES)
def test_a_saved_tokenizer_loads_with_plain_transformers(
    family: str, saved: dict[str, tuple[Path, Mapping[str, Any]]]
) -> None:
    folder, expected = saved[family]
    assert not list(folder.glob("*.py"))
    assert described(AutoTokenizer.from_pretrained(folder)) == expected


@pytest.mark.environment
@pytest.mark.parametrize("name", ["transformers-4.56", "transformers-4.57", "transformers-5.23"])
def test_a_saved_tokenizer_loads_with_every_supported_release(
    name: str, saved: dict[str, tuple[Path, Mapping[str, Any]]]
) -> None:
    folders = [str(folder) for folder, _ in saved.values()]
    done = subprocess.run(
        [python_for(name), "-c", LOAD],
        input=json.dumps([folders, TEXTS, MESSAGES]),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [expected for _, expected in saved.values()]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_word_that_contains_a_special_tokens_old_name_is_a_word(
    family: str, tmp_path: Path
) -> None:
    tokenizer = built(family, tmp_path)
    ids = tokenizer("sop eop sophisticated", add_special_tokens=False).input_ids
    assert not set(ids) & set(tokenizer.get_added_vocab().values())


def test_glm4_takes_the_special_tokens_that_the_checkpoint_lists(tmp_path: Path) -> None:
    write_tokenizer("glm4", tmp_path)
    names = [*SPECIAL_TOKENS["glm4"], "<|code_prefix|>"]
    first = 554
    listed = {str(first + at): {"content": name} for at, name in enumerate(names)}
    tokenizer = build_tokenizer(
        "glm4", tmp_path, config={}, tokenizer_config={"added_tokens_decoder": listed}
    )
    assert tokenizer.convert_tokens_to_ids("<|code_prefix|>") == first + 14
    without = build_tokenizer("glm4", tmp_path, config={}, tokenizer_config={})
    assert without.convert_tokens_to_ids("<|end_of_video|>") == first + 13


def test_special_tokens_that_leave_a_gap_are_an_error(tmp_path: Path) -> None:
    write_tokenizer("glm4", tmp_path)
    listed = {"554": {"content": "<|endoftext|>"}, "560": {"content": "[gMASK]"}}
    with pytest.raises(CheckpointError) as caught:
        build_tokenizer(
            "glm4", tmp_path, config={}, tokenizer_config={"added_tokens_decoder": listed}
        )
    assert "added_tokens_decoder" in str(caught.value.where)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_missing_vocabulary_is_named_with_what_to_do(family: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"`tokenizer.model`, .* is missing") as caught:
        build_tokenizer(family, tmp_path, config={}, tokenizer_config={})
    assert caught.value.where == str(tmp_path)
    assert "tokenizer.model" in str(caught.value.hint)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_git_lfs_pointer_is_no_vocabulary(family: str, tmp_path: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1018370\n"
    (tmp_path / "tokenizer.model").write_text(pointer, encoding="ascii")
    with pytest.raises(CheckpointError, match="Git LFS pointer") as caught:
        build_tokenizer(family, tmp_path, config={}, tokenizer_config={})
    assert "git lfs pull" in str(caught.value.hint)


@pytest.mark.parametrize(("family", "other"), [("glm4", "chatglm3"), ("chatglm3", "glm4")])
def test_another_familys_vocabulary_is_an_error(family: Any, other: Any, tmp_path: Path) -> None:
    for name in (family, other):
        (tmp_path / name).mkdir()
        write_tokenizer(name, tmp_path / name)
    shutil.copyfile(tmp_path / other / "tokenizer.model", tmp_path / family / "tokenizer.model")
    with pytest.raises(CheckpointError, match="is not a complete"):
        build_tokenizer(family, tmp_path / family, config={}, tokenizer_config={})


@pytest.mark.parametrize("family", FAMILIES)
def test_a_vocabulary_larger_than_the_embeddings_is_an_error(family: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"config.json has embeddings for 500"):
        built(family, tmp_path, padded_vocab_size=500)
