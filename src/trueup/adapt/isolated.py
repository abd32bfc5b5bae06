"""The isolated route: the model's own code with the releases that it works with.

In an environment that TrueUp builds (`isolate/`), or in one that the user has. Nothing is built
and no network is asked here; what is there is looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from packaging.version import Version

from trueup.adapt.isolate.advisories import Advisory, advisories_of
from trueup.adapt.isolate.interpreters import MINORS, minor_of
from trueup.adapt.isolate.pins import FIRST_RELEASE, MEGABYTE
from trueup.adapt.isolate.planned import PlannedEnvironment, planned_environment
from trueup.adapt.own_code import ONE_AT_A_TIME, against_own_code, own_implementation, own_kind
from trueup.adapt.plan import Caveat
from trueup.adapt.route import RouteFacts, RouteOption, closing_words, codes
from trueup.checkpoint.checkpoint import Checkpoint
from trueup.doctor.examine import examine
from trueup.doctor.report import is_avoided
from trueup.environment.environment import Environment
from trueup.environment.packages import read_environment
from trueup.errors import ConfigError

OLDEST = min(FIRST_RELEASE.values())


def isolated_option(facts: RouteFacts) -> RouteOption:
    """The model's own code, unchanged, in an environment of its own."""
    against = (*against_own_code(facts, "isolated"), *closing_words(facts.findings, "isolated"))
    if against:  # no release is worth looking for
        return RouteOption(route="isolated", against=against, runs_own_code=True)
    if facts.wishes.python is not None:
        environment, why, against = _users(facts.checkpoint, facts.wishes.python)
    else:
        planned = planned_environment(facts.checkpoint, facts.environment)
        if isinstance(planned, str):
            environment, why, against = None, (), (planned,)
        else:
            environment, why = planned.as_dict(), (*planned.why, *_building_words(planned))
    return RouteOption(
        route="isolated",
        against=against,
        why=why,
        family=facts.candidate.family or facts.checkpoint.model_type,
        implementation=own_implementation(facts.checkpoint),
        kind=own_kind(facts),
        caveats=(ONE_AT_A_TIME, *_caveats(environment)),
        environment=environment,
        avoided=codes(each for each in facts.findings if is_avoided(each, "isolated")),
        runs_own_code=True,
    )


def _building_words(planned: PlannedEnvironment) -> tuple[str, ...]:
    if planned.is_built:
        return ()
    if planned.built is not None:
        return (f"its environment has to be built anew: {planned.built.fault}",)
    download = planned.download_bytes / MEGABYTE
    disk = planned.disk_bytes / MEGABYTE
    return (
        f"its environment is not built yet: about {download:,.0f} MB to download, {disk:,.0f} MB "
        f"on the disk; `{planned.command}`",
    )


def _caveats(environment: Mapping[str, Any] | None) -> tuple[Caveat, ...]:
    """The ways to run code that the chosen release has, where loading a model can meet them."""
    if environment is None:
        return ()
    # Of an environment of the user's nothing was chosen.
    alone = ", and no release without one will do" if environment["is_ours"] else ""
    release, known = environment["transformers"], environment["advisories"]
    return tuple(
        Caveat(
            code="ADVISORY",
            text=f"transformers {release} has {each['id']}{alone}: {each['reason']}.",
        )
        for each in known
        if each["is_reached"]
    )


def _users(
    checkpoint: Checkpoint, python: str
) -> tuple[dict[str, Any] | None, tuple[str, ...], tuple[str, ...]]:
    """An environment that the user has: its shape, why it will do, what speaks against it."""
    path = Path(python).expanduser()
    try:
        environment = read_environment(path)
    except ConfigError as error:
        return None, (), (f"`python: {python}`: {error.cause}",)
    against = against_packages(environment, python)
    if against:
        return None, (), against
    release = environment.transformers
    findings = examine(checkpoint, environment)
    errors = [each for each in findings if each.severity == "error"]
    if errors:
        met = (f"{each.code}: {each.cause}" for each in errors)
        return None, (), tuple(f"with `{python}` (transformers {release}), {told}" for told in met)
    why = f"`{python}` has transformers {release}, with which it should work"
    return _users_shape(environment, path), (why,), ()


def against_packages(environment: Environment, python: str) -> tuple[str, ...]:
    """Why an interpreter of the user cannot run a worker; nothing where it can."""
    minor, release = minor_of(environment.python_version), environment.transformers
    if minor not in MINORS:
        expected = ", ".join(MINORS)
        return (f"`{python}` is Python {environment.python_version}, expected one of {expected}",)
    lacking = [name for name in ("torch", "transformers") if name not in environment.packages]
    if lacking:
        return (f"`{python}` lacks {' and '.join(f'`{name}`' for name in lacking)}",)
    if release is not None and release < OLDEST:
        return (f"`{python}` has transformers {release}, expected {OLDEST} or newer",)
    return ()


def _users_shape(environment: Environment, path: Path) -> dict[str, Any]:
    interpreter = path / "bin" / "python" if path.is_dir() else path
    release = environment.packages["transformers"]
    known: tuple[Advisory, ...] = advisories_of(Version(release))
    return {
        "is_ours": False,
        "request": None,
        "lock": None,
        "python": str(interpreter.absolute()),
        "python_version": environment.python_version,
        "transformers": release,
        "torch": environment.packages["torch"],
        "packages": dict(sorted(environment.packages.items())),
        "download_bytes": 0,
        "disk_bytes": 0,
        "is_estimate": False,
        "shares_torch": False,
        "advisories": [each.as_dict() for each in known],
        "is_built": True,
        "interpreter": str(interpreter.absolute()),
        "command": None,
    }
