"""Which server `trueup backends check` asks: a URL, or a backend of the configuration."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueup.cli.settings import CONFIG_VARIABLE
from trueup.config.llamafactory_settings import LlamaFactorySettings
from trueup.config.settings import BackendSettings
from trueup.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from trueup.config.settings import AnyBackendSettings

DEFAULT_NAME = "backend"
# `localhost:8001`, which no backend is called.
HOST_AND_PORT = re.compile(r"[\w.-]+:\d+(?:/|$)|\[")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is to be checked; `url` ends where `/models` can follow, `preset` None is guessed."""

    name: str
    url: str
    preset: str | None = None
    model: str | None = None
    api_key: str | None = field(default=None, repr=False)
    key_variable: str | None = None


def target_of(
    arguments: argparse.Namespace, environ: Mapping[str, str]
) -> Target | LlamaFactorySettings:
    """The server that the words name, or the model that LlamaFactory runs.

    Raises:
        UsageError: they cannot be meant.
        ConfigError: the configuration cannot be used, or has no such backend.
    """
    word: str = arguments.server
    key = _key(arguments.api_key_env, environ)
    preset = _checked_preset(arguments.preset)
    if word.startswith(("http://", "https://")):
        url = checked_url(word)
        name = preset or DEFAULT_NAME
        return Target(
            name=name,
            url=url,
            preset=preset,
            model=arguments.model,
            api_key=key,
            key_variable=arguments.api_key_env,
        )
    _check_name(word)
    settings, entry = configured(word, arguments.config, environ, command="trueup backends check")
    if not isinstance(settings, BackendSettings):
        _check_unused(settings, arguments)
        return settings
    variable = arguments.api_key_env
    if key is None and settings.api_key is not None:
        key = settings.api_key.reveal()
        variable = _variable_of(entry) or re.sub(r"\W", "_", settings.name.upper()) + "_API_KEY"
    return Target(
        name=settings.name,
        url=checked_url(settings.url, settings.place),
        preset=preset or settings.preset,
        model=arguments.model or settings.model,
        api_key=key,
        key_variable=variable,
    )


def _check_name(word: str) -> None:
    """Tell what was meant as a URL."""
    from trueup.config.url import url_trouble

    if "://" in word or HOST_AND_PORT.match(word):
        cause, hint = url_trouble(word) or (f"`{word}` is no URL", None)
        raise UsageError(cause, where="NAME|URL", hint=hint)


def _check_unused(settings: LlamaFactorySettings, arguments: argparse.Namespace) -> None:
    """A model that LlamaFactory runs is looked at and not asked."""
    asking = ("preset", "model", "api_key_env")
    if stray := next((name for name in asking if getattr(arguments, name)), None):
        flag = f"--{stray.replace('_', '-')}"
        raise UsageError(
            f"`{flag}` is about a server, and LlamaFactory runs `{settings.name}` for us",
            where=flag,
            hint="leave it out",
        )
    if arguments.format == "yaml":
        raise UsageError(
            f"`--format yaml` prints the entry of a server, and `{settings.name}` has one",
            where="--format",
            hint="text or json",
        )


def _variable_of(entry: Mapping[str, Any]) -> str | None:
    """The variable that holds its key, where the file names one."""
    from trueup.config.variables import VARIABLE

    found = VARIABLE.fullmatch(str(entry.get("api_key")).strip())
    return found[1] if found else None


def checked_url(word: str, where: str = "NAME|URL") -> str:
    """The URL below which `/models` is.

    Raises:
        UsageError: it is none, or carries what may be a key, which is not repeated.
    """
    from trueup.backends.http import Address

    try:
        return str(Address(word))
    except ConfigError as error:
        hint = f"{error.hint}: --api-key-env VAR" if error.hint else "http://127.0.0.1:9997/v1"
        raise UsageError(error.cause, where=where, hint=hint) from error


def _checked_preset(preset: str | None) -> str | None:
    from trueup.backends.presets import PRESETS

    if preset is not None and preset not in PRESETS:
        names = ", ".join(f"`{name}`" for name in PRESETS)
        raise UsageError(f"`{preset}` is no preset", where="--preset", hint=f"known here: {names}")
    return preset


def _key(variable: str | None, environ: Mapping[str, str]) -> str | None:
    if variable is None:
        return None
    key = environ.get(variable, "").strip()
    if not key:
        raise UsageError(
            f"the environment variable `{variable}` is not set",
            where="--api-key-env",
            hint=f"export {variable}=…",
        )
    if not key.isascii() or not key.isprintable():
        raise UsageError(f"the key in `{variable}` is not printable ASCII", where="--api-key-env")
    return key


def configured(
    name: str, file: str | Path | None, environ: Mapping[str, str], *, command: str
) -> tuple[AnyBackendSettings, Mapping[str, Any]]:
    """The backend of that name, and its entry with the variables as they are written.

    `file` None is TRUEUP_CONFIG's; `command` is what the user wrote, for hints.

    Raises:
        UsageError: no configuration is named.
        ConfigError: it cannot be used, or has no such backend.
    """
    file = file or environ.get(CONFIG_VARIABLE)
    if not file:
        raise UsageError(
            f"no configuration is named that could have the backend `{name}`",
            hint=f"{command} {name} --config trueup.yaml",
        )
    # pydantic and ruamel.yaml cost a tenth of a second that a URL does not need.
    from trueup.config.document import read_document
    from trueup.config.load import load_config
    from trueup.config.names import nearest

    backends = {each.name: each for each in load_config(Path(file), environ).backends}
    if name not in backends:
        raise ConfigError(
            f"`{name}` is no backend of this configuration",
            where=str(file),
            hint=nearest(name, list(backends)),
        )
    entries = read_document(Path(file)).tree["backends"]
    return backends[name], next(each for key, each in entries.items() if str(key) == name)
