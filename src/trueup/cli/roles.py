"""Roles and aliases of a server whose models are planned: checked, then served as names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from trueup.config.settings import RoleSettings, Settings
from trueup.errors import ConfigError
from trueup.gateway.router import Served, ServedAlias, ServedRole


def check_roles(settings: Settings, kinds: Mapping[str, str]) -> None:
    """See that the planned models, by name with their kinds, fit the roles and aliases.

    Raises:
        ConfigError: a MODEL of the command line has the name of a role or an alias, or a chain's
            models are of different kinds.
    """
    for each in settings.further_names:
        if each.name in kinds:
            what = "role" if isinstance(each, RoleSettings) else "alias"
            raise ConfigError(
                f"`{each.name}` names a MODEL of the command line and the {what} of this file",
                where=each.place,
                hint=f"rename the {what}",
            )
    places = {model.name: model.places.get("", "") for model in settings.models}
    for role in settings.roles:
        first: dict[str, str] = {}
        for name in role.chain:
            first.setdefault(kinds[name], name)
        if len(first) > 1:
            told = " and ".join(
                f"`{name}`, which is {kind} ({places[name]})" for kind, name in first.items()
            )
            raise ConfigError(
                f"the chain of `{role.name}` mixes {told}: what stands in for a model answers the "
                "same requests",
                where=role.place,
                hint="make a role of each kind",
            )


def served_names(
    settings: Settings, served: Iterable[Served]
) -> tuple[ServedRole | ServedAlias, ...]:
    """The roles and aliases of checked settings, on the models that are served."""
    models = {each.id: each for each in served}
    roles = {
        role.name: ServedRole(
            id=role.name,
            chain=tuple(models[name] for name in role.chain),
            acceptance=role.acceptance.as_dict(),
        )
        for role in settings.roles
    }
    targets: dict[str, Served | ServedRole] = {**models, **roles}
    aliases = tuple(
        ServedAlias(id=alias.name, target=targets[alias.target]) for alias in settings.aliases
    )
    return (*roles.values(), *aliases)
