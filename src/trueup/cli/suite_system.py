"""What a suite tests: the models, backends and roles of a configuration or of the command line.

Models are checked here, before anything is loaded; the configuration of the private server has
those alone that can run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from trueup.adapt.wishes import wishes_of
from trueup.cli.report import model_report
from trueup.cli.roles import check_roles
from trueup.config.names import listing, nearest
from trueup.config.settings import AnyBackendSettings, ModelSettings, RoleSettings, Settings
from trueup.errors import TrueUpError, UsageError
from trueup.suite.case import Place, Problem, Subject, Verdict
from trueup.suite.model_cases import check_verdict
from trueup.suite.planning import Examined

UNSERVED = ("name", "places", "ttl_seconds")


@dataclass(slots=True, kw_only=True)
class System:
    """What is tested; `served` is the configuration of a server of it, in plain types.

    `environment` says by which libraries it was judged. `is_whole` is false where the checks were
    interrupted.
    """

    tested: list[Examined] = field(default_factory=list)
    roles: tuple[RoleSettings, ...] = ()
    folder: Path = Path()
    environment: dict[str, Any] = field(default_factory=dict)
    served: dict[str, Any] = field(default_factory=dict)
    is_whole: bool = True

    @property
    def can_serve(self) -> bool:
        """Whether anything is left to be asked."""
        return bool(self.served.get("models") or self.served.get("backends"))


def chosen(settings: Settings, named: Sequence[str], added: ModelSettings) -> Settings:
    """What MODELs of a command line choose of a configuration; none choose all of it.

    A MODEL that is no name of the file is a source, with the wishes of `added`. A chosen role
    brings its chain, a chosen model is judged by its roles.

    Raises: UsageError for a word that can be neither.
    """
    if not named:
        return settings
    aliases = {each.name: each.target for each in settings.aliases}
    chains = {role.name: role.chain for role in settings.roles}
    known = {*(str(each.name) for each in settings.models), *(b.name for b in settings.backends)}
    every = [*known, *chains, *aliases]
    names: set[str] = set()
    sources: list[str] = []
    for word in named:
        name = aliases.get(word, word)
        if name in chains:
            names.update(chains[name])
        elif name in known:
            names.add(name)
        elif every and not _is_source(word):
            raise UsageError(
                f"`{word}` is neither a name of the configuration nor a directory nor a hub id",
                where="MODEL",
                hint=nearest(word, every),
            )
        else:
            sources.append(word)
    return replace(
        settings,
        models=(
            *(each for each in settings.models if each.name in names),
            *(replace(added, source=source) for source in dict.fromkeys(sources)),
        ),
        backends=tuple(each for each in settings.backends if each.name in names),
        roles=tuple(
            replace(role, chain=tuple(name for name in role.chain if name in names))
            for role in settings.roles
            if names.intersection(role.chain)
        ),
        aliases=(),
    )


def _is_source(word: str) -> bool:
    return "/" in word or word in ("demo", ".", "..") or Path(word).is_dir()


def examined_system(
    settings: Settings,
    backends: Mapping[str, Any],
    *,
    folder: Path,
    transformers: str | None,
    progress: Callable[[str], None],
    builds: Callable[[str], None] | None = None,
) -> System:
    """Check every model; `backends` are the file's own entries, their variables unreplaced.

    `builds` has environments built that models lack, and hears of it.

    An interrupt ends the checks and not the report: `is_whole` says so.

    Raises:
        ConfigError: two models have one name, or a chain mixes kinds.
    """
    system = System(roles=settings.roles, folder=folder)
    waiting = list(settings.models)
    try:
        while waiting:
            progress(f"(checking {waiting[0].name or waiting[0].source})")
            _add(
                system, _examined(waiting[0], transformers, builds, system.environment), waiting[0]
            )
            del waiting[0]
    except KeyboardInterrupt:
        system.is_whole = False
        for model in waiting:
            subject = Subject(id=_name(model), type="model", name=_name(model), kind=None)
            _add(system, Examined(subject=subject, is_unchecked=True, is_able=False), model)
    kinds = {each.subject.name: each.subject.kind or "" for each in system.tested}
    unable = [each.subject.name for each in system.tested if not each.is_able]
    for backend in settings.backends:
        system.tested.append(_backend(backend))
    able = {each.subject.name for each in system.tested if each.is_able}
    check_roles(settings, kinds, unable)
    system.tested = [_with_kind(each, system) for each in system.tested]
    system.served["backends"] = {each.name: backends[each.name] for each in settings.backends}
    system.served["roles"] = {
        role.name: {"chain": chain}
        for role in settings.roles
        if (chain := [name for name in role.chain if name in able])
    }
    return system


def _add(system: System, tested: Examined, model: ModelSettings) -> None:
    name = tested.subject.name
    if any(each.subject.name == name for each in system.tested):
        raise UsageError(
            f"two models are called `{name}`",
            where=model.source,
            hint="give them names in a configuration file: trueup suite --config FILE",
        )
    system.tested.append(tested)
    if tested.is_able:
        shape = {
            each.name: getattr(model, each.name)
            for each in fields(model)
            if each.name not in UNSERVED
        }
        # A model that goes when it is idle would be loaded again under a measurement.
        system.served.setdefault("models", {})[name] = {**shape, "ttl_seconds": None}


def _name(model: ModelSettings, identity: str | None = None) -> str:
    """The name that it is asked by: the file's, else the plan's, else what the plan's would be."""
    source = model.source
    is_path = source.startswith((".", "/", "~")) or Path(source).is_dir()
    name = model.name or identity or (Path(source).name if is_path else source) or source
    return "-".join(name.split())


