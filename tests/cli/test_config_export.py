from __future__ import annotations

import ast
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.homes import home_at
from trueup.cli import config_export
from trueup.cli.client_blocks import BLOCKS, Offer
from trueup.cli.main import main

CONFIG = """\
config_version: 1
server: {port: 1234}
models:
  glm: {source: demo}
  bert: {source: nowhere, kind: embedding}
backends: {xin: {url: "http://h"}, gte: {url: "http://h", kind: embedding}}
roles: {talk: {chain: [glm, xin]}, search: {chain: [bert, gte]}}
aliases: {gpt-4o: talk, ada: search}
"""
URL = "http://127.0.0.1:1234/v1"
ODD = Offer(url="http://h:1/v1", chat=("yes", "组/模型", "a'b$(c)`\"\\"), embedding=("1e5", "é"))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUEUP_HOME", home_at(tmp_path / "home"))
    monkeypatch.delenv("TRUEUP_API_KEY", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.yaml").write_text(CONFIG)


def exported(client: str, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["config", "export", client, *(words or ("--config", "c.yaml"))]) == 0
    return capsys.readouterr().out


def environment_after(script: str, **environ: str) -> dict[str, str]:
    bash = shutil.which("bash") or "/bin/sh"
    done = subprocess.run(
        [bash, "-euc", f"{script}\nenv -0"], env=environ, capture_output=True, text=True, check=True
    )
    return dict(each.split("=", 1) for each in done.stdout.split("\0") if "=" in each)


def test_chatchat_gets_roles_first_and_texts_to_embed(capsys: pytest.CaptureFixture[str]) -> None:
    text = exported("chatchat", capsys)
    settings = YAML(typ="safe").load(text)
    assert settings["DEFAULT_LLM_MODEL"] == "talk"
    assert settings["DEFAULT_EMBEDDING_MODEL"] == "search"
    chat, embedding = settings["MODEL_PLATFORMS"]
    assert chat["platform_type"] == "openai"
    assert chat["api_base_url"] == embedding["api_base_url"] == URL
    assert chat["llm_models"] == ["talk", "glm", "xin", "gpt-4o"]
    # `openai` would send ids of OpenAI's own tokenizer.
    assert embedding["platform_type"] == "oneapi"
    assert embedding["embed_models"] == ["search", "bert", "gte", "ada"]
    assert (chat["embed_models"], embedding["llm_models"]) == ([], [])
    assert "trueup config key --name chatchat --profile langchain-chatchat" in text
    assert "0.0.0.0" in text


def test_chatchat_starts_only_with_the_name_of_an_embedding_model() -> None:
    settings = YAML(typ="safe").load(
        BLOCKS["chatchat"](Offer(url=URL, chat=("glm",), embedding=()))
    )
    names = [name for each in settings["MODEL_PLATFORMS"] for name in each["embed_models"]]
    assert names == [settings["DEFAULT_EMBEDDING_MODEL"]]


@pytest.mark.parametrize(("name", "is_told"), [("talk", True), ("GLM3-x", False), ("qwen2", False)])
def test_what_agent_mode_needs_is_told_where_it_lacks(name: str, is_told: bool) -> None:
    text = BLOCKS["chatchat"](Offer(url=URL, chat=(name,), embedding=()))
    assert ("Agent mode" in text) == is_told
    assert (f'aliases: {{"glm3-{name}": "{name}"}}' in text) == is_told


def test_open_webui_gets_variables_that_a_shell_reads(capsys: pytest.CaptureFixture[str]) -> None:
    got = environment_after(exported("open-webui", capsys), TRUEUP_API_KEY="k e y")
    assert {name: got[name] for name in got if "API" in name or "MODEL" in name} == {
        "TRUEUP_API_KEY": "k e y",
        "ENABLE_OPENAI_API": "True",
        "ENABLE_OLLAMA_API": "False",
        "OPENAI_API_BASE_URLS": URL,
        "OPENAI_API_KEYS": "k e y",
        "DEFAULT_MODELS": "talk",
        "RAG_EMBEDDING_MODEL": "search",
        "RAG_OPENAI_API_BASE_URL": URL,
        "RAG_OPENAI_API_KEY": "k e y",
    }
    assert got["RAG_EMBEDDING_ENGINE"] == "openai"


def test_langchain_gets_a_program(capsys: pytest.CaptureFixture[str]) -> None:
    calls = calls_in(exported("langchain", capsys))
    assert calls["ChatOpenAI"]["model"] == "talk"
    assert calls["OpenAIEmbeddings"]["model"] == "search"
    assert calls["OpenAIEmbeddings"]["check_embedding_ctx_length"] is False
    assert list(calls_in(BLOCKS["langchain"](Offer(url=URL, chat=(), embedding=("e",))))) == [
        "OpenAIEmbeddings"
    ]


def calls_in(program: str) -> dict[str, dict[str, Any]]:
    """The classes that are made, with the arguments that are no names."""
    assigned = [node for node in ast.parse(program).body if isinstance(node, ast.Assign)]
    calls = [node.value for node in assigned if isinstance(node.value, ast.Call)]
    return {
        call.func.id: {
            str(each.arg): each.value.value
            for each in call.keywords
            if isinstance(each.value, ast.Constant)
        }
        for call in calls
        if isinstance(call.func, ast.Name)
    }


def test_names_of_any_shape_arrive_as_they_are() -> None:
    settings = YAML(typ="safe").load(BLOCKS["chatchat"](ODD))
    assert settings["MODEL_PLATFORMS"][0]["llm_models"] == list(ODD.chat)
    assert settings["MODEL_PLATFORMS"][1]["embed_models"] == list(ODD.embedding)
    swapped = Offer(url=ODD.url, chat=ODD.chat[::-1], embedding=ODD.embedding)
    assert environment_after(BLOCKS["open-webui"](swapped))["DEFAULT_MODELS"] == ODD.chat[2]
    calls = calls_in(BLOCKS["langchain"](swapped))
    assert calls["ChatOpenAI"]["model"] == ODD.chat[2]
    assert calls["OpenAIEmbeddings"]["model"] == "1e5"


@pytest.mark.parametrize("client", BLOCKS)
def test_no_key_is_printed(
    client: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRUEUP_API_KEY", "hush-hush")
    assert "hush" not in exported(client, capsys)


@pytest.mark.parametrize(
    ("server", "url"),
    [
        ("{host: 0.0.0.0}", "http://127.0.0.1:8484/v1"),
        ("{host: '::', port: 1}", "http://[::1]:1/v1"),
        ("{host: '::1', port: 1}", "http://[::1]:1/v1"),
        ("{host: board.example, port: 1}", "http://board.example:1/v1"),
    ],
)
def test_the_url_is_where_the_file_listens(
    server: str, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("c.yaml").write_text(CONFIG.replace("{port: 1234}", server))
    assert f'URL = "{url}"' in exported("langchain", capsys)
    words = ("--config", "c.yaml", "--url", "https://board.example/")
    assert 'URL = "https://board.example/v1"' in exported("langchain", capsys, *words)


def test_a_model_that_is_not_here_is_taken_for_a_chat_model(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("c.yaml").write_text("config_version: 1\nmodels: {a: {source: ./nowhere}}")
    assert main(["config", "export", "langchain", "--config", "c.yaml"]) == 0
    shown = capsys.readouterr()
    assert 'ChatOpenAI(model="a"' in shown.out
    assert "warning: `a` is taken for a chat model" in shown.err


@pytest.mark.parametrize(
    ("words", "text", "status", "said"),
    [
        (["chatchat"], CONFIG, 2, "no server of this user runs here"),
        (["chatchat", "--config", "c.yaml"], "config_version: 1", 1, "nothing is served"),
        (
            ["chatchat", "--config", "c.yaml"],
            "config_version: 1\nbackends: {e: {url: 'http://h', kind: embedding}}",
            1,
            "answers in chat, as `chatchat` needs",
        ),
        (["chatchat", "--config", "c.yaml"], CONFIG.replace("1234", "0"), 2, "the port is known"),
        (["chatchat", "--config", "none.yaml"], CONFIG, 1, "cannot be read"),
        (["chatchat", "--url", "http://u:p@h"], CONFIG, 2, "carries a user name"),
        (["chatchat", "--url", "http://127.0.0.1:9"], CONFIG, 1, "no answer"),
        (["chat"], CONFIG, 2, "invalid choice"),
    ],
)
def test_what_cannot_be_exported_is_told(
    words: list[str], text: str, status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("c.yaml").write_text(text)
    assert main(["config", "export", *words]) == status
    shown = capsys.readouterr()
    assert shown.out == ""
    assert said in shown.err


@pytest.fixture
def running() -> Iterator[str]:
    """A server that serves a role, an alias, a model and an embedding model."""
    rows: list[Any] = [
        {"id": "gpt-4o", "trueup": {"kind": "chat", "alias_of": "talk"}},
        {"id": "glm", "trueup": {"kind": "chat", "plan": None}},
        {"id": "talk", "trueup": {"kind": "chat", "role": {"chain": ["glm"]}}},
        {"id": "bert", "trueup": {"kind": "embedding"}},
        {"id": "writer", "trueup": {"kind": "completion"}},
        {"id": "foreign"},
        "no row",
    ]

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"object": "list", "data": rows}).encode()
            self.send_response(200 if self.path == "/v1/models" else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_running_server_tells_its_names(
    running: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = exported("chatchat", capsys, "--url", running)
    chat, embedding = YAML(typ="safe").load(text)["MODEL_PLATFORMS"]
    assert chat["llm_models"] == ["talk", "glm", "gpt-4o"]
    assert embedding["embed_models"] == ["bert"]
    assert chat["api_base_url"] == f"{running}/v1"
    monkeypatch.setattr(config_export, "server_urls", lambda url: [running, "http://other"])
    assert main(["config", "export", "chatchat"]) == 0
    shown = capsys.readouterr()
    assert shown.out == text
    assert "several servers run here" in shown.err
