"""Writes what a `.env` file says of a LlamaFactory chat as a configuration, and reads it back."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from trueup.config.converted import Converted, mistakes_in, scalar, with_variables
from trueup.config.llamafactory_section import OF_HOST
from trueup.config.llamafactory_settings import LlamaFactoryMode
from trueup.config.mistake import Mistake
from trueup.config.url import url_trouble
from trueup.errors import ConfigError

BACKEND = "llamafactory"
LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)")
QUOTED = re.compile(r"""(["'])(.*?)\1\s*(?:#.*)?""")
COMMENT = re.compile(r"(?:^|\s)#.*")
MODES: tuple[str, ...] = get_args(LlamaFactoryMode)
# What is in a private key and in no path.
KEY_ITSELF = "PRIVATE KEY-"
# Names that such a chat has. Other programs use the others too, and mean something else by them.
ITS_OWN = frozenset(
    {
        "CHAT_MODE",
        "CHAT_SCRIPT_PATH",
        "REMOTE_WORK_DIR",
        "CONDA_ENV",
        "LLAMAFACTORY_CLI_PATH",
        "CHAT_TIMEOUT",
    }
)
# What each name is here; the first one that says something counts.
NAMES: Mapping[str, tuple[str, ...]] = {
    "mode": ("CHAT_MODE",),
    "base_model_path": ("BASE_MODEL_PATH", "MODEL_PATH", "MODEL_NAME_OR_PATH"),
    "adapter_path": ("ADAPTER_PATH", "LORA_PATH", "ADAPTER_NAME_OR_PATH"),
    "template": ("TEMPLATE", "CHAT_TEMPLATE"),
    "default_system": ("DEFAULT_SYSTEM", "SYSTEM_PROMPT"),
    "infer_backend": ("INFER_BACKEND",),
    "script_path": ("CHAT_SCRIPT_PATH",),
    "work_dir": ("REMOTE_WORK_DIR", "WORK_DIR"),
    "conda_env": ("CONDA_ENV",),
    "cli_path": ("LLAMAFACTORY_CLI_PATH",),
    "url": ("CHAT_API_URL", "LLAMAFACTORY_API_URL", "API_BASE_URL"),
    "host": ("SSH_HOST", "REMOTE_HOST", "REMOTE_SSH_HOST"),
    "port": ("SSH_PORT", "REMOTE_PORT", "REMOTE_SSH_PORT"),
    "user": ("SSH_USER", "SSH_USERNAME", "REMOTE_USER", "REMOTE_SSH_USER"),
    "key": ("SSH_KEY_PATH", "SSH_KEY", "SSH_KEY_FILE", "SSH_PRIVATE_KEY_PATH", "SSH_PRIVATE_KEY",
            "REMOTE_KEY_PATH"),
    "password_env": ("SSH_PASSWORD", "REMOTE_PASSWORD", "REMOTE_SSH_PASSWORD"),
    "known_hosts": ("SSH_KNOWN_HOSTS",),
    "proxy_jump": ("SSH_PROXY_JUMP",),
    "timeout": ("CHAT_TIMEOUT",),
}  # fmt: skip


def is_dotenv(raw: bytes) -> bool:
    """Whether a file is one of `NAME=value` lines, and no JSON."""
    for line in raw.decode("utf-8-sig", "replace").splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            return LINE.fullmatch(line.strip()) is not None
    return False


def read_dotenv(raw: bytes, name: str) -> dict[str, tuple[str, int]]:
    """The values and the numbers of their lines; a name that is said twice has its last value.

    A quoted value may go over several lines.

    Raises: ConfigError.
    """
    try:
        lines = raw.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ConfigError("the file is not UTF-8", where=name) from error
    found = {}
    number = 0
    while number < len(lines):
        first, line = number + 1, lines[number].strip()
        number += 1
        if not line or line.startswith("#"):
            continue
        match = LINE.fullmatch(line)
        if match is None:
            # Not repeated: it may be the rest of a key.
            raise ConfigError("this line is no `NAME=value`", where=f"{name}:{first}")
        value = match[2]
        if value[:1] in ("'", '"') and value.count(value[0]) == 1:
            rest = range(number, len(lines))
            end = next((each for each in rest if value[0] in lines[each]), None)
            if end is not None:
                value, number = "\n".join((value, *lines[number : end + 1])), end + 1
        quoted = QUOTED.fullmatch(value)
        found[match[1]] = (quoted[2] if quoted else COMMENT.sub("", value).strip(), first)
    return found


def convert_dotenv(raw: bytes, name: str) -> Converted:
    """A configuration of a `.env` file; `name` is the file's in messages.

    Raises: ConfigError where it cannot be read, or says nothing of a chat.
    """
    said = read_dotenv(raw, name)
    given, notes = _given(said, name)
    entry: dict[str, Any] = {"preset": "llamafactory"}
    for key, variable in list(given.items()):
        value, number = said[variable]
        where = f"{name}:{number}"
        try:
            entry[key] = _value(key, variable, value, where)
        except ConfigError as error:
            _leave_out(given, key, error, where, notes)
    _fit(entry, given, notes)
    text = _text(entry, Path(name).name)
    while errors := mistakes_in(text, name):
        key, told = _told(errors[0], given, said, name)
        if key not in entry:
            raise told
        _leave_out(given, key, told, str(told.where), notes)
        del entry[key]
        text = _text(entry, Path(name).name)
    return Converted(text=text, notes=tuple(notes), summary=f"1 backend, `{BACKEND}`")


def _given(said: Mapping[str, tuple[str, int]], name: str) -> tuple[dict[str, str], list[str]]:
    """The name that says each key, and a note on each that says nothing here.

    Raises: ConfigError where none does.
    """
    given: dict[str, str] = {}
    notes = []
    keys = {variable: key for key, names in NAMES.items() for variable in names}
    for key, names in NAMES.items():
        filled = [variable for variable in names if said.get(variable, ("", 0))[0]]
        if filled:
            given[key] = filled[0]
        notes += [f"{name}:{said[each][1]}: `{each}` is left out: `{filled[0]}` says it"
                  for each in filled[1:]]  # fmt: skip
    notes += [f"{name}:{said[each][1]}: `{each}` has no key here"
              for each in said if each not in keys]  # fmt: skip
    if given:
        return given, notes
    blank = [f"`{each}`" for each in said if each in keys]
    raise ConfigError(
        f"{', '.join(blank)} {'is' if len(blank) == 1 else 'are'} blank"
        if blank
        else "none of these names is about a LlamaFactory chat",
        where=name,
        hint="names such as CHAT_MODE, CHAT_SCRIPT_PATH, REMOTE_WORK_DIR, SSH_HOST",
    )


def _leave_out(
    given: dict[str, str], key: str, error: ConfigError, where: str, notes: list[str]
) -> None:
    """Note a name that other programs have, too; raises the error of one of the chat's own."""
    if given[key] in ITS_OWN:
        raise error
    notes.append(f"{where}: `{given.pop(key)}` is left out: {error.cause}")


def _told(
    mistake: Mistake, given: Mapping[str, str], said: Mapping[str, tuple[str, int]], name: str
) -> tuple[str, ConfigError]:
    """The key that a mistake is about, and the error with the place of the name that says it."""
    error = mistake.as_error()
    # Under `limits` stand what the time limit became.
    parts = {"timeout" if part == "limits" else str(part) for part in mistake.key}
    key = next((key for key in given if key in parts), "")
    if key:
        error.where = f"{name}:{said[given[key]][1]}"
    return key, error


def _value(key: str, variable: str, value: str, where: str) -> Any:
    """The value as the configuration has it.

    Raises: ConfigError.
    """
    if key == "password_env":
        return variable  # never what it holds
    if key == "key" and KEY_ITSELF in value:
        raise ConfigError("it holds a key; write that to a file and name it: `key: PATH`")
    if key == "mode":
        if value.lower() not in MODES:
            raise ConfigError(
                f"`{value}` is no mode", where=where, hint=f"one of: {', '.join(MODES)}"
            )
        return value.lower()
    if key in ("port", "timeout"):
        try:
            return json.loads(value) + 0
        except (ValueError, TypeError) as error:
            raise ConfigError(f"`{variable}` is no number: `{value}`", where=where) from error
    if key == "url" and (trouble := url_trouble(value)):
        raise ConfigError(trouble[0], where=where, hint=trouble[1])
    return with_variables(value)


def _fit(entry: dict[str, Any], given: Mapping[str, str], notes: list[str]) -> None:
    """Leave out what has no effect, and say what is missing."""
    mode = entry.get("mode", "script")
    if mode != "script" and entry.pop("script_path", None) is not None:
        notes.append(f"`{given['script_path']}` is left out: the mode {mode} runs no script")
    if "host" not in entry:
        for key in OF_HOST:
            if entry.pop(key, None) is not None:
                notes.append(f"`{given[key]}` is left out: no host is named")
        if "REMOTE_WORK_DIR" in given.values():
            notes.append("no host is named: REMOTE_WORK_DIR is taken for one of this machine; "
                         "where it is another's, add `host: NAME`")  # fmt: skip
    else:
        notes.append(
            "before it is served, the host's key has to be trusted: "
            f"trueup backends trust-host {BACKEND} --config FILE"
        )
    if mode != "api" and entry.pop("url", None) is not None:
        notes.append(f"`{given['url']}` is left out: the mode {mode} asks no URL")
    if "password_env" in entry:
        notes.append(f"the password is not copied: export {entry['password_env']} to the server")
    if "base_model_path" not in entry and "script_path" not in entry and "url" not in entry:
        entry["base_model_path"] = "${env.BASE_MODEL_PATH}"
        notes.append("no base model is named: write `base_model_path`, or export BASE_MODEL_PATH")
    if (timeout := entry.pop("timeout", None)) is not None:
        entry["limits"] = {"first_token_seconds": timeout, "total_seconds": timeout}


def _text(entry: Mapping[str, Any], name: str) -> str:
    lines = [f"# Written by `trueup config import` from {json.dumps(name)}.", "config_version: 1",
             "backends:", f"  {BACKEND}:"]  # fmt: skip
    for key, value in entry.items():
        if isinstance(value, Mapping):
            lines.append(f"    {key}:")
            lines += [f"      {inner}: {scalar(each)}" for inner, each in value.items()]
        else:
            lines.append(f"    {key}: {scalar(value)}")
    return "\n".join(lines) + "\n"
