from __future__ import annotations

import argparse

import pytest

from trueup.cli import serve
from trueup.cli.backend_flag import backends_of
from trueup.cli.settings import settings_of
from trueup.config.secret import Secret
from trueup.config.settings import BackendSettings, Settings
from trueup.errors import ConfigError, UsageError


def test_a_name_and_a_url_are_enough() -> None:
    (backend,) = backends_of(["xin=http://127.0.0.1:9997"], {})
    assert backend == BackendSettings(name="xin", url="http://127.0.0.1:9997")


def test_more_may_be_said_after_commas() -> None:
    (backend,) = backends_of(
        ["x=https://h/v1,preset=vllm,model=org/m,kind=embedding,api_key_env=X_KEY"],
        {"X_KEY": "secret"},
    )
    assert backend == BackendSettings(
        name="x",
        url="https://h/v1",
        preset="vllm",
        model="org/m",
        kind="embedding",
        api_key=Secret("secret"),
    )


def test_a_name_that_is_a_preset_is_that_preset() -> None:
    named, said = backends_of(["ollama=http://h", "vllm=http://h,preset=sglang"], {})
    assert (named.preset, said.preset) == ("ollama", "sglang")


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "no `NAME=URL`"),
        ("xin", "no `NAME=URL`"),
        ("http://h", "no `NAME=URL`"),
        ("=http://h", "no `NAME=URL`"),
        ("a b=http://h", "no `NAME=URL`"),
        ("x=h:80", "no `NAME=URL`"),
        ("x=http://[", "no `NAME=URL`"),
        ("x=http://h,preset=vlm", "no preset is called `vlm`"),
        ("x=http://h,preset", "says nothing"),
        ("x=http://h,model=", "says nothing"),
        ("x=http://h,key=1", "says nothing"),
        ("x=http://h,kind=text", "no kind is called `text`"),
    ],
)
def test_what_cannot_be_meant_is_told(text: str, cause: str) -> None:
    with pytest.raises(UsageError, match=cause):
        backends_of([text], {})


@pytest.mark.parametrize("word", ["api_key=hush", "key=hush", "hush"])
def test_a_key_on_the_command_line_is_not_repeated(word: str) -> None:
    with pytest.raises(UsageError) as raised:
        backends_of([f"x=http://h,{word}"], {})
    assert "hush" not in str(raised.value)
    if "=" in word:
        assert "api_key_env=VARIABLE" in (raised.value.hint or "")


@pytest.mark.parametrize("url", ["http://u:hush@h", "http://h/v1?key=hush"])
def test_a_key_in_a_url_of_the_command_line_is_told_where_it_belongs(url: str) -> None:
    with pytest.raises(UsageError) as raised:
        backends_of([f"x={url}"], {})
    assert "hush" not in str(raised.value)
    assert "api_key_env=VARIABLE" in (raised.value.hint or "")


def test_two_servers_of_one_name_are_told() -> None:
    with pytest.raises(UsageError, match="two servers are called `x`"):
        backends_of(["x=http://h", "x=http://g"], {})


@pytest.mark.parametrize("environ", [{}, {"K": " "}, {"K": "schlüssel"}])
def test_a_key_that_is_none_is_told(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigError):
        backends_of(["x=http://h,api_key_env=K"], environ)


def told(*words: str) -> Settings:
    parser = argparse.ArgumentParser()
    serve.add_arguments(parser)
    return settings_of(parser.parse_args(words), {})


def test_a_server_of_backends_alone_serves_no_demo_model() -> None:
    settings = told("--backend", "x=http://h", "--backend", "y=http://g")
    assert [each.name for each in settings.backends] == ["x", "y"]
    assert settings.models == ()
    assert [each.source for each in told("demo", "--backend", "x=http://h").models] == ["demo"]
