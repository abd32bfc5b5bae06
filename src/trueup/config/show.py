"""Settings as they are shown: every key with its value, secrets hidden."""

from __future__ import annotations

import io
from dataclasses import asdict, fields
from typing import Any

from ruamel.yaml import YAML

from trueup.config.llamafactory_settings import PRESET, LlamaFactorySettings
from trueup.config.schema import CURRENT_VERSION
from trueup.config.secret import HIDDEN
from trueup.config.settings import (
    PROFILES,
    AnyBackendSettings,
    ClientProfile,
    ServerSettings,
    Settings,
)

LINE_WIDTH = 100


def shown_tree(settings: Settings) -> dict[str, Any]:
    """The keys of a configuration file in plain types; a model without a name goes by its source.

    Reading it back gives the same settings but for the secrets, which are refused.
    """
    models = {}
    for model in settings.models:
        shape = asdict(model)
        del shape["name"], shape["places"]
        models[model.name or model.source] = shape
    return {
        "config_version": CURRENT_VERSION,
        "server": _server(settings.server),
        "models": models,
        "backends": {backend.name: _backend(backend) for backend in settings.backends},
        "roles": {
            role.name: {"chain": list(role.chain), "acceptance": role.acceptance.as_dict()}
            for role in settings.roles
        },
        "aliases": {alias.name: alias.target for alias in settings.aliases},
        "profiles": {name: _profile(each) for name, each in _profiles(settings).items()},
    }


def _server(server: ServerSettings) -> dict[str, Any]:
    shape: dict[str, Any] = {
        each.name: getattr(server, each.name) for each in fields(server) if each.name != "is_strict"
    }
    shape["api_keys"] = [
        {"name": key.name, "key": HIDDEN, "profile": key.profile} for key in server.api_keys
    ]
    return {**shape, "cors_origins": list(server.cors_origins), "strict": server.is_strict}


def _backend(backend: AnyBackendSettings) -> dict[str, Any]:
    shape = {each.name: getattr(backend, each.name) for each in fields(backend)}
    del shape["name"], shape["place"]
    shape["api_key"] = None if backend.api_key is None else HIDDEN
    if isinstance(backend, LlamaFactorySettings):
        ssh = shape.pop("ssh")
        told = {**shape, "preset": PRESET, **(asdict(ssh) if ssh is not None else {})}
        return {**told, "limits": asdict(backend.limits)}
    lists = {name: list(getattr(backend, name)) for name in ("drop", "unsupported", "ignored")}
    return {**shape, **lists, "limits": asdict(backend.limits)}


def _profiles(settings: Settings) -> dict[str, ClientProfile]:
    return {**PROFILES, **{each.name: each for each in settings.profiles}}


def _profile(profile: ClientProfile) -> dict[str, Any]:
    shape = asdict(profile)
    del shape["name"]
    return shape


def yaml_text(tree: dict[str, Any]) -> str:
    """A plain tree as YAML, in its own order."""
    yaml: Any = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False
    yaml.allow_unicode = True
    yaml.width = LINE_WIDTH
    text = io.StringIO()
    yaml.dump(tree, text)
    return text.getvalue()
