from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
import pytest

from trueup.cli import serve
from trueup.cli.main import main
from trueup.cli.server_api import ask_server
from trueup.cli.settings import settings_of
from trueup.config.secret import Secret
from trueup.config.settings import ApiKey, ModelSettings
from trueup.errors import ConfigError, TrueUpError, UsageError
from trueup.gateway.server import listen

CONFIG = """
config_version: 1
server: {port: 1234, api_keys: [one]}
models: {glm: {source: demo, dtype: float32}}
"""


def settings(*words: str, environ: Mapping[str, str] | None = None) -> Any:
    parser = argparse.ArgumentParser()
    serve.add_arguments(parser)
    return settings_of(parser.parse_args(words), environ or {})


def test_without_a_model_the_demo_is_served() -> None:
    assert settings().models == (ModelSettings(name=None, source="demo"),)


def test_flags_win_over_the_file_and_models_add_up(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(CONFIG)
    got = settings(
        *("b", "--config", str(path), "--port", "5", "--dtype", "bfloat16"),
        environ={"TRUEUP_API_KEY": "two"},
    )
    assert got.server.port == 5
    assert got.server.api_keys == (
        ApiKey.of(Secret("one"), name="key-1"),
        ApiKey.of(Secret("two"), name="TRUEUP_API_KEY"),
    )
    assert got.models == (
        ModelSettings(name="glm", source="demo", dtype="float32"),
        ModelSettings(name=None, source="b", dtype="bfloat16"),
    )


@pytest.mark.parametrize(
    ("words", "environ", "cause"),
    [
        (["--port", "70000"], {}, "70000"),
        (["--port", "-1"], {}, "-1"),
        (["--drain-seconds", "-1"], {}, "0 or more"),
        (["--drain-seconds", "nan"], {}, "0 or more"),
        (["--ttl-seconds", "nan"], {}, "more than 0"),
        (["--ttl-seconds", "inf"], {}, "more than 0"),
        (["--ttl-seconds", "-5"], {}, "more than 0"),
        (["--ttl-seconds", "0"], {}, "more than 0"),
        (["--context-tokens", "0"], {}, "at least 1"),
        (["a", "b", "--revision", "x"], {}, "2 MODELs"),
        ([], {"TRUEUP_API_KEY": "schlüssel"}, "ASCII"),
    ],
)
def test_wrong_settings_are_told(words: list[str], environ: dict[str, str], cause: str) -> None:
    with pytest.raises(UsageError if words else ConfigError, match=cause):
        settings(*words, environ=environ)


def test_the_file_of_the_environment_is_used_where_no_flag_names_one(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(CONFIG)
    environ = {"TRUEUP_CONFIG": str(path), "TRUEUP_API_KEY": "one"}
    got = settings(environ=environ)
    assert got.server.port == 1234
    assert got.server.api_keys == (ApiKey.of(Secret("one"), name="key-1"),)
    with pytest.raises(ConfigError, match="cannot be read") as caught:
        settings(environ={"TRUEUP_CONFIG": str(tmp_path / "none")})
    assert "TRUEUP_CONFIG" in str(caught.value.where)


def test_a_revision_is_the_models() -> None:
    assert settings("a", "--revision", "x").models[0].revision == "x"


@pytest.mark.parametrize(
    ("model", "place"),
    [
        ("{source: demo,\n    context_tokens: 99999}", "c.yaml:4: models.a.context_tokens"),
        ("{\n    source: /nope}", "c.yaml:4: models.a.source"),
    ],
)
def test_a_model_of_a_file_that_cannot_run_is_told_with_its_line(
    model: str, place: str, tmp_path: Path
) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(f"config_version: 1\nmodels:\n  a: {model}")
    with pytest.raises(TrueUpError) as caught:
        serve.plan_models(settings("--config", str(path)).models)
    assert place in str(caught.value.where)


def test_a_flag_that_the_model_cannot_follow_is_a_usage_error() -> None:
    with pytest.raises(UsageError) as caught:
        serve.plan_models(settings("--context-tokens", "99999").models)
    assert caught.value.where == "--context-tokens"


def test_two_models_of_one_name_are_told() -> None:
    models = (ModelSettings(name=None, source="demo"), ModelSettings(name=None, source="demo"))
    with pytest.raises(ConfigError, match="two models are called `demo`"):
        serve.plan_models(models)


def test_a_name_of_the_configuration_is_the_models_id() -> None:
    plans = serve.plan_models((ModelSettings(name="glm", source="demo"),))
    assert plans["glm"].model.id == "glm"


@pytest.mark.parametrize("kind", ["no directory", "no model", "refused"])
def test_a_model_that_cannot_run_ends_the_start_with_its_reason(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "model"
    if kind != "no directory":
        folder.mkdir()
    if kind == "refused":
        config = {"model_type": "nobody", "architectures": ["NobodyModel"]}
        (folder / "config.json").write_text(json.dumps(config))
    assert main(["serve", str(folder), "--port", "0"]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert "error: " in told.err
    assert str(folder) in told.err


def test_a_private_server_does_not_start_before_the_user_has_agreed_to_the_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TRUEUP_HOME", str(tmp_path))
    assert main(["serve", "demo", "--route", "fixed", "--port", "0", "--private"]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("error: ") == 1
    assert "hint:  trueup trust demo" in told.err


def test_a_port_in_use_ends_the_start(capsys: pytest.CaptureFixture[str]) -> None:
    with listen("127.0.0.1", 0) as taken:
        assert main(["serve", "--port", str(taken.getsockname()[1])]) == 1
    assert "is in use by" in capsys.readouterr().err


def test_the_network_is_not_served_without_a_key(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--host", "0.0.0.0", "--port", "0"]) == 1
    assert "TRUEUP_API_KEY" in capsys.readouterr().err


@contextmanager
def served(home: Path, *words: str, key: str = "") -> Iterator[tuple[subprocess.Popen[str], Any]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "trueup", "serve", *words, "--port", "0", "--format", "json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TRUEUP_HOME": str(home), "TRUEUP_API_KEY": key},
    )
    try:
        assert process.stdout is not None
        yield process, json.loads(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=60) as response:
        return json.load(response)


def test_a_server_tells_where_it_listens_and_is_found_until_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TRUEUP_HOME", str(tmp_path))
    with served(tmp_path) as (process, said):
        assert said.keys() == {"schema_version", "url", "pid", "models"}
        assert (said["pid"], said["models"]) == (process.pid, ["demo"])
        assert get(f"{said['url']}/health")["status"] == "ok"
        assert main(["ps", "--format", "json"]) == 0
        shown = json.loads(capsys.readouterr().out)
        (server,) = shown["servers"]
        assert shown["schema_version"] == 1
        assert server["url"] == said["url"]
        assert server["models"][0]["state"] == "stopped"
        assert main(["ps"]) == 0
        assert "demo" in capsys.readouterr().out
        process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate()
        assert process.returncode == 0, stderr
        assert "small demo model" in stderr
        assert not list((tmp_path / "servers").iterdir())
    assert main(["ps"]) == 1
    assert "no server" in capsys.readouterr().err
    assert main(["ps", "--format", "json"]) == 1
    assert json.loads(capsys.readouterr().out) == {"schema_version": 1, "servers": []}


def test_an_interrupt_ends_with_130_and_a_key_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(tmp_path, "--quiet", key="k") as (process, said):
        with pytest.raises(urllib.error.HTTPError) as caught:
            get(f"{said['url']}/v1/models")
        caught.value.close()
        assert caught.value.code == 401
        assert main(["ps", "--url", said["url"]]) == 1
        assert "TRUEUP_API_KEY" in capsys.readouterr().err
        monkeypatch.setenv("TRUEUP_API_KEY", "k")
        assert ask_server(said["url"], "/api/ps", wants="models")["pid"] == process.pid
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate()
        assert (process.returncode, stderr) == (130, "")


def test_ps_tells_when_nobody_answers_or_somebody_else_does(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        assert main(["ps", "--url", f"http://127.0.0.1:{free.getsockname()[1]}"]) == 1
    assert "no answer" in capsys.readouterr().err
    assert main(["ps", "--url", "nonsense"]) == 1
    assert "nonsense" in capsys.readouterr().err


@pytest.mark.slow
def test_the_demo_model_answers_the_official_sdk(tmp_path: Path) -> None:
    question: Any = [{"role": "user", "content": "你好"}]
    with served(tmp_path, "--preload") as (process, said):
        client = openai.OpenAI(base_url=f"{said['url']}/v1", api_key="none", timeout=120)
        whole = client.chat.completions.create(
            model="demo",
            messages=question,
            temperature=0,
        )
        text = whole.choices[0].message.content
        assert text
        assert whole.choices[0].finish_reason == "stop"
        parts = client.chat.completions.create(
            model="demo",
            messages=question,
            temperature=0,
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = list(parts)
        assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == text
        assert chunks[-1].usage == whole.usage
        assert (
            client.completions.create(model="demo", prompt="TrueUp", max_tokens=3).choices[0].text
        )
        with pytest.raises(openai.BadRequestError, match="context"):
            client.chat.completions.create(
                model="demo", messages=[{"role": "user", "content": "hello " * 9000}]
            )
        loaded = ask_server(said["url"], "/api/ps", wants="models")["models"][0]
        assert loaded["state"] == "ready"
        assert loaded["memory_bytes"] > 0
        worker = Path(f"/proc/{loaded['pid']}")
        assert worker.exists()
        client.close()
        process.send_signal(signal.SIGTERM)
        process.wait()
        assert process.returncode == 0
        assert not worker.exists()
