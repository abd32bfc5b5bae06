from __future__ import annotations

from pathlib import Path
from typing import Any

import openai
import pytest

from tests.cli.test_serve import served
from tests.fakes import FakeBackend
from trueup.cli.main import main
from trueup.cli.roles import check_roles, served_names
from trueup.config.load import load_config
from trueup.config.settings import Settings
from trueup.errors import ConfigError
from trueup.gateway.router import Served, ServedAlias, ServedRole

FILE = """\
config_version: 1
models:
  glm: {source: demo}
  bert: {source: org/bert}
roles:
  talk: {chain: [glm, bert], acceptance: {languages: [zh]}}
aliases:
  gpt-4o: talk
  b: bert
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    path = tmp_path / "c.yaml"
    path.write_text(FILE)
    return load_config(path, {})


def test_a_chain_of_one_kind_is_served(settings: Settings) -> None:
    kinds = {"glm": "chat", "bert": "chat"}
    check_roles(settings, kinds)
    models = [Served(id=name, kind=kind, backend=FakeBackend()) for name, kind in kinds.items()]
    talk, gpt, b = served_names(settings, models)
    assert talk == ServedRole(id="talk", chain=tuple(models), acceptance={"languages": ["zh"]})
    assert gpt == ServedAlias(id="gpt-4o", target=talk)
    assert b == ServedAlias(id="b", target=models[1])


def test_a_chain_that_turns_out_mixed_names_both_models_with_their_lines(
    settings: Settings,
) -> None:
    with pytest.raises(ConfigError, match="mixes `glm`, which is chat") as caught:
        check_roles(settings, {"glm": "chat", "bert": "embedding"})
    assert "c.yaml:3: models.glm" in caught.value.cause
    assert "c.yaml:4: models.bert" in caught.value.cause
    assert str(caught.value.where).endswith("c.yaml:6: roles.talk")


@pytest.mark.parametrize(("name", "line"), [("talk", "6: roles.talk"), ("b", "9: aliases.b")])
def test_a_model_of_the_command_line_has_a_name_of_its_own(
    name: str, line: str, settings: Settings
) -> None:
    with pytest.raises(ConfigError, match=f"`{name}` names a MODEL") as caught:
        check_roles(settings, {"glm": "chat", "bert": "chat", name: "chat"})
    assert str(caught.value.where).endswith(line)


@pytest.mark.slow
def test_a_role_is_asked_as_a_model_by_the_official_sdk_and_by_chat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TRUEUP_HOME", str(tmp_path))
    path = tmp_path / "c.yaml"
    path.write_text(
        "config_version: 1\n"
        "models: {glm: {source: demo}}\n"
        "roles: {talk: {chain: [glm], acceptance: {answer_seconds: 5}}}\n"
        "aliases: {gpt-4o: talk}\n"
    )
    question: Any = [{"role": "user", "content": "你好"}]
    with served(tmp_path, "--config", str(path)) as (_, said):
        assert said["models"] == ["glm", "talk", "gpt-4o"]
        client = openai.OpenAI(base_url=f"{said['url']}/v1", api_key="none", timeout=120)
        assert [model.id for model in client.models.list()] == ["glm", "talk", "gpt-4o"]
        texts = []
        for name in ("glm", "talk", "gpt-4o"):
            raw = client.chat.completions.with_raw_response.create(
                model=name, messages=question, temperature=0
            )
            assert raw.headers["x-trueup-backend"] == "glm"
            assert raw.parse().model == name
            texts.append(raw.parse().choices[0].message.content)
        assert len(set(texts)) == 1
        client.close()
        assert main(["chat", "talk", "--message", "你好"]) == 0
        shown = capsys.readouterr()
        assert shown.out == f"{texts[0]}\n"
        assert "(asking `talk` at " in shown.err
