"""What a suite tests of a server that runs already, by its own list of models."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from trueup.cli.report import model_report
from trueup.cli.suite_system import System, unknown_words
from trueup.config.settings import Acceptance, RoleSettings
from trueup.errors import TrueUpError, UsageError
from trueup.suite.case import Problem, Subject, Verdict
from trueup.suite.model_cases import check_verdict
from trueup.suite.planning import Examined

LISTS = ("languages", "prompts")


def running_system(
    rows: Sequence[Mapping[str, Any]],
    named: Sequence[str],
    *,
    url: str,
    kind: str | None,
    roles: Iterable[RoleSettings],
    folder: Path,
    is_here: bool,
) -> System:
    """The system that a server's rows of /v1/models tell of.

    `roles` are those of a configuration file, by whose acceptance roles of these names are
    judged; `kind` is that of models whose server does not say. `is_here`: the server runs on this
    machine.

    Raises:
        UsageError: it serves nothing, or not what was named.
    """
    known = {str(row.get("id")): row.get("trueup") or {} for row in rows}
    wanted = [name for name, ours in known.items() if "alias_of" not in ours]
    if unknown := [word for word in named if word not in known]:
        raise unknown_words(unknown, list(known))
    if named:
        names = [known[word].get("alias_of") or word for word in named]
        chains = [known[name].get("role", {}).get("chain", ()) for name in names if name in known]
        wanted = list(dict.fromkeys((*names, *(each for chain in chains for each in chain))))
    if not wanted:
        raise UsageError("the server serves no model", where=url)
    own_roles = {role.name: role for role in roles}
    system = System(folder=folder, environment={"url": url})
    for name in wanted:
        ours = known.get(name) or {}
        if (role := ours.get("role")) is not None:
            its = own_roles.get(name) or _role(name, role)
            system.roles = (*system.roles, its)
        else:
            system.tested.append(replace(_tested(name, ours, kind), is_here=is_here))
    return system


def _role(name: str, role: Mapping[str, Any]) -> RoleSettings:
    known = {each.name for each in fields(Acceptance)}
    stated = {key: value for key, value in (role.get("acceptance") or {}).items() if key in known}
    lists = {key: tuple(stated[key]) for key in LISTS if key in stated}
    acceptance = Acceptance(**{**stated, **lists})
    return RoleSettings(name=name, chain=tuple(role.get("chain") or ()), acceptance=acceptance)


def _tested(name: str, ours: Mapping[str, Any], kind: str | None) -> Examined:
    plan = ours.get("plan")
    subject = Subject(
        id=name,
        type="backend" if plan is None else "model",
        name=name,
        kind=ours.get("kind") or kind or "chat",
        source=None if plan is None else plan["model"]["source"],
        plan=plan,
        is_ours=plan is not None,
    )
    folder = None if plan is None else plan["model"].get("directory")
    if not folder or not os.path.isdir(folder):
        return Examined(subject=subject)
    started = time.monotonic()
    try:
        report, _ = model_report("check", folder)
        verdict = check_verdict({**report, "plan": plan})
    except TrueUpError as error:
        verdict = Verdict(problem=Problem.of(error))
    seconds = time.monotonic() - started
    return Examined(subject=subject, check=verdict, check_seconds=seconds)
