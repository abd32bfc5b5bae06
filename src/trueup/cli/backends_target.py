"""Which server `trueup backends check` asks: a URL, or a backend of the configuration."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

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
    settings, stated = configured(word, arguments, environ)
    if not isinstance(settings, BackendSettings):
        return settings
    variable = arguments.api_key_env
    if key is None and settings.api_key is not None:
        key = settings.api_key.reveal()
        variable = stated or re.sub(r"\W", "_", settings.name.upper()) + "_API_KEY"
    return Target(
        name=settings.name,
        url=checked_url(settings.url, settings.place),
        preset=preset or settings.preset,
        model=arguments.model or settings.model,
        api_key=key,
        key_variable=variable,
    )


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
    name: str, arguments: argparse.Namespace, environ: Mapping[str, str]
) -> tuple[AnyBackendSettings, str | None]:
    """The backend of that name, and the variable that holds its key where the file names one.

    Raises:
        UsageError: no configuration is named.
        ConfigError: it cannot be used, or has no such backend.
    """
    from trueup.config.url import url_trouble

    if "://" in name or HOST_AND_PORT.match(name):
        cause, hint = url_trouble(name) or (f"`{name}` is no URL", None)
        raise UsageError(cause, where="NAME|URL", hint=hint)
    file = arguments.config or environ.get(CONFIG_VARIABLE)
    if not file:
        raise UsageError(
            f"`{name}` is no URL, and no configuration is named where it could be a backend",
            hint=f"trueup backends check {name} --config trueup.yaml",
        )
    # pydantic and ruamel.yaml cost a tenth of a second that a URL does not need.
    from trueup.config.document import read_document
    from trueup.config.load import load_config
    from trueup.config.names import nearest
    from trueup.config.variables import VARIABLE

    backends = {each.name: each for each in load_config(Path(file), environ).backends}
    if name not in backends:
        raise ConfigError(
            f"`{name}` is no backend of this configuration",
            where=str(file),
            hint=nearest(name, list(backends)),
        )
    entries = read_document(Path(file)).tree["backends"]
    entry = next(each for key, each in entries.items() if str(key) == name)
    found = VARIABLE.fullmatch(str(entry.get("api_key")).strip())
    return backends[name], found[1] if found else None
