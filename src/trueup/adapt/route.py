"""Route options: what one route would run, with the reasons for it and against it. Pure.

`planning.py` takes the first option that nothing speaks against.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from trueup.adapt.candidate import Candidate
from trueup.adapt.plan import Caveat, Kind
from trueup.adapt.wishes import Wishes
from trueup.checkpoint.checkpoint import Checkpoint
from trueup.doctor.finding import Finding, Route
from trueup.doctor.report import is_avoided
from trueup.environment.environment import Environment


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteFacts:
    """What every route is judged by; `candidate` is what could run the checkpoint natively."""

    checkpoint: Checkpoint
    environment: Environment
    findings: tuple[Finding, ...]
    wishes: Wishes
    candidate: Candidate
    dtype: str
    is_embedding: bool
    is_forecast: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteOption:
    """One route that a checkpoint could take.

    `against` closes it; `avoided` are the codes of the findings that it goes around;
    `runs_own_code` says that the user has to agree first.
    """

    route: Route
    against: tuple[str, ...] = ()
    why: tuple[str, ...] = ()
    family: str | None = None
    implementation: str | None = None
    kind: Kind = "chat"
    mapped: tuple[str, ...] = ()
    caveats: tuple[Caveat, ...] = ()
    fixes: tuple[str, ...] = ()
    environment: dict[str, object] | None = None
    avoided: tuple[str, ...] = ()
    runs_own_code: bool = False


def native_option(facts: RouteFacts) -> RouteOption:
    """The library's own class, under its own name or by a mapping."""
    candidate = facts.candidate
    avoided = codes(each for each in facts.findings if is_avoided(each, "native"))
    told = f"avoided, because only the model's own code meets them: {', '.join(avoided)}"
    return RouteOption(
        route="native",
        against=(*candidate.against, *closing_words(facts.findings, "native")),
        why=(*candidate.why, *((told,) if avoided else ())),
        family=candidate.family,
        implementation=candidate.implementation,
        kind=candidate.kind,
        mapped=candidate.mapped,
        caveats=candidate.caveats,
        avoided=avoided,
    )


def closing_words(findings: Iterable[Finding], route: Route) -> tuple[str, ...]:
    """The findings that close `route`, as reasons."""
    return tuple(
        f"{each.code}: {each.cause}" + (f" ({each.where})" if str(each.where) else "")
        for each in findings
        if route in each.blocks
    )


def codes(findings: Iterable[Finding]) -> tuple[str, ...]:
    """The codes of findings, each once."""
    return tuple(dict.fromkeys(each.code for each in findings))
