"""What a check could not look at, so that nobody takes its silence for an answer."""

from __future__ import annotations

from collections.abc import Iterable

from trueup.doctor.finding import Finding, Where
from trueup.doctor.rule import Facts, Rule

REPORT = "report it with the model's name; what else is told here holds"


class NotFollowedToItsEnd(Rule):
    """The model's own code was not followed to its end.

    That would have taken too long, or the check met code that it cannot read. More may break than
    is told.

    Run the model to see the rest; what is told holds.
    """

    code = "CODE103"
    stage = "import"
    severity = "info"
    evidence = "index"
    blocks = ()

    def check(self, facts: Facts) -> Iterable[Finding]:
        if facts.walked is None:
            return
        where = Where(path=next(iter(facts.code.modules), None))
        if facts.walked.is_exhausted:
            yield self.found(
                "the model's own code was not followed to its end, because that takes too long: "
                "more may break than is told here",
                where=where,
            )
        for stage, problem in facts.walked.lost.items():
            yield self.found(
                f"the model's own code was not followed through `{stage}`, by a bug of the "
                f"check's: {problem}",
                where=where,
                hint=REPORT,
            )


class RuleFailed(Rule):
    """A rule could not be asked, by a bug of the check's.

    What it looks for may be there.

    Report the bug with the model's name; what the other rules tell holds.
    """

    code = "CODE104"
    stage = "import"
    severity = "info"
    evidence = "index"
    blocks = ()

    def check(self, facts: Facts) -> Iterable[Finding]:
        """It is found where rules are asked."""
        return ()

    def of(self, rule: Rule, error: Exception) -> Finding:
        """That `rule` ended in `error`."""
        return self.found(
            f"the rule {rule.code} could not be asked, by a bug of the check's: "
            f"{type(error).__name__}: {error}",
            where=Where(),
            hint=REPORT,
            stage=rule.stage,
        )


RULES: tuple[Rule, ...] = (NotFollowedToItsEnd(), RuleFailed())
