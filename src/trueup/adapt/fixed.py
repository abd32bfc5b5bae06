"""The fixed route: the model's own code in this environment, with named fixes. Pure."""

from __future__ import annotations

from trueup.adapt.own_code import against_own_code, own_implementation, own_kind
from trueup.adapt.route import RouteFacts, RouteOption, closing_words, codes
from trueup.environment.environment import OLDEST_TRANSFORMERS


def fixed_option(facts: RouteFacts) -> RouteOption:
    """The model's own code with the fixes that its findings and its text call for."""
    against = against_own_code(facts, "fixed")
    against = (*against, *_against_version(facts))
    return RouteOption(
        route="fixed",
        against=(*against, *closing_words(facts.findings, "fixed")),
        family=facts.candidate.family or facts.checkpoint.model_type,
        implementation=own_implementation(facts.checkpoint),
        kind=own_kind(facts),
        avoided=codes(()),
        runs_own_code=True,
    )


def _against_version(facts: RouteFacts) -> tuple[str, ...]:
    version = facts.environment.transformers
    if version is None:
        return (f"transformers is not installed for `{facts.environment.python}`",)
    if version < OLDEST_TRANSFORMERS:
        return (
            f"transformers {version} is older than {OLDEST_TRANSFORMERS}, the oldest that TrueUp "
            "has fixes for",
        )
    return ()
