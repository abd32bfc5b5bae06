from __future__ import annotations

import hashlib
import traceback
from pathlib import Path

import pytest

import trueup.config
from trueup.config.llamafactory_settings import HostSettings, LlamaFactorySettings
from trueup.config.load import load_config
from trueup.config.settings import (
    Acceptance,
    ApiKey,
    BackendSettings,
    ClientProfile,
    LimitSettings,
    ModelSettings,
    RoleSettings,
    ServerSettings,
)
from trueup.errors import ConfigError

EXAMPLE = Path(trueup.config.__file__).parent / "example.yaml"


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "trueup.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_the_example_is_valid_and_shows_the_defaults() -> None:
    settings = load_config(EXAMPLE, {})
    assert settings.server == ServerSettings()
    assert settings.backends == (
        BackendSettings(
            name="xin", url="http://127.0.0.1:9997/v1", preset="xinference", model="glm4-chat"
        ),
        LlamaFactorySettings(
            name="tuned",
            base_model_path="/models/Qwen2.5-7B-Instruct",
            adapter_path="/adapters/assistant",
            template="qwen",
            ssh=HostSettings(host="gpu.example"),
        ),
    )
    assert settings.profiles == (ClientProfile(name="terminal"),)
    assert settings.models == (ModelSettings(name="glm", source="demo"),)
    (role,) = settings.roles
    assert (role.name, role.chain) == ("user_communication", ("glm", "xin"))
    assert [alias.target for alias in settings.aliases] == ["user_communication"]


def test_the_example_shows_every_key() -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    shown = {line.strip().removeprefix("# ").partition(":")[0] for line in text.splitlines()}
    shown |= {"is_strict"} if "strict" in shown else set()
    for section in (
        *(ServerSettings, ModelSettings, BackendSettings, LlamaFactorySettings, LimitSettings),
        HostSettings,
        *(RoleSettings, Acceptance, ClientProfile),
    ):
        assert section.__dataclass_fields__.keys() - {"name", "place", "places", "ssh"} <= shown


def test_secrets_do_not_show(tmp_path: Path) -> None:
    path = write(tmp_path, V + "server: {api_keys: ['${env.TEAM_KEY}']}")
    settings = load_config(path, {"TEAM_KEY": "hush-hush"})
    assert "hush" not in f"{settings} {settings!r} {settings.server.api_keys[0]}"
    (key,) = settings.server.api_keys
    assert key == ApiKey(sha256=hashlib.sha256(b"hush-hush").digest(), name="key-1")
    assert "hush" not in str(key)


