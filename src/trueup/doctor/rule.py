"""What a rule is: a stable code, a gate of versions, and a pure check from facts to findings.

A rule's docstring is its documentation, a paragraph each: what is wrong; why and since when; what
to do.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from packaging.version import Version

from trueup.checkpoint.checkpoint import Checkpoint
from trueup.checkpoint.layouts.wanted import Compared, compare
from trueup.doctor.audit import Alarm, audit_module
from trueup.doctor.code import ModelCode
from trueup.doctor.finding import Evidence, Finding, Route, Severity, Stage, Where
from trueup.doctor.message import Message
from trueup.doctor.walk.doubt import walk_without_doubt
from trueup.doctor.walk.machine import World
from trueup.doctor.walk.stages import Walked
from trueup.environment.environment import Environment
from trueup.environment.symbols.symbols import symbols_of

# No model's code is followed for longer, whatever it is.
WALK_SECONDS = 20.0


def walk(checkpoint: Checkpoint, environment: Environment) -> Walked | None:
    """What the walk of a model's own code meets; None without code, or a known transformers."""
    if not checkpoint.remote_code:
        return None
    symbols = symbols_of(environment)
    version = environment.transformers
    if symbols is None or version is None:
        return None
    ends = time.monotonic() + WALK_SECONDS
    world = World(
        symbols=symbols,
        version=version,
        packages=environment.packages,
        modules=checkpoint.remote_code,
        files=frozenset(checkpoint.files),
        is_over=lambda: time.monotonic() > ends,
    )
    return walk_without_doubt(checkpoint, world)


@dataclass(frozen=True)
class Reading:
    """What a model's own code says by itself, whatever it is run with."""

    checkpoint: Checkpoint

    @cached_property
    def code(self) -> ModelCode:
        """The model's own code."""
        return ModelCode(self.checkpoint)

    @cached_property
    def alarms(self) -> tuple[Alarm, ...]:
        """What the audit of that code found."""
        modules = self.checkpoint.remote_code.values()
        return tuple(alarm for module in modules for alarm in audit_module(module))


@dataclass(frozen=True)
class Facts:
    """Everything that rules may look at.

    `reading` may be shared by facts about one checkpoint; `walks` follows its code.
    """

    checkpoint: Checkpoint
    environment: Environment
    reading: Reading | None = None
    walks: Callable[[Checkpoint, Environment], Walked | None] = walk

    @cached_property
    def _read(self) -> Reading:
        return self.reading or Reading(self.checkpoint)

    @property
    def code(self) -> ModelCode:
        """The model's own code."""
        return self._read.code

    @property
    def alarms(self) -> tuple[Alarm, ...]:
        """What the audit of the model's own code found."""
        return self._read.alarms

    @cached_property
    def compared(self) -> Compared | None:
        """The tensors against those of the library's class; None where it is not known well."""
        return compare(self.checkpoint)

    @cached_property
    def walked(self) -> Walked | None:
        """What the walk of that code met; None without code, or without a known transformers."""
        return self.walks(self.checkpoint, self.environment)


class Rule:
    """One thing that breaks. Rules with `since` or `until` need a known transformers.

    `since` is the first broken version and `until` the first one that works again; from
    `superseded` on it breaks in another way, which is another rule's. `blocks` are the routes
    that a finding of this rule closes; `messages` are how the failure reads in a pasted error.
    """

    code: ClassVar[str]
    stage: ClassVar[Stage]
    severity: ClassVar[Severity] = "error"
    since: ClassVar[str | None] = None
    until: ClassVar[str | None] = None
    superseded: ClassVar[str | None] = None
    evidence: ClassVar[Evidence] = "observed"
    blocks: ClassVar[tuple[Route, ...]] = ("fixed",)
    avoided_by: ClassVar[tuple[Route, ...]] = ()
    messages: ClassVar[tuple[Message, ...]] = ()

    def applies_to(self, transformers: Version | None) -> bool:
        """Whether the version is within the gate."""
        ends = [Version(end) for end in (self.until, self.superseded) if end is not None]
        if self.since is None and not ends:
            return True
        if transformers is None:
            return False
        # A release candidate has what its release has.
        release = Version(transformers.base_version)
        has_begun = self.since is None or release >= Version(self.since)
        return has_begun and all(release < end for end in ends)

    def check(self, facts: Facts) -> Iterable[Finding]:
        """What of this rule's kind is wrong; no input or output, no exception."""
        raise NotImplementedError

    def found(
        self,
        cause: str,
        *,
        where: Where,
        hint: str | None = None,
        stage: Stage | None = None,
        severity: Severity | None = None,
        blocks: tuple[Route, ...] | None = None,
    ) -> Finding:
        """A finding with what the rule says of itself."""
        return Finding(
            code=self.code,
            severity=severity or self.severity,
            stage=stage or self.stage,
            cause=cause,
            where=where,
            since=self.since,
            until=self.until,
            evidence=self.evidence,
            hint=hint,
            blocks=self.blocks if blocks is None else blocks,
            avoided_by=self.avoided_by,
        )
