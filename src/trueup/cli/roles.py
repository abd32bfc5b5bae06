"""Roles and aliases of a server whose models are planned: checked, then served as names."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping

from trueup.config.settings import AliasSettings, AnyBackendSettings, RoleSettings, Settings
from trueup.errors import ConfigError
from trueup.gateway.router import Served, ServedAlias, ServedRole


def check_roles(settings: Settings, kinds: Mapping[str, str], refused: Container[str] = ()) -> None:
    """See that the planned models, by name with their kinds, fit backends, roles and aliases.

    What a model in `refused` would answer is not asked: nobody will see it.

    Raises:
        ConfigError: a MODEL of the command line has the name of a backend, a role or an alias,
            or those in a chain are of different kinds.
    """
    for each in (*settings.backends, *settings.further_names):
        if each.name in kinds:
            what = _word(each)
            raise ConfigError(
                f"`{each.name}` names a MODEL of the command line and the {what} there"
                if each.place
                else f"`{each.name}` names a MODEL and a {what}",
                where=each.place or None,
                hint=f"rename the {what}",
            )
    places = {model.name: model.places.get("", "") for model in settings.models}
    places.update((each.name, each.place) for each in settings.backends)
    known = {**kinds, **{each.name: each.kind for each in settings.backends}}
    for role in settings.roles:
        first: dict[str, str] = {}
        for name in role.chain:
            if name not in refused:
                first.setdefault(known[name], name)
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


def _word(named: AnyBackendSettings | RoleSettings | AliasSettings) -> str:
    if isinstance(named, AnyBackendSettings):
        return "backend"
    return "role" if isinstance(named, RoleSettings) else "alias"


def served_names(
    settings: Settings, served: Iterable[Served]
) -> tuple[ServedRole | ServedAlias, ...]:
    """The roles and aliases of checked settings, on the models and backends that are served."""
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
