"""The interpreter itself: no transformers, or one that nothing is known about yet."""

from __future__ import annotations

from collections.abc import Iterable

from trueup.doctor.finding import Finding, Where
from trueup.doctor.rule import Facts, Rule
from trueup.environment.environment import NEWEST_TRANSFORMERS


class TransformersMissing(Rule):
    """The interpreter has no transformers.

    Nothing can be loaded there. Install it, or name another interpreter with `--python`.
    """

    code = "ENV101"
    stage = "import"
    evidence = "index"
    blocks = ("native", "fixed")

    def check(self, facts: Facts) -> Iterable[Finding]:
        if facts.environment.transformers is None:
            python = facts.environment.python
            yield self.found(
                "transformers is not installed in this interpreter",
                where=Where(path=python),
                hint=f"{python} -m pip install transformers torch",
            )


class NewerThanKnown(Rule):
    """transformers is newer than the newest release that this version of TrueUp knows.

    What breaks there is not known yet. A newer TrueUp may know it.
    """

    code = "ENV105"
    stage = "import"
    severity = "info"
    evidence = "index"
    blocks = ()

    def check(self, facts: Facts) -> Iterable[Finding]:
        version = facts.environment.transformers
        if version is not None and version > NEWEST_TRANSFORMERS:
            yield self.found(
                f"transformers {version} is newer than {NEWEST_TRANSFORMERS}, the newest that this "
                "version of TrueUp knows: more may break than is told here",
                where=Where(path=facts.environment.python),
            )


RULES: tuple[Rule, ...] = (TransformersMissing(), NewerThanKnown())
