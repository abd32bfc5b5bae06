from __future__ import annotations

from pathlib import Path

import pytest

from tests.config.test_names import errors, write
from trueup.config.load import check_config, load_config
from trueup.config.secret import Secret
from trueup.config.settings import ApiKey, ClientProfile, ServerSettings

V = "config_version: 1\n"
SHA256 = "a" * 64


def test_a_key_is_a_text_or_has_a_name_and_a_profile(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        V
        + f"""\
server:
  api_keys:
    - ${{env.TEAM_KEY}}
    - {{name: chatchat, sha256: {SHA256.upper()}, profile: langchain-chatchat}}
    - {{key: "${{env.OTHER_KEY}}", profile: mine}}
profiles: {{mine: {{patience_seconds: 5}}}}
""",
    )
    settings = load_config(path, {"TEAM_KEY": "one", "OTHER_KEY": "two"})
    assert settings.server.api_keys == (
        ApiKey.of(Secret("one"), name="key-1"),
        ApiKey(sha256=b"\xaa" * 32, name="chatchat", profile="langchain-chatchat"),
        ApiKey.of(Secret("two"), name="key-3", profile="mine"),
    )
    assert settings.profiles == (ClientProfile(name="mine", patience_seconds=5.0),)


def test_the_server_has_limits(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        V
        + """\
server:
  cors_origins: ["https://board.example", "*", "chrome-extension://abc", "http://localhost:3000/"]
  max_body_bytes: 1
  max_header_bytes: 1024
  max_requests: 2
  access_log: json
  log_prompts: true
  strict: true
""",
    )
    assert load_config(path, {}).server == ServerSettings(
        cors_origins=(
            *("https://board.example", "*", "chrome-extension://abc"),
            "http://localhost:3000/",
        ),
        max_body_bytes=1,
        max_header_bytes=1024,
        max_requests=2,
        access_log="json",
        log_prompts=True,
        is_strict=True,
    )


def test_a_built_in_profile_is_changed_where_it_is_named(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        V + "profiles: {langchain-chatchat: {note: 'Cut: {cause}'}, strict: {patience_seconds: 9}}",
    )
    chatchat, strict = load_config(path, {}).profiles
    assert chatchat == ClientProfile(
        name="langchain-chatchat",
        error_events=False,
        clamps_max_tokens=True,
        retry_seconds=15.0,
        patience_seconds=300.0,
        note="Cut: {cause}",
    )
    assert strict == ClientProfile(name="strict", patience_seconds=9.0)


