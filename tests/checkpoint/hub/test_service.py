"""Which hub is asked: Hugging Face, or ModelScope by the switches that the field has for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.checkpoint.hub.models import model
from tests.hub_server import HubServer
from trueup.checkpoint.files import read_checkpoint
from trueup.checkpoint.hub.service import (
    HUGGING_FACE,
    MODELSCOPE,
    SWITCHES,
    XINFERENCE_SWITCH,
    current,
    offline_variable,
)
from trueup.checkpoint.source import cached_ids, complete, hub_cache, resolve
from trueup.errors import HubError

NAME = "org/name"


@pytest.fixture
def modelscope(hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HubServer:
    monkeypatch.setenv("USE_MODELSCOPE_HUB", "1")
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "modelscope"))
    monkeypatch.setenv("MODELSCOPE_ENDPOINT", hub.url)
    monkeypatch.delenv("MODELSCOPE_API_TOKEN", raising=False)
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.invalid")
    return hub


@pytest.mark.parametrize(
    ("variable", "value", "is_switched"),
    [
        ("USE_MODELSCOPE_HUB", "1", True),
        ("USE_MODELSCOPE_HUB", "0", False),
        ("VLLM_USE_MODELSCOPE", "True", True),
        ("VLLM_USE_MODELSCOPE", "False", False),
        ("SGLANG_USE_MODELSCOPE", "true", True),
        ("XINFERENCE_MODEL_SRC", "modelscope", True),
        ("XINFERENCE_MODEL_SRC", "huggingface", False),
        ("USE_MODELSCOPE_HUB", "", False),
    ],
)
def test_every_switch_of_the_field_is_honoured(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, is_switched: bool
) -> None:
    for name in (*SWITCHES, XINFERENCE_SWITCH):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, value)
    assert current() is (MODELSCOPE if is_switched else HUGGING_FACE)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, None),
        ({"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE"),
        ({"HF_HUB_OFFLINE": "0", "TRANSFORMERS_OFFLINE": "1"}, None),
        ({"TRANSFORMERS_OFFLINE": "yes"}, "TRANSFORMERS_OFFLINE"),
        ({"HF_HUB_OFFLINE": "false"}, None),
    ],
)
def test_the_variable_that_forbids_the_network_is_named(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: str | None
) -> None:
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert offline_variable() == expected


def test_a_domain_without_a_scheme_is_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MODELSCOPE_ENDPOINT", raising=False)
    monkeypatch.setenv("MODELSCOPE_DOMAIN", "www.modelscope.cn/")
    assert MODELSCOPE.address() == "https://www.modelscope.cn"


def test_modelscope_is_looked_at_and_downloaded_from_into_its_own_folder(
    modelscope: HubServer, tmp_path: Path
) -> None:
    files = model()
    modelscope.add(NAME, files, branch="master")
    source = resolve(NAME)
    assert sorted(read_checkpoint(source).weights.tensors) == ["a", "b"]
    assert hub_cache().is_relative_to(tmp_path / "modelscope")
    assert source.directory.is_relative_to(hub_cache())
    assert source.revision is not None
    assert len(source.revision) == 40
    whole = complete(source)
    assert (whole.directory / "model.safetensors").read_bytes() == files["model.safetensors"]
    modelscope.requests.clear()
    assert resolve(NAME).remote is None
    assert modelscope.requests == []
    assert cached_ids() == [NAME]


def test_another_content_of_a_branch_is_another_revision(modelscope: HubServer) -> None:
    modelscope.add(NAME, model(), branch="master")
    first = resolve(NAME)
    modelscope.add(NAME, model(**{"config.json": {"model_type": "newer"}}), branch="master")
    second = resolve(NAME)
    assert first.revision != second.revision
    assert read_checkpoint(second).model_type == "newer"


def test_modelscope_is_shown_its_token(
    modelscope: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_other")
    monkeypatch.setenv("MODELSCOPE_API_TOKEN", "ms-known")
    modelscope.add(NAME, model(), branch="master")
    resolve(NAME)
    assert {each.authorization for each in modelscope.requests} == {"Bearer ms-known"}


@pytest.mark.parametrize(
    ("status", "said"),
    [(403, "MODELSCOPE_API_TOKEN"), (429, "MODELSCOPE_API_TOKEN"), (502, "MODELSCOPE_ENDPOINT")],
)
def test_failures_of_modelscope_name_its_own_variables(
    modelscope: HubServer, status: int, said: str
) -> None:
    modelscope.fail("/api/v1", status=status)
    with pytest.raises(HubError) as caught:
        resolve(NAME)
    assert said in str(caught.value.hint)


def test_what_modelscope_does_not_have_is_said_with_what_has_the_same_owner(
    modelscope: HubServer,
) -> None:
    with pytest.raises(HubError) as caught:
        resolve("qwen/Qwen2-7B-Base")
    assert caught.value.kind == "missing"
    assert modelscope.url in caught.value.cause
    assert str(caught.value.hint).startswith("did you mean `Qwen/Qwen2-7B`")
    with pytest.raises(HubError) as caught:
        resolve("ZhipuAI/chatglm2-6b")  # its owner there: Hugging Face's would mislead
    assert "zai-org" not in str(caught.value.hint)


def test_the_revisions_of_modelscope_are_offered(modelscope: HubServer) -> None:
    modelscope.add(NAME, model(), branch="master")
    with pytest.raises(HubError) as caught:
        resolve(f"{NAME}@mastr")
    assert caught.value.hint == "it has `master`"
