"""Rules about what the walk of a model's code met: each names one kind of failure.

The first one that fits a failure makes its finding; so the narrow ones stand first.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import ClassVar

from packaging.version import Version

from trueup.doctor.finding import ROUTES, Evidence, Finding, Stage, Where
from trueup.doctor.rule import Facts, Rule
from trueup.doctor.walk.failure import Failure
from trueup.environment.symbols.symbols import Lifetime, lifetime

STAGES: dict[str, Stage] = {
    "import": "import", "config": "config", "tokenizer": "tokenizer", "init": "init",
    "load": "load", "forward": "forward", "generate": "generate",
}  # fmt: skip
LIBRARY = "transformers"


class FailureRule(Rule):
    """One kind of failure; `hint` is what to do, with the failure's words in braces.

    Where the model's own code is not in the traceback, a finding has no `function`, and its
    `where` is the place to look at.
    """

    cause: ClassVar[str] = "{message}"
    hint: ClassVar[str | None] = None
    evidence: ClassVar[Evidence] = "index"

    def check(self, facts: Facts) -> Iterable[Finding]:
        """What it finds is found by the walk."""
        return ()

    def fits(self, failure: Failure, stage: str) -> bool:
        """Whether the failure is of this kind."""
        raise NotImplementedError

    def of(self, failure: Failure, stage: str, facts: Facts) -> Finding:
        """The finding that a failure is."""
        words = self.words(failure, facts)
        place = failure.where
        life = self.life(failure, facts)
        made = self.found(
            self.cause.format(**words),
            where=Where(path=place.path, line=place.line) if place else self.place(failure, facts),
            hint=self.hint.format(**words) if self.hint else None,
            stage=STAGES[stage.partition(".")[0]],
            severity="error" if failure.is_certain else "warning",
            blocks=None if failure.is_certain else (),
        )
        if not failure.is_certain and not made.avoided_by:
            # What may fail closes no route, and those that go around it go around it still.
            around = tuple(route for route in ROUTES if route not in self.blocks)
            made = replace(made, avoided_by=around)
        since, until = self.gate(failure)
        if life is not None:
            since = str(life.since) if life.since is not None else None
            until = str(life.until) if life.until is not None else None
        return replace(
            made,
            since=since,
            until=until,
            exception=failure.exception,
            function=place.function if place else None,
        )

    def place(self, failure: Failure, facts: Facts) -> Where:
        """Where to look, of what fails outside of the model's own code."""
        return Where()

    def words(self, failure: Failure, facts: Facts) -> dict[str, str]:
        """What the texts may name."""
        place = failure.where
        return {
            "message": failure.message,
            "subject": failure.subject or "it",
            "name": failure.subject.rpartition(".")[2],
            "owner": failure.owner,
            "owner_name": failure.owner.rpartition(".")[2],
            "function": place.function if place else "the library",
            "version": str(facts.environment.transformers),
        }

    def gate(self, failure: Failure) -> tuple[str | None, str | None]:
        """Since when, and until when, such a failure is met, where no name tells it."""
        return self.since, self.until

    def life(self, failure: Failure, facts: Facts) -> Lifetime | None:
        """Since when, and until when, what fails is so; None leaves it to the rule."""
        return None


def life_of(dotted: str, facts: Facts) -> Lifetime | None:
    """How long a name of the library has been, or has not been, as it is now."""
    version = facts.environment.transformers
    if version is None or not dotted.startswith(LIBRARY):
        return None
    return lifetime(dotted, Version(version.base_version))


def class_of_model(facts: Facts) -> Where:
    """Where the class that is loaded is defined."""
    owner = facts.code.model
    return owner.at(owner.node) if owner is not None else Where()


def class_of_config(facts: Facts) -> Where:
    """Where the configuration's class is defined."""
    owner = facts.code.config
    return owner.at(owner.node) if owner is not None else Where()