# text, the key, the cause, the hint
ERRORS: dict[str, tuple[str, str, str, str | None]] = {
    "neither": ("server: {api_keys: [{name: a}]}", "api_keys[0]", "neither", "trueup config key"),
    "both": (
        f"server: {{api_keys: [{{key: hush, sha256: {SHA256}}}]}}",
        "api_keys[0]",
        "both `key` and `sha256`",
        "remove `key`",
    ),
    "a short hash": (
        "server: {api_keys: [{sha256: hush}]}",
        "api_keys[0].sha256",
        "expected 64 hexadecimal digits",
        None,
    ),
    "a hash that is a number": (
        f"server: {{api_keys: [{{sha256: {'1' * 64}}}]}}",
        "api_keys[0].sha256",
        "`sha256` has a value that is not shown here, expected a text",
        None,
    ),
    "a key in a list": (
        "server: {api_keys: [[hush]]}",
        "api_keys[0]",
        "a value that is not shown",
        None,
    ),
    "an empty key": ("server: {api_keys: [{key: ''}]}", "api_keys[0].key", "not empty", None),
    "what is shown": (
        "server: {api_keys: [{key: '***'}]}",
        "api_keys[0].key",
        "trueup config show",
        None,
    ),
    "an unknown profile": (
        "server: {api_keys: [{key: hush, profile: chatchat}]}",
        "api_keys[0].profile",
        "there is no profile `chatchat`",
        "`langchain-chatchat`",
    ),
    "a name with spaces": (
        "server: {api_keys: [{key: hush, name: a b}]}",
        "api_keys[0].name",
        "`name` is `a b`",
        None,
    ),
    "another key": (
        "server: {api_keys: [{key: hush, profil: strict}]}",
        "api_keys[0].profil",
        "`profil` is not a key here",
        "did you mean `profile`",
    ),
    "keys as a text": ("server: {api_keys: hush}", "server.api_keys", "expected a list", None),
    "an origin with a path": (
        "server: {cors_origins: ['https://h/x']}",
        "cors_origins[0]",
        "`https://h/x`, expected an origin, such as `https://board.example`",
        None,
    ),
    "an origin without a scheme": ("server: {cors_origins: [h]}", "cors_origins[0]", "`h`", None),
    "no body": ("server: {max_body_bytes: 0}", "max_body_bytes", "`0`", None),
    "no head": ("server: {max_header_bytes: 100}", "max_header_bytes", "1024", None),
    "no requests": ("server: {max_requests: 0}", "max_requests", "`0`", None),
    "a log": ("server: {access_log: txt}", "access_log", "`txt`, expected", "`text`"),
    "a switch": ("server: {strict: 1}", "server.strict", "expected true or false", None),
    "no patience": (
        "profiles: {p: {patience_seconds: 0}}",
        "profiles.p.patience_seconds",
        "`0`",
        None,
    ),
    "no note": ("profiles: {p: {note: ''}}", "profiles.p.note", "`note` is ``", None),
    "no profile": ("profiles: {p: }", "profiles.p", "`p` is `null`, expected a mapping", None),
}


@pytest.mark.parametrize("case", ERRORS)
def test_a_mistake_is_told_once_with_its_place_and_no_key(case: str, tmp_path: Path) -> None:
    text, key, cause, hint = ERRORS[case]
    (error,) = errors(tmp_path, V + text)
    assert error.where.endswith(key)
    assert error.line == 2
    assert cause in error.cause
    assert hint is None or hint in str(error.hint)
    assert "hush" not in f"{error.cause} {error.hint}"


@pytest.mark.parametrize(
    ("keys", "cause"),
    [
        ("['${env.K}', {key: '${env.K}', name: b}]", "this key is api_keys[0] already"),
        ("[{key: '${env.K}', name: b}, {key: 'x${env.K}', name: b}]", "two keys are called `b`"),
        ("['${env.K}', {key: plain}]", "can be read by everybody"),
    ],
)
def test_keys_that_are_odd_are_a_warning(keys: str, cause: str, tmp_path: Path) -> None:
    checked = check_config(write(tmp_path, f"{V}server: {{api_keys: {keys}}}"), {"K": "k"})
    assert checked.errors == ()
    (warning,) = checked.warnings
    assert warning.where.endswith("server.api_keys[1]")
    assert cause in warning.cause


def test_keys_by_their_hash_are_not_odd(tmp_path: Path) -> None:
    text = f"server: {{api_keys: [{{sha256: {SHA256}}}, {{sha256: {'b' * 64}}}, '${{env.K}}']}}"
    checked = check_config(write(tmp_path, V + text), {"K": "k"})
    assert (checked.errors, checked.warnings) == ((), ())


@pytest.mark.parametrize(
    ("key", "value"), [("host", "0.0.0.0"), ("cors_origins", "['*']"), ("host", "lan.example")]
)
def test_an_open_server_without_a_key_is_odd(key: str, value: str, tmp_path: Path) -> None:
    checked = check_config(write(tmp_path, f"{V}server: {{{key}: {value}}}"), {})
    (warning,) = checked.warnings
    assert warning.where.endswith(f"server.{key}")
    assert "TRUEUP_API_KEY" in str(warning.hint)
    keyed = f"{V}server: {{{key}: {value}, api_keys: ['${{env.K}}']}}"
    assert check_config(write(tmp_path, keyed), {"K": "k"}).warnings == ()
