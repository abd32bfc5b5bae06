"""Decides how a model will be run, from facts alone: route, class, dtype, device, memory.

Pure and without torch; `planning.py` reads the facts first. Nothing is loaded here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from trueup.adapt.candidate import candidate_of
from trueup.adapt.embedding import is_embedding
from trueup.adapt.fixed import fixed_option
from trueup.adapt.forecast import Pair, forecast_candidate, is_forecast
from trueup.adapt.isolated import isolated_option
from trueup.adapt.own_code import own_implementation
from trueup.adapt.placement import Placement, place
from trueup.adapt.plan import ForecastPlan, Plan, PlannedModel
from trueup.adapt.route import RouteFacts, RouteOption, native_option
from trueup.adapt.sizes import ForecastSizes, against_context, context_tokens
from trueup.adapt.wishes import INT8, NO_WISHES, ONNXRUNTIME, TORCH, Wishes, check_wishes
from trueup.checkpoint.checkpoint import Checkpoint
from trueup.doctor.finding import Finding, Route
from trueup.environment.environment import Environment, Hardware

# In order of preference.
ROUTE_OPTIONS: Mapping[str, Callable[[RouteFacts], RouteOption]] = {
    "native": native_option,
    "fixed": fixed_option,
    "isolated": isolated_option,
}


def make_plan(
    checkpoint: Checkpoint,
    environment: Environment,
    hardware: Hardware,
    findings: tuple[Finding, ...],
    wishes: Wishes = NO_WISHES,
    *,
    found: Pair | None = None,
) -> Plan:
    """The plan for one checkpoint; a refusal is a plan too, with its reasons in `why`.

    `found` is the tokenizer of a forecasting model, which is a checkpoint of its own.

    1. What could run it natively: a mapped family, else the library under the same name.
    2. Where and in which dtype it would run, and whether it fits.
    3. The first route in the order of `ROUTE_OPTIONS` that nothing speaks against, or the pinned
       one alone. One that runs the model's own code needs the user's consent.

    Raises: ConfigError for a wish that cannot be meant.
    """
    check_wishes(wishes, context_tokens(checkpoint))
    forecasts = is_forecast(checkpoint, wishes.kind)
    embeds = not forecasts and is_embedding(checkpoint, environment, wishes.kind)
    pair = found or Pair()
    sizes = None
    if forecasts:
        sizes = ForecastSizes(tokenizer=pair.checkpoint, context_bars=pair.context_bars)
    placement = place(  # 2
        checkpoint, hardware, wishes, is_embedding=embeds, forecasting=sizes
    )
    if forecasts:  # 1
        candidate = forecast_candidate(pair, placement.dtype)
    else:
        candidate = candidate_of(
            checkpoint, environment, placement.dtype, wishes, is_embedding=embeds
        )
    facts = RouteFacts(
        checkpoint=checkpoint,
        environment=environment,
        findings=findings,
        wishes=wishes,
        candidate=candidate,
        dtype=placement.dtype,
        is_embedding=embeds,
        is_forecast=forecasts,
    )
    options = _options(facts)  # 3
    everywhere = (*against_context(checkpoint), *placement.against)
    taken = None if everywhere else next((each for each in options if not each.against), None)
    if taken is None:
        return _refused(facts, placement, options, everywhere)
    embedding = candidate.embedding if taken.route == "native" else None
    longest = context_tokens(checkpoint) if embedding is None else embedding.context_tokens
    return replace(
        _empty(checkpoint, placement, taken),
        route=taken.route,
        why=tuple(
            dict.fromkeys(
                (
                    *taken.why,
                    *_not_taken(options, taken),
                    *_unused(wishes, taken),
                    *placement.why,
                )
            )
        ),
        mapped=taken.mapped,
        caveats=(*taken.caveats, *placement.caveats),
        fixes=taken.fixes,
        environment=taken.environment,
        findings=taken.avoided,
        consent="needed" if taken.runs_own_code else "not needed",
        context_tokens=pair.context_bars if forecasts else _smaller(wishes.context_tokens, longest),
        embedding=None if embedding is None else embedding.plan,
        forecast=None
        if pair.checkpoint is None
        else ForecastPlan(tokenizer=_planned_model(pair.checkpoint)),
    )


def _options(facts: RouteFacts) -> list[RouteOption]:
    """The routes to look at, the preferred one first, up to one that nothing speaks against.

    A pinned one stands alone.
    """
    pinned = facts.wishes.route
    if pinned != "auto":
        return [ROUTE_OPTIONS[pinned](facts)]
    is_text = not (facts.is_embedding or facts.is_forecast)
    has_own = is_text and own_implementation(facts.checkpoint) is not None
    routes = ROUTE_OPTIONS if has_own else ("native",)
    options: list[RouteOption] = []
    for route in routes:  # each costs more to judge than the one before
        options.append(ROUTE_OPTIONS[route](facts))
        if not options[-1].against:
            break
    return options


def _unused(wishes: Wishes, taken: RouteOption) -> tuple[str, ...]:
    if wishes.python is None or taken.route == "isolated":
        return ()
    return (f"`{wishes.python}` is not used: an interpreter is for the route `isolated`",)


def _empty(checkpoint: Checkpoint, placement: Placement, option: RouteOption) -> Plan:
    """A refusal without reasons, of what `option` would run."""
    return Plan(
        model=_planned_model(checkpoint),
        route="refused",
        why=(),
        family=option.family,
        implementation=option.implementation,
        kind=option.kind,
        dtype=placement.dtype,
        device=placement.device,
        memory=placement.memory,
        engine=ONNXRUNTIME if placement.dtype == INT8 else TORCH,
    )


def _refused(
    facts: RouteFacts, placement: Placement, options: list[RouteOption], everywhere: tuple[str, ...]
) -> Plan:
    checkpoint, wishes, candidate = facts.checkpoint, facts.wishes, facts.candidate
    first, *others = options
    # Of what closes every route the later ones have nothing to add.
    told = set(first.against) | set(everywhere)
    why = [*first.against, *everywhere]
    for option in others:
        why += [
            f"route `{option.route}`: {reason}" for reason in option.against if reason not in told
        ]
    left = () if everywhere else _left_routes(facts)
    if wishes.route != "auto" and not everywhere:
        why.append(_left_words(left, wishes.route))
    longest = context_tokens(checkpoint)
    if candidate.embedding is not None:
        longest = candidate.embedding.context_tokens
    return replace(
        _empty(checkpoint, placement, first),
        why=tuple(dict.fromkeys(why)),
        other_route=min(left, key=lambda each: each != wishes.route, default=None),
        context_tokens=_smaller(wishes.context_tokens, longest),
    )


def _left_routes(facts: RouteFacts) -> tuple[Route, ...]:
    """Which routes are left where the pinned one cannot be.

    The same one is, where it could be in an environment that TrueUp builds.
    """
    wishes, pinned = facts.wishes, facts.wishes.route
    if pinned == "auto":
        return ()
    open_facts = replace(facts, wishes=replace(wishes, route="auto", python=None))
    return tuple(
        option.route
        for route, make in ROUTE_OPTIONS.items()
        if route != pinned or wishes.python is not None
        if not (option := make(open_facts)).against
    )


def _left_words(left: tuple[Route, ...], pinned: str) -> str:
    words = [
        f"`{each}`" + (" in an environment that TrueUp builds" if each == pinned else "")
        for each in left
    ]
    return f"the routes that are left: {', '.join(words)}" if words else "no other route is left"


def _not_taken(options: list[RouteOption], taken: RouteOption) -> tuple[str, ...]:
    """Why each preferred route is not the one."""
    before = options[: options.index(taken)]
    return tuple(
        f"not `{option.route}`: {reason}" for option in before for reason in option.against
    )


def _smaller(*limits: int | None) -> int | None:
    return min((limit for limit in limits if limit is not None), default=None)


def _planned_model(checkpoint: Checkpoint) -> PlannedModel:
    is_path = Path(checkpoint.source).name == checkpoint.directory.name
    return PlannedModel(
        id=checkpoint.directory.name if is_path else checkpoint.source,
        source=checkpoint.source,
        revision=checkpoint.revision,
        digest=checkpoint.digest,
        directory=str(checkpoint.directory),
    )