V = "config_version: 1\n"
# text, what the cause says, what the place says, what the hint says
ERRORS: dict[str, tuple[str | bytes, str, str, str | None]] = {
    "empty": ("", "nothing", "trueup.yaml", "config_version: 1"),
    "a list": ("- 1", "holds a list,", "trueup.yaml", "config_version: 1"),
    "no YAML": (V + "server: {a: [}", "not YAML", "trueup.yaml:2", None),
    "a tab": (V + "server:\n\tport: 1", "not YAML", "trueup.yaml:3", None),
    "a key twice": (
        V + "server: {}\nserver: {}",
        "`server` is there twice",
        "yaml:3",
        "each name once",
    ),
    "not UTF-8": (b"\xff\xfe\x00", "byte 0xff at offset 0", "trueup.yaml", None),
    "no version": ("server: {}", "`config_version` is missing", "trueup.yaml", "config_version: 1"),
    "another version": ("config_version: 2", "`2`, expected 1", "yaml:1: config_version", None),
    "a version in quotes": (
        "config_version: '1'",
        '`config_version` is `"1"`, expected 1',
        "yaml:1",
        "write it without quotes",
    ),
    "an unknown key of a key": (
        V + "server:\n  api_keys: [{sha25: 1}]",
        "`sha25` is not a key here",
        "server.api_keys[0].sha25",
        "did you mean `sha256`",
    ),
    "an unknown key": (
        V + "server:\n  prot: 1",
        "`prot` is not a key",
        "trueup.yaml:3: server.prot",
        "did you mean `port`",
    ),
    "an unknown section": (V + "x: 1", "`x` is not", "yaml:2: x", "known here: `config_version`"),
    "a wrong type": (
        V + "server: {port: '80'}",
        '`port` is `"80"`, expected a whole number',
        ":2:",
        "write it without quotes",
    ),
    "a number for a switch": (
        V + "models: {a: {source: b, pin: 1}}",
        "expected true or false",
        ".pin",
        None,
    ),
    "out of range": (
        V + "server:\n  port: 70000",
        "less than or equal to 65535",
        "yaml:3: server.port",
        None,
    ),
    "a wrong choice": (
        V + "models:\n  a:\n    source: b\n    dtype: float23",
        "`dtype` is `float23`, expected `auto`, `float32`",
        "yaml:5: models.a.dtype",
        "did you mean `float32`",
    ),
    "a wrong device": (
        V + "models: {a: {source: b, device: gpu}}",
        "`device` is `gpu`",
        ".device",
        None,
    ),
    "no source": (
        V + "models:\n  a: {pin: true}",
        "`source` is missing",
        "yaml:3: models.a.source",
        None,
    ),
    "a name with spaces": (
        V + "models: {'a b': {source: x}}",
        "`a b` is no name",
        "models.a b",
        None,
    ),
    "an unset variable": (
        V + "server:\n  api_keys:\n    - ${env.NOT_SET}",
        "`NOT_SET` is not set",
        "yaml:4: server.api_keys[0]",
        "export NOT_SET=",
    ),
    "a wrong reference": (
        V + "server: {host: '${HOME}'}",
        "`${HOME}` is no reference",
        "server.host",
        None,
    ),
    "an empty key": (V + "server: {api_keys: ['']}", "not empty", "api_keys[0]", None),
    "an empty key's name": (
        V + "server: {api_keys: ['']}",
        "`api_keys[0]` has a value that is not shown here",
        "",
        None,
    ),
    "a text as port": (V + "server: {port: x}", "a whole number from 0 to 65535", "port", None),
    "a list as section": (V + "server: [1]", "expected a mapping", "yaml:2: server", None),
    "infinite": (V + "server: {drain_seconds: .inf}", "finite", "drain_seconds", None),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors_name_the_value_the_place_and_the_next_step(case: str, tmp_path: Path) -> None:
    text, cause, where, hint = ERRORS[case]
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, text), {})
    assert cause in caught.value.cause
    assert where in str(caught.value.where)
    assert hint is None or hint in str(caught.value.hint)


def test_a_wrong_key_is_not_shown(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, V + "server: {api_keys: ['hüsh']}"), {})
    assert "hüsh" not in f"{caught.value.cause} {caught.value.hint}"


@pytest.mark.parametrize("name", ["missing.yaml", "."])
def test_a_file_that_cannot_be_read_is_an_error(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path / name)


def test_variables_are_replaced_within_texts_and_numbers_stay_numbers(tmp_path: Path) -> None:
    path = write(tmp_path, V + "models: {a: {source: '${env.ROOT}/glm', ttl_seconds: 5}}")
    (model,) = load_config(path, {"ROOT": "/models"}).models
    assert model == ModelSettings(name="a", source="/models/glm", ttl_seconds=5)


def test_a_model_knows_where_its_keys_stand(tmp_path: Path) -> None:
    path = write(tmp_path, V + "models:\n  a:\n    source: x\n    pin: true")
    (model,) = load_config(path, {}).models
    assert model.places == {
        "": f"{path}:3: models.a",
        "source": f"{path}:4: models.a.source",
        "pin": f"{path}:5: models.a.pin",
    }


@pytest.mark.parametrize(
    "text",
    [
        "backends:\n  x: {api_key: hush-hush}\n  x: {api_key: hush-hush}",
        "server: {api_keys: [hush-hush], api_keys: [hush-hush]}",
        "server: {api_keys: [{hush-hush: 1}]}",
        "server: {api_keys: {hush-hush: 1}}",
        "server: {api_keys: [*hush-hush]}",
        "server: {api_keys: [&hush-hush ]}",
    ],
)
def test_mistakes_about_keys_do_not_show_them(text: str, tmp_path: Path) -> None:
    path = tmp_path / "trueup.yaml"
    path.write_text(V + text)
    with pytest.raises(ConfigError) as raised:
        load_config(path, {})
    assert "hush" not in "".join(traceback.format_exception(raised.value))
