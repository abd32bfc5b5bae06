"""Settings as they are shown: every key with its value, secrets hidden."""

from __future__ import annotations

import io
from dataclasses import asdict
from typing import Any

from ruamel.yaml import YAML

from trueup.config.schema import CURRENT_VERSION
from trueup.config.secret import HIDDEN
from trueup.config.settings import Settings

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
    server = asdict(settings.server)
    server["api_keys"] = [HIDDEN for _ in settings.server.api_keys]
    return {
        "config_version": CURRENT_VERSION,
        "server": server,
        "models": models,
        "roles": {
            role.name: {"chain": list(role.chain), "acceptance": role.acceptance.as_dict()}
            for role in settings.roles
        },
        "aliases": {alias.name: alias.target for alias in settings.aliases},
    }


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
