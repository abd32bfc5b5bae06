from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes import FakeBackend
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
