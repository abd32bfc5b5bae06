"""Writes what a `.env` file says of a LlamaFactory chat as a configuration, and reads it back."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trueup.config.agents.convert import PLAIN, SHELL_VARIABLE, WORDS, Converted
from trueup.config.document import parsed_document
from trueup.config.load import check_document
from trueup.config.url import url_trouble
from trueup.config.variables import VARIABLE
from trueup.errors import ConfigError

BACKEND = "llamafactory"
LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)")
QUOTED = re.compile(r"""(["'])(.*?)\1\s*(?:#.*)?""")
COMMENT = re.compile(r"(?:^|\s)#.*")
MODES = ("script", "api", "cli")
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
OF_HOST = ("port", "user", "key", "password_env", "known_hosts", "proxy_jump")


def is_dotenv(raw: bytes) -> bool:
    """Whether a file is one of `NAME=value` lines, and no JSON."""
    for line in raw.decode("utf-8-sig", "replace").splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            return LINE.fullmatch(line.strip()) is not None
    return False


def read_dotenv(raw: bytes, name: str) -> dict[str, tuple[str, int]]:
    """The values and the numbers of their lines; a name that is said twice has its last value.

    Raises: ConfigError.
    """
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError("the file is not UTF-8", where=name) from error
    found = {}
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        match = LINE.fullmatch(stripped)
        if match is None:
            # Not repeated: it may be the rest of a key.
            raise ConfigError("this line is no `NAME=value`", where=f"{name}:{number}")
        quoted = QUOTED.fullmatch(match[2])
        found[match[1]] = (quoted[2] if quoted else COMMENT.sub("", match[2]).strip(), number)
    return found


def convert_dotenv(raw: bytes, name: str) -> Converted:
    """A configuration of a `.env` file; `name` is the file's in messages.

    Raises: ConfigError where it cannot be read, or says nothing of a chat.
    """
    said = read_dotenv(raw, name)
    given = {key: variable for key, names in NAMES.items() for variable in reversed(names)
             if said.get(variable, ("", 0))[0]}  # fmt: skip
    if not given:
        raise ConfigError(
            "none of these names is about a LlamaFactory chat",
            where=name,
            hint="names such as CHAT_MODE, CHAT_SCRIPT_PATH, REMOTE_WORK_DIR, SSH_HOST",
        )
    notes = [f"{name}:{said[each][1]}: `{each}` has no key here" for each in said
             if not any(each in names for names in NAMES.values())]  # fmt: skip
    entry: dict[str, Any] = {"preset": "llamafactory"}
    for key, variable in given.items():
        value, number = said[variable]
        entry[key] = _value(key, variable, value, f"{name}:{number}")
    _fit(entry, given, notes)
    text = _text(entry, Path(name).name)
    environ = dict.fromkeys(VARIABLE.findall(text), "set")
    document = parsed_document(Path(f"the configuration made of {name}"), text.encode())
    if errors := check_document(document, environ).errors:
        raise errors[0].as_error()
    return Converted(text=text, notes=tuple(notes), summary=f"1 backend, `{BACKEND}`")


def _value(key: str, variable: str, value: str, where: str) -> Any:
    """The value as the configuration has it.

    Raises: ConfigError.
    """
    if key == "password_env":
        return variable  # never what it holds
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
    return SHELL_VARIABLE.sub(r"${env.\1}", value)


def _fit(entry: dict[str, Any], given: Mapping[str, str], notes: list[str]) -> None:
    """Leave out what has no effect, and say what is missing."""
    mode = entry.get("mode", "script")
    if mode != "script" and entry.pop("script_path", None) is not None:
        notes.append(f"`{given['script_path']}` is left out: the mode {mode} runs no script")
    if "host" not in entry:
        for key in OF_HOST:
            if entry.pop(key, None) is not None:
                notes.append(f"`{given[key]}` is left out: no host is named")
    else:
        notes.append(f"next: trueup backends trust-host {BACKEND}, which asks for the host's key")
    if mode != "api":
        entry.pop("url", None)
    if "password_env" in entry:
        notes.append(f"the password is not copied: export {entry['password_env']} to the server")
    if "base_model_path" not in entry and "script_path" not in entry and "url" not in entry:
        entry["base_model_path"] = "${env.BASE_MODEL_PATH}"
        notes.append("no base model is named: write it, or export BASE_MODEL_PATH to the server")
    if (timeout := entry.pop("timeout", None)) is not None:
        entry["limits"] = {"first_token_seconds": timeout, "total_seconds": timeout}


def _text(entry: Mapping[str, Any], name: str) -> str:
    lines = [f"# Written by `trueup config import` from {json.dumps(name)}.", "config_version: 1",
             "backends:", f"  {BACKEND}:"]  # fmt: skip
    for key, value in entry.items():
        if isinstance(value, Mapping):
            lines.append(f"    {key}:")
            lines += [f"      {inner}: {_scalar(each)}" for inner, each in value.items()]
        else:
            lines.append(f"    {key}: {_scalar(value)}")
    return "\n".join(lines) + "\n"


def _scalar(value: Any) -> str:
    if isinstance(value, str) and PLAIN.fullmatch(value) and value.lower() not in WORDS:
        return value
    return json.dumps(value, ensure_ascii=False)
