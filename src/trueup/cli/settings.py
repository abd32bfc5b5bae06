"""What `trueup serve` is told: flags over the configuration file over the defaults."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from trueup.cli.backend_flag import FLAG, backends_of
from trueup.config.secret import Secret
from trueup.config.settings import (
    AnyBackendSettings,
    ApiKey,
    ModelSettings,
    ServerSettings,
    Settings,
)
from trueup.errors import ConfigError, UsageError

CONFIG_VARIABLE = "TRUEUP_CONFIG"
KEY_VARIABLE = "TRUEUP_API_KEY"
WISHES = (
    "revision",
    "route",
    "dtype",
    "device",
    "kind",
    "pooling",
    "tokenizer",
    "context_tokens",
    "python",
    "ttl_seconds",
)
# `--python` of other commands names the interpreter that is judged.
OTHER_FLAGS = {"python": "--isolated-python"}


def settings_of(arguments: argparse.Namespace, environ: Mapping[str, str]) -> Settings:
    """What the flags, the configuration file and the environment say together.

    Flags win over the file. TRUEUP_API_KEY is one more key, and the file's where the file has the
    same; TRUEUP_CONFIG names the file where no flag does.

    Raises:
        UsageError: a flag's value cannot be meant.
        ConfigError: the file or a variable cannot be used.
    """
    _check_flags(arguments)
    settings = _configured(arguments, environ)
    server, models = with_key(settings.server, environ), settings.models
    for name in ("host", "port", "drain_seconds"):
        if (value := getattr(arguments, name)) is not None:
            server = replace(server, **{name: value})
    if arguments.require_proof:
        server = replace(server, require_proof=True)
    wishes = {name: value for name in WISHES if (value := getattr(arguments, name)) is not None}
    backends = _with_flags(settings, arguments.backends or (), environ)
    named = arguments.models or ([] if models or backends else ["demo"])
    added = tuple(ModelSettings(name=None, source=source, **wishes) for source in named)
    return replace(settings, server=server, models=(*models, *added), backends=backends)


def with_key(server: ServerSettings, environ: Mapping[str, str]) -> ServerSettings:
    """The settings with the key of TRUEUP_API_KEY, where that is set, as one more.

    Raises: ConfigError where it is no key.
    """
    key = environ.get(KEY_VARIABLE, "").strip()
    if not key:
        return server
    if not key.isascii() or not key.isprintable():
        raise ConfigError("the key is not printable ASCII", where=KEY_VARIABLE)
    added = ApiKey.of(Secret(key), name=KEY_VARIABLE)
    if any(each.sha256 == added.sha256 for each in server.api_keys):
        return server
    return replace(server, api_keys=(*server.api_keys, added))


def _with_flags(
    settings: Settings, flags: Sequence[str], environ: Mapping[str, str]
) -> tuple[AnyBackendSettings, ...]:
    """The backends of the file, then those of the flags, which replace those of their names.

    Raises: UsageError for the name of anything else in the file.
    """
    taken = {
        **{str(each.name): "a model" for each in settings.models},
        **{each.name: "a role" for each in settings.roles},
        **{each.name: "an alias" for each in settings.aliases},
    }
    asked = {each.name: each for each in settings.backends}
    for each in backends_of(flags, environ):
        if each.name in taken:
            raise UsageError(
                f"`{each.name}` is {taken[each.name]} of the configuration file already",
                where=FLAG,
                hint=f"give the server another name: {FLAG} NAME={each.url}",
            )
        asked[each.name] = each
    return tuple(asked.values())


def flag_of(name: str) -> str:
    """The flag of a setting."""
    return OTHER_FLAGS.get(name, f"--{name.replace('_', '-')}")


def _check_flags(arguments: argparse.Namespace) -> None:
    port, drain, ttl = arguments.port, arguments.drain_seconds, arguments.ttl_seconds
    if port is not None and not 0 <= port <= 65535:
        raise UsageError(f"the port is `{port}`, expected 0 to 65535", where="--port")
    if drain is not None and not (math.isfinite(drain) and drain >= 0):
        raise UsageError(f"`{drain:g}` s, expected 0 or more", where="--drain-seconds")
    if ttl is not None and not (math.isfinite(ttl) and ttl > 0):
        raise UsageError(f"`{ttl:g}` s, expected more than 0", where="--ttl-seconds")
    tokens = arguments.context_tokens
    if tokens is not None and tokens < 1:
        raise UsageError(f"`{tokens}` tokens, expected at least 1", where="--context-tokens")
    if arguments.revision is not None and len(arguments.models) != 1:
        raise UsageError(
            f"a revision and {len(arguments.models)} MODELs, expected 1 MODEL",
            where="--revision",
            hint="give each model its `revision` in a file: trueup serve --config FILE",
        )


def _configured(arguments: argparse.Namespace, environ: Mapping[str, str]) -> Settings:
    path, variable = arguments.config, None
    if path is None and (named := environ.get(CONFIG_VARIABLE)):
        path, variable = Path(named), CONFIG_VARIABLE
    if path is None:
        return Settings()
    # pydantic and ruamel.yaml cost a tenth of a second that a plain start does not need.
    from trueup.config.load import load_config

    try:
        return load_config(path, environ)
    except ConfigError as error:
        if variable and not path.is_file():
            error.where = f"{variable}={path}"
            error.hint = f"name an existing file, or: unset {variable}"
        raise
