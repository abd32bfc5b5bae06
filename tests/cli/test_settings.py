from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.cli.test_serve import settings
from trueup.config.settings import ApiKey, BackendSettings, ModelSettings
from trueup.errors import UsageError

CONFIG = """
config_version: 1
models: {glm: {source: demo}}
backends: {xin: {url: "http://h"}}
roles: {talk: {chain: [glm, xin]}}
aliases: {gpt-4o: talk}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "c.yaml"
    path.write_text(CONFIG)
    return path


def test_with_a_backend_and_no_model_the_demo_is_not_served() -> None:
    got = settings("--backend", "x=http://h,preset=vllm")
    assert got.models == ()
    assert got.backends == (BackendSettings(name="x", url="http://h", preset="vllm"),)


def test_a_model_may_be_served_beside_a_backend() -> None:
    got = settings("demo", "--backend", "x=http://h", "--backend", "y=http://h")
    assert got.models == (ModelSettings(name=None, source="demo"),)
    assert [each.name for each in got.backends] == ["x", "y"]


def test_backends_of_flags_stand_beside_those_of_the_file(path: Path) -> None:
    got = settings("--config", str(path), "--backend", "y=http://g")
    assert [each.name for each in got.backends] == ["xin", "y"]
    assert [each.name for each in got.models] == ["glm"]


def test_a_backend_of_a_flag_replaces_that_of_the_file(path: Path) -> None:
    got = settings("--config", str(path), "--backend", "xin=http://g")
    assert got.backends == (BackendSettings(name="xin", url="http://g"),)


@pytest.mark.parametrize(
    ("name", "what"),
    [("glm", "a model"), ("talk", "a role"), ("gpt-4o", "an alias")],
)
def test_a_name_of_the_file_is_no_name_for_a_backend(name: str, what: str, path: Path) -> None:
    with pytest.raises(UsageError, match=f"`{name}` is {what} of the configuration") as caught:
        settings("--config", str(path), "--backend", f"{name}=http://g")
    assert caught.value.where == "--backend"
    assert caught.value.hint == "give the server another name: --backend NAME=http://g"


def test_a_file_with_backends_alone_serves_no_demo(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text('config_version: 1\nbackends: {xin: {url: "http://h"}}')
    assert settings("--config", str(path)).models == ()


def test_the_key_of_the_environment_keeps_the_profile_that_the_file_gives_it(
    tmp_path: Path,
) -> None:
    digest = hashlib.sha256(b"one")
    path = tmp_path / "c.yaml"
    path.write_text(
        "config_version: 1\nserver: {api_keys: "
        f"[{{name: a, profile: langchain-chatchat, sha256: '{digest.hexdigest()}'}}]}}"
    )
    got = settings("--config", str(path), environ={"TRUEUP_API_KEY": "one"})
    assert got.server.api_keys == (
        ApiKey(sha256=digest.digest(), name="a", profile="langchain-chatchat"),
    )
