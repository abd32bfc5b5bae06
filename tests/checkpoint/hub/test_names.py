"""Ids that do not exist, and the real one that was meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.checkpoint.hub.models import model
from tests.hub_server import HubServer
from trueup.checkpoint.hub.identifier import NAME
from trueup.checkpoint.hub.names import WELL_KNOWN, nearest, search_words
from trueup.checkpoint.source import resolve
from trueup.errors import HubError


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        # an owner that was renamed
        ("THUDM/chatglm2-6b", "zai-org/chatglm2-6b"),
        ("thudm/glm-4-9b-chat", "zai-org/glm-4-9b-chat"),
        ("CohereForAI/aya-expanse-8b", "CohereLabs/aya-expanse-8b"),
        # no owner
        ("Qwen2-7B", "Qwen/Qwen2-7B"),
        ("codebert-base", "microsoft/codebert-base"),
        ("Kronos-base", "NeoQuasar/Kronos-base"),
        ("gpt2", "openai-community/gpt2"),
        # case and punctuation
        ("qwen/qwen2.5-7b-instruct", "Qwen/Qwen2.5-7B-Instruct"),
        ("Qwen/Qwen25-7B-Instruct", "Qwen/Qwen2.5-7B-Instruct"),
        ("baai/BGE_M3", "BAAI/bge-m3"),
        # the words in another order
        ("mistralai/Mistral-7B-v0.3-Instruct", "mistralai/Mistral-7B-Instruct-v0.3"),
        # another variant
        ("Qwen/Qwen2-7B-Base", "Qwen/Qwen2-7B"),
        ("microsoft/Phi-4-mini", "microsoft/Phi-4-mini-instruct"),
        ("deepseek-ai/deepseek-llm-7b", "deepseek-ai/deepseek-llm-7b-base"),
        ("google/gemma-2-2b-instruct", "google/gemma-2-2b-it"),
        # a word too few
        ("meta-llama/Llama-3-8B", "meta-llama/Meta-Llama-3-8B"),
        ("THUDM/chatglm3", "zai-org/chatglm3-6b"),
        # typos
        ("NeoQuaser/Kronos-bse", "NeoQuasar/Kronos-base"),
        ("Qwen/Qwne2.5-7B-Instruct", "Qwen/Qwen2.5-7B-Instruct"),
        ("baichuan-inc/Baichuan2-7B-Chta", "baichuan-inc/Baichuan2-7B-Chat"),
    ],
)
def test_the_id_that_was_meant_comes_first(cache: Path, asked: str, meant: str) -> None:
    assert nearest(asked)[0] == meant


@pytest.mark.parametrize("asked", ["foo/bar", "models/checkpoint-300", "my-company/secret"])
def test_nothing_is_suggested_for_what_is_like_nothing(cache: Path, asked: str) -> None:
    assert nearest(asked) == []


def test_a_real_id_that_is_not_here_is_not_taken_for_a_mistake(cache: Path) -> None:
    assert nearest("Qwen/Qwen2-7B") == []
    (cache / "models--Qwen--Qwen2-7B-Instruct" / "snapshots").mkdir(parents=True)
    assert nearest("Qwen/Qwen2-7B") == ["Qwen/Qwen2-7B-Instruct"]


def test_at_equal_distance_what_the_cache_has_comes_before_what_the_hub_found(
    cache: Path,
) -> None:
    (cache / "models--b--thing-7b" / "snapshots").mkdir(parents=True)
    assert nearest("thing-7B", found=["a/thing-7b"]) == ["b/thing-7b", "a/thing-7b"]


def test_the_list_holds_ids_each_once() -> None:
    lines = [
        line
        for line in WELL_KNOWN.read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#") and "->" not in line
    ]
    assert len(lines) > 700
    assert len({line.lower() for line in lines}) == len(lines)
    assert all(NAME.fullmatch(line) and "/" in line for line in lines)


def test_the_search_is_asked_for_the_name_and_then_for_its_family() -> None:
    assert search_words("Qwen/Qwen2-7B-Base") == ["Qwen2-7B-Base", "Qwen2-7B"]


def test_what_the_hub_finds_is_suggested(hub: HubServer) -> None:
    hub.add("new-org/brand-new-7b", model())
    with pytest.raises(HubError) as caught:
        resolve("brand-new-7b-chat")
    assert caught.value.hint == "did you mean `new-org/brand-new-7b`?"


def test_a_search_that_fails_leaves_the_list(hub: HubServer) -> None:
    hub.fail("search=", status=500)
    with pytest.raises(HubError) as caught:
        resolve("THUDM/chatglm2-6b")
    assert str(caught.value.hint).startswith("did you mean `zai-org/chatglm2-6b`")


def test_a_directory_here_with_nearly_this_name_is_told_too(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my-model-7b").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(HubError) as caught:
        resolve("my-model_7b")
    assert "there is `my-model-7b`" in str(caught.value.hint)
