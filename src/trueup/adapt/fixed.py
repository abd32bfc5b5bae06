"""The fixed route: the model's own code in this environment, with named fixes. Pure."""

from __future__ import annotations

from importlib.util import find_spec

from packaging.version import Version

from trueup.adapt.fixes.choice import Choice, choose_fixes
from trueup.adapt.fixes.trial import left_after
from trueup.adapt.own_code import ONE_AT_A_TIME, against_own_code, own_implementation, own_kind
from trueup.adapt.route import RouteFacts, RouteOption, closing_words, codes
from trueup.doctor.finding import Finding
from trueup.environment.environment import OLDEST_TRANSFORMERS
from trueup.errors import AdaptError

EXTRA = "pip install 'trueup[isolated]'"
# Why there is no fix: it would have to guess what the code is to compute.
UNREPAIRABLE = {
    "CFG105": "what such a configuration is as one of the library is its author's to say",
    "CODE101": "the failure is the code's own, and what it is to do instead its author's to say",
    "GEN106": "a class like that never generated, with any release",
    "IMP101": "nothing known stands in for that name",
    "SIG102": "what the arguments are to do now is not to be seen from the call",
}


def fixed_option(facts: RouteFacts) -> RouteOption:
    """The model's own code with the fixes that it calls for.

    Taken only where they answer every finding that closes the route.
    """
    against = (*against_own_code(facts, "fixed"), *_against_version(facts))
    version = facts.environment.transformers
    if against or version is None:
        unmet = closing_words(facts.findings, "fixed")
        return RouteOption(route="fixed", against=(*against, *unmet), runs_own_code=True)
    choice = choose_fixes(facts.checkpoint, version, facts.findings)
    return RouteOption(
        route="fixed",
        against=_unanswered_words(choice.unanswered) or _still_found_words(facts, choice, version),
        why=_words(choice, str(version)),
        family=facts.candidate.family or facts.checkpoint.model_type,
        implementation=own_implementation(facts.checkpoint),
        kind=own_kind(facts),
        caveats=(ONE_AT_A_TIME,),
        fixes=tuple(fix.title for fix in choice.fixes),
        avoided=_avoided(facts.findings, choice),
        runs_own_code=True,
    )


def _against_version(facts: RouteFacts) -> tuple[str, ...]:
    version = facts.environment.transformers
    if find_spec("libcst") is None:
        return (f"the package `libcst`, which fixes need, is not installed ({EXTRA})",)
    if version is None:
        return (f"transformers is not installed for `{facts.environment.python}`",)
    if version < OLDEST_TRANSFORMERS:
        return (
            f"transformers {version} is older than {OLDEST_TRANSFORMERS}, the oldest that TrueUp "
            "has fixes for",
        )
    return ()


def _unanswered_words(unanswered: tuple[Finding, ...]) -> tuple[str, ...]:
    return tuple(
        f"no fix answers {words}"
        + (f"; {UNREPAIRABLE[each.code]}" if each.code in UNREPAIRABLE else "")
        for each in unanswered
        for words in closing_words((each,), "fixed")
    )


def _still_found_words(facts: RouteFacts, choice: Choice, version: Version) -> tuple[str, ...]:
    """What the doctor still finds in the repaired code."""
    try:
        left = left_after(choice, facts.checkpoint, facts.environment, version)
    except AdaptError as error:
        return (error.cause,)
    return tuple(f"with its fixes still {words}" for words in closing_words(left, "fixed"))


def _words(choice: Choice, version: str) -> tuple[str, ...]:
    if not choice.fixes:
        return (f"nothing known breaks in the model's own code on transformers {version}",)
    answered = tuple(dict.fromkeys(code for each in choice.answered.values() for code in each))
    return (
        f"named fixes make the model's own code run on transformers {version}"
        + (f"; they answer {', '.join(answered)}" if answered else ""),
    )


def _avoided(findings: tuple[Finding, ...], choice: Choice) -> tuple[str, ...]:
    """Codes of which every finding that is an error is answered."""
    left = {each.code for each in choice.unanswered}
    answered = {code for each in choice.answered.values() for code in each}
    return tuple(code for code in codes(findings) if code in answered and code not in left)
