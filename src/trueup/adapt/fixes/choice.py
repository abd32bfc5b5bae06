"""Which fixes a model takes on a transformers, and which findings they leave unanswered. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from packaging.version import Version

from trueup.adapt.fixes import FIXES
from trueup.adapt.fixes.fix import Fix, FixFacts
from trueup.checkpoint.checkpoint import Checkpoint
from trueup.doctor.code import ModelCode
from trueup.doctor.finding import Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The fixes in the order in which they are applied, with the codes that each answers."""

    fixes: tuple[Fix, ...]
    answered: dict[str, tuple[str, ...]]
    unanswered: tuple[Finding, ...]


def choose_fixes(
    checkpoint: Checkpoint, transformers: Version, findings: Iterable[Finding]
) -> Choice:
    """Every fix that the code calls for; a finding is answered by a fix that applies."""
    facts = FixFacts(checkpoint, ModelCode(checkpoint), transformers)
    fixes = tuple(
        fix
        for fix in FIXES
        if (fix.since is None or facts.is_at_least(fix.since)) and fix.applies(facts)
    )
    answered: dict[str, tuple[str, ...]] = {fix.title: () for fix in fixes}
    unanswered = []
    for finding in findings:
        answering = [fix for fix in fixes if fix.mends(finding, facts)]
        for fix in answering:
            codes = (*answered[fix.title], finding.code)
            answered[fix.title] = tuple(dict.fromkeys(codes))
        if not answering and "fixed" in finding.blocks:
            unanswered.append(finding)
    return Choice(fixes=fixes, answered=answered, unanswered=tuple(unanswered))


def fixes_of(titles: Sequence[str]) -> tuple[Fix, ...]:
    """The fixes that a plan names. Raises: LookupError for one that is not, or no longer, ours."""
    known = {fix.title: fix for fix in FIXES}
    return tuple(known[title] for title in titles)
