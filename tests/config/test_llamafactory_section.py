from __future__ import annotations

from pathlib import Path

import pytest

from tests.config.test_names import errors, write
from trueup.config.limit_settings import LimitSettings
from trueup.config.llamafactory_settings import HostSettings, LlamaFactorySettings
from trueup.config.load import load_config
from trueup.config.secret import Secret
from trueup.config.settings import BackendSettings
from trueup.config.show import shown_tree, yaml_text

HEAD = "config_version: 1\nbackends:\n"


def read(folder: Path, text: str) -> LlamaFactorySettings | BackendSettings:
    (backend,) = load_config(write(folder, f"{HEAD}  x: {text}"), {}).backends
    return backend


def test_a_model_of_llamafactory_is_read_with_its_host_and_its_place(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        HEAD
        + """\
  tuned:
    preset: llamafactory
    base_model_path: /m/qwen
    adapter_path: a
    template: qwen
    default_system: ""
    work_dir: ~/w
    conda_env: lf
    host: gpu
    port: 2222
    user: me
    key: ~/.ssh/id
    lease_seconds: 30
    idle_seconds: null
    limits: {total_seconds: 60}
  here: {preset: llamafactory, base_model_path: Qwen/Qwen2.5-0.5B, python: /env}
""",
    )
    tuned, here = load_config(path, {}).backends
    assert tuned == LlamaFactorySettings(
        name="tuned",
        base_model_path="/m/qwen",
        adapter_path="a",
        template="qwen",
        default_system="",
        work_dir="~/w",
        conda_env="lf",
        ssh=HostSettings(host="gpu", port=2222, user="me", key="~/.ssh/id"),
        lease_seconds=30.0,
        idle_seconds=None,
        limits=LimitSettings(total_seconds=60.0),
    )
    assert here == LlamaFactorySettings(
        name="here", base_model_path="Qwen/Qwen2.5-0.5B", python="/env"
    )
    assert tuned.place == f"{path}:3: backends.tuned"


def test_a_url_alone_is_a_server_like_any_other(tmp_path: Path) -> None:
    backend = read(tmp_path, "{preset: llamafactory, url: 'http://h/v1'}")
    assert backend == BackendSettings(name="x", preset="llamafactory", url="http://h/v1")


def test_a_url_on_a_host_is_an_api_that_is_reached_over_ssh(tmp_path: Path) -> None:
    url = "http://127.0.0.1:8000/v1"
    text = f"{{preset: llamafactory, url: '{url}', api_key: k, host: gpu}}"
    assert read(tmp_path, text) == LlamaFactorySettings(
        name="x", mode="api", url=url, api_key=Secret("k"), ssh=HostSettings(host="gpu")
    )


def test_what_is_shown_is_the_same_configuration(tmp_path: Path) -> None:
    text = "{preset: llamafactory, base_model_path: /m, host: gpu, key: k, mode: cli}"
    path = write(tmp_path, f"{HEAD}  x: {text}\n  y: {{url: 'http://h', preset: vllm}}")
    settings = load_config(path, {})
    again = tmp_path / "again.yaml"
    again.write_text(yaml_text(shown_tree(settings)), encoding="utf-8")
    assert load_config(again, {}).backends == settings.backends


ERRORS: dict[str, tuple[str, str, str, str | None]] = {
    "neither a model nor a URL": ("{preset: llamafactory}", ".url", "`url` is missing", None),
    "another preset": (
        "{url: 'http://h', preset: vllm, base_model_path: /m}",
        "",
        "`base_model_path` is a key of `preset: llamafactory`, and this is `vllm`",
        "preset: llamafactory",
    ),
    "no host": (
        "{preset: llamafactory, base_model_path: /m, key: k}",
        "",
        "`key` is about a host over SSH, and `host` is missing",
        "host:",
    ),
    "two environments": (
        "{preset: llamafactory, base_model_path: /m, python: p, conda_env: c}",
        "",
        "`python` and `conda_env` both name an environment",
        "keep one",
    ),
    "a script in another mode": (
        "{preset: llamafactory, script_path: s.py, mode: cli}",
        "",
        "`script_path` is for the mode script, not cli",
        "mode: script",
    ),
    "nothing to run": (
        "{preset: llamafactory, url: 'http://h', host: gpu, mode: cli}",
        "",
        "the mode cli runs a model, and `base_model_path` is missing",
        "base_model_path:",
    ),
    "no port": (
        "{preset: llamafactory, base_model_path: /m, host: h, port: 0}",
        ".port",
        "`0`",
        None,
    ),
    "a password": (
        "{preset: llamafactory, base_model_path: /m, host: h, password_env: 'a b'}",
        ".password_env",
        "`a b`, expected the name of an environment variable",
        None,
    ),
    "a mode": (
        "{preset: llamafactory, base_model_path: /m, mode: ssh}",
        ".mode",
        "`ssh`, expected `script`, `api` or `cli`",
        None,
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_a_mistake_is_told_once_with_its_place(case: str, tmp_path: Path) -> None:
    text, key, cause, hint = ERRORS[case]
    (error,) = errors(tmp_path, f"{HEAD}  x: {text}")
    assert error.where.endswith(f"c.yaml:3: backends.x{key}")
    assert cause in error.cause
    assert hint is None or hint in str(error.hint)
