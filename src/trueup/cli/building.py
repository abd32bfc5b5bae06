"""Environments that are built before a model is served: at a preload and in a suite, with consent.

Never for a request.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from trueup.errors import AdaptError, ConfigError

if TYPE_CHECKING:
    from trueup.adapt.plan import Plan
    from trueup.adapt.planning import PlannedFacts


def with_environment(
    make: Callable[[], PlannedFacts], builds: Callable[[str], None] | None
) -> PlannedFacts:
    """What `make` plans, made anew where an environment was built for it.

    One is built where `builds` is there, which is told of progress, and the user has agreed to
    the code that runs in it. One that cannot be had is told and is an error of the load: a model
    that stands in a chain with others must not keep them from being served.
    """
    facts = make()
    if builds is None or not _is_to_be_built(facts.plan):
        return facts
    told = f"environment of `{facts.plan.model.id}`: "
    _build(facts, lambda line: builds(f"{told}{line}"))
    return make()


def _is_to_be_built(plan: Plan) -> bool:
    environment = plan.environment or {}
    has_consent = plan.route == "isolated" and plan.consent == "given"
    return has_consent and environment.get("is_ours", False) and not environment.get("is_built")


def _build(facts: PlannedFacts, tell: Callable[[str], None]) -> None:
    from trueup.adapt.isolate.build import build_environment
    from trueup.adapt.isolate.planned import planned_environment

    planned = planned_environment(facts.checkpoint, facts.environment)
    if isinstance(planned, str):
        return
    try:
        build_environment(planned, tell=tell)
    except (AdaptError, ConfigError) as error:
        tell(f"it cannot be built: {error.cause}" + (f" ({error.where})" if error.where else ""))