def _examined(
    model: ModelSettings,
    transformers: str | None,
    builds: Callable[[str], None] | None,
    environment: dict[str, Any],
) -> Examined:
    started = time.monotonic()
    place = model.places.get("source") or model.places.get("")
    try:
        report, plan = model_report(
            "check",
            model.source,
            revision=model.revision,
            transformers=transformers,
            wishes=wishes_of(model),
            builds=builds,
        )
    except TrueUpError as error:
        told = Problem.of(error)
        where = told.where if place is None else Place.in_file(place)
        kind = None if model.kind == "auto" else model.kind
        name = _name(model)
        subject = Subject(
            id=name, type="model", name=name, kind=kind, source=model.source, is_ours=True
        )
        verdict = Verdict(problem=replace(told, where=where))
        seconds = time.monotonic() - started
        return Examined(subject=subject, check=verdict, check_seconds=seconds, is_able=False)
    if not environment:
        environment.update(_environment(report))
    name = _name(model, plan.model.id)
    subject = Subject(
        id=name,
        type="model",
        name=name,
        kind=plan.kind,
        source=model.source,
        plan=plan.as_dict(),
        place=place,
        is_ours=True,
    )
    return Examined(
        subject=subject,
        check=check_verdict(report),
        check_seconds=time.monotonic() - started,
        is_able=plan.route != "refused",
    )


def _environment(report: Mapping[str, Any]) -> dict[str, Any]:
    environment = report["environment"]
    packages = {"transformers": environment["transformers"]}
    if not environment["is_assumed"] and "torch" in environment["packages"]:
        packages["torch"] = environment["packages"]["torch"]
    return {"packages": packages, "python": environment["python_version"]}


def _backend(backend: AnyBackendSettings) -> Examined:
    subject = Subject(
        id=backend.name,
        type="backend",
        name=backend.name,
        kind=backend.kind,
        source=backend.url or getattr(backend, "base_model_path", None),
        place=backend.place or None,
    )
    return Examined(subject=subject)


def _with_kind(tested: Examined, system: System) -> Examined:
    """A model that could not be read is of the kind of those beside it in a chain."""
    if tested.subject.kind is not None:
        return tested
    kinds = {each.subject.name: each.subject.kind for each in system.tested}
    beside = _beside(tested.subject.name, system.roles)
    kind = next((kinds[name] for name in beside if kinds.get(name)), None)
    return replace(tested, subject=replace(tested.subject, kind=kind))


def _beside(name: str, roles: Sequence[RoleSettings]) -> Iterator[str]:
    for role in roles:
        if name in role.chain:
            yield from role.chain


def unknown_words(words: Sequence[str], known: Sequence[str]) -> UsageError:
    """The error of MODELs that a server does not serve."""
    return UsageError(
        f"{listing(words)} {'is' if len(words) == 1 else 'are'} not served there, "
        f"only {listing(known)}",
        where="MODEL",
    )
