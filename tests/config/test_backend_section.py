from __future__ import annotations

from pathlib import Path

import pytest

from tests.config.test_names import errors, write
from trueup.backends.presets import PRESETS
from trueup.config.droppable import DROPPABLE, KEPT
from trueup.config.load import check_config, load_config
from trueup.config.presets import PRESET_NAMES
from trueup.config.secret import Secret
from trueup.config.settings import BackendSettings, LimitSettings

HEAD = "config_version: 1\nbackends:\n"


def test_a_backend_is_read_with_its_place(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        HEAD
        + """\
  xin:
    preset: xinference
    url: "https://xin.example/v1"
    model: glm4-chat
    api_key: "${env.XIN_KEY}"
    kind: completion
    end_of_answer: done
    continuation: prefix
    context_tokens: 8192
    ask_again: false
    drop: [tools, logit_bias, tools]
    limits: {connect_seconds: 1, first_token_seconds: 2.5, between_tokens_seconds: 3,
             total_seconds: 4}
  plain: {url: "http://h"}
""",
    )
    xin, plain = load_config(path, {"XIN_KEY": "hush"}).backends
    assert xin == BackendSettings(
        name="xin",
        preset="xinference",
        url="https://xin.example/v1",
        model="glm4-chat",
        api_key=Secret("hush"),
        kind="completion",
        end_of_answer="done",
        continuation="prefix",
        context_tokens=8192,
        ask_again=False,
        drop=("tools", "logit_bias"),
        limits=LimitSettings(
            connect_seconds=1.0,
            first_token_seconds=2.5,
            between_tokens_seconds=3.0,
            total_seconds=4.0,
        ),
    )
    assert plain == BackendSettings(name="plain", url="http://h")
    assert (xin.place, plain.place) == (f"{path}:3: backends.xin", f"{path}:16: backends.plain")
    assert "hush" not in repr(xin)


@pytest.mark.parametrize("preset", PRESET_NAMES)
def test_every_name_of_a_preset_is_a_preset(preset: str, tmp_path: Path) -> None:
    assert preset in PRESETS
    path = write(tmp_path, f"{HEAD}  x: {{url: 'http://h', preset: {preset}}}")
    assert load_config(path, {}).backends[0].preset == preset


def test_every_preset_can_be_named() -> None:
    assert set(PRESETS) == set(PRESET_NAMES)


# the backend, the key, the cause, the hint
ERRORS: dict[str, tuple[str, str, str, str | None]] = {
    "no URL": ("{preset: vllm}", ".url", "the key `url` is missing", None),
    "no scheme": ("{url: 'h:80/v1'}", ".url", "`h:80/v1` is not the URL", "write `http://h:80/v1`"),
    "a password": ("{url: 'http://u:hush@h/v1'}", ".url", "the URL of `h` carries", "`api_key:"),
    "a query": ("{url: 'http://h/v1?key=hush'}", ".url", "carries more than a path", "`api_key:"),
    "a number": ("{url: 80}", ".url", "`url` is `80`, expected a text", None),
    "a preset near": ("{url: 'http://h', preset: vlm}", ".preset", "`vlm` is no", "`vllm`"),
    "a preset far": (
        "{url: 'http://h', preset: groq}",
        ".preset",
        "`groq` is no preset",
        "any other server is `openai-compatible`",
    ),
    "a key that is no text": (
        "{url: 'http://h', api_key: 1234}",
        ".api_key",
        "a value that is not shown",
        None,
    ),
    "a key with letters": ("{url: 'http://h', api_key: hüsh}", ".api_key", "printable ASCII", None),
    "what is shown": ("{url: 'http://h', api_key: '***'}", ".api_key", "trueup config show", None),
    "a kind": ("{url: 'http://h', kind: auto}", ".kind", "expected `chat`, `completion` or", None),
    "an end": ("{url: 'http://h', end_of_answer: eof}", ".end_of_answer", "`eof`", None),
    "token ids": ("{url: 'http://h', continuation: token_ids}", ".continuation", "expected", None),
    "no tokens": ("{url: 'http://h', context_tokens: 0}", ".context_tokens", "`0`", None),
    "a text to drop": ("{url: 'http://h', drop: tools}", ".drop", "expected a list", None),
    "the model": ("{url: 'http://h', drop: [n, model]}", ".drop[1]", "`model` is never", None),
    "the messages": ("{url: 'http://h', drop: [messages]}", ".drop[0]", "never dropped", None),
    "the limit": ("{url: 'http://h', drop: [max_tokens]}", ".drop[0]", "never dropped", None),
    "no parameter": ("{url: 'http://h', drop: [tool]}", ".drop[0]", "`tool` is no", "`tools`"),
    "no seconds": (
        "{url: 'http://h', limits: {total_seconds: 0}}",
        ".limits.total_seconds",
        "`0`, expected greater than 0",
        None,
    ),
    "another limit": (
        "{url: 'http://h', limits: {total: 5}}",
        ".limits.total",
        "`total` is not a key here",
        "`total_seconds`",
    ),
    "another key": ("{url: 'http://h', modell: x}", ".modell", "is not a key", "mean `model`"),
    "a list": ("[http://h, hush]", "", "`x` is a list, expected a mapping", None),
}


@pytest.mark.parametrize("case", ERRORS)
def test_a_mistake_is_told_once_with_its_place_and_no_key(case: str, tmp_path: Path) -> None:
    text, key, cause, hint = ERRORS[case]
    (error,) = errors(tmp_path, f"{HEAD}  x: {text}")
    assert error.where.endswith(f"c.yaml:3: backends.x{key}")
    assert cause in error.cause
    assert hint is None or hint in str(error.hint)
    assert "hush" not in f"{error.cause} {error.hint}"
    assert "hüsh" not in f"{error.cause} {error.hint}"


def test_what_is_the_request_itself_is_never_droppable() -> None:
    assert {"model", "messages", "prompt", "input", "max_tokens"} <= KEPT
    assert KEPT.isdisjoint(DROPPABLE)
    assert {"tools", "tool_choice", "logit_bias", "response_format", "stop"} <= set(DROPPABLE)


@pytest.mark.parametrize(
    ("backend", "key", "cause"),
    [
        ("{url: 'http://h', api_key: '${env.K}'}", "url", "go over the network unencrypted"),
        ("{url: 'https://h', api_key: plain}", "api_key", "can be read by everybody"),
    ],
)
def test_a_key_that_others_can_read_is_a_warning(
    backend: str, key: str, cause: str, tmp_path: Path
) -> None:
    checked = check_config(write(tmp_path, f"{HEAD}  x: {backend}"), {"K": "k"})
    assert checked.errors == ()
    (warning,) = checked.warnings
    assert warning.where.endswith(f"backends.x.{key}")
    assert cause in warning.cause


@pytest.mark.parametrize(
    "backend",
    [
        "{url: 'http://127.0.0.1:1', api_key: '${env.K}'}",
        "{url: 'https://h', api_key: 'Bearer ${env.K}'}",
        "{url: 'http://h'}",
    ],
)
def test_what_nobody_can_read_is_no_warning(backend: str, tmp_path: Path) -> None:
    checked = check_config(write(tmp_path, f"{HEAD}  x: {backend}"), {"K": "k"})
    assert (checked.errors, checked.warnings) == ((), ())
