"""A fault as a row of data, and the cases that are made from it.

A case is a fault, how long it lasts, and whether the client asks for a stream.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.faults.steps import Play

Verdict = Literal["complete", "error", "broken"]
# What a case may end in: whole where an error will not do, either where both are honest.
COMPLETE: frozenset[Verdict] = frozenset({"complete"})
ERROR: frozenset[Verdict] = frozenset({"error"})
EITHER: frozenset[Verdict] = frozenset({"complete", "error"})

ONCE = "once"
TWICE = "twice"
FIVE_TIMES = "five-times"
ALWAYS = "always"
STREAM_ONLY = "stream-only"
NOT_A_FAULT = "nothing of the answer is missing, however oddly it is said"
AGAIN = "the same server answers rightly when it is asked again"
BY_PLAIN = "the same server answers rightly without streaming"
NO_WAY = "this server alone gives no whole answer"
BY_PARAMETER = "it answers once the parameter is left out, renamed or emulated"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One way to answer badly.

    `stream` and `plain` play it to requests with and without streaming; where one is None such
    requests are answered rightly. `lasts` maps how long it lasts to what the faulty server
    alone must end in, and why. `asks` is added to the client's request; `backend` to the
    gateway's configuration of this server; `drops` are parameters that may be left out for it.
    `also` are further texts that are right: a bad byte becomes U+FFFD. `unplayed` needs a port
    where nobody listens. `holds`: how a healthy second server ends.
    """

    name: str
    family: str
    stream: Play | None = None
    plain: Play | None = None
    lasts: Mapping[str, tuple[frozenset[Verdict], str]] = field(default_factory=dict)
    asks: Mapping[str, Any] = field(default_factory=dict)
    backend: Mapping[str, Any] = field(default_factory=dict)
    drops: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    answer: str = ""
    varies: bool = False
    continues: bool = False
    is_unplayed: bool = False
    holds: frozenset[Verdict] = COMPLETE
    path: str = "/v1/chat/completions"
    modes: tuple[bool, ...] = (True, False)

    @property
    def cases(self) -> Iterator[Case]:
        """Each way in which it can be met, streaming first."""
        for is_stream in self.modes:
            play = self.stream if is_stream else self.plain
            if play is None and not self.is_unplayed:
                continue
            for lasts, (alone, why) in self._lasts(is_stream).items():
                yield Case(fault=self, lasts=lasts, is_stream=is_stream, alone=alone, why=why)

    def _lasts(self, is_stream: bool) -> Mapping[str, tuple[frozenset[Verdict], str]]:
        if self.lasts:
            return self.lasts
        found = {ONCE: (COMPLETE, AGAIN)}
        if not is_stream:
            return {**found, ALWAYS: (ERROR, NO_WAY)}
        if self.plain is None:
            return {**found, ALWAYS: (COMPLETE, BY_PLAIN)}
        return {**found, STREAM_ONLY: (COMPLETE, BY_PLAIN), ALWAYS: (ERROR, NO_WAY)}


@dataclass(frozen=True, kw_only=True)
class Case:
    """A fault that lasts so long, met with or without streaming."""

    fault: Fault
    lasts: str
    is_stream: bool
    alone: frozenset[Verdict]
    why: str

    @property
    def name(self) -> str:
        """Its name in tables and tests."""
        return f"{self.fault.name}:{self.lasts}:{'stream' if self.is_stream else 'plain'}"

    @property
    def marker(self) -> str:
        """What a request holds, in its model's name or a message, to be answered like this."""
        return f"fault:{self.fault.name}:{self.lasts}"


def is_faulty(lasts: str, played: int, is_stream: bool) -> bool:
    """Whether a fault is played to a request that follows `played` others of the same key."""
    if lasts == STREAM_ONLY:
        return is_stream
    return {ONCE: played < 1, TWICE: played < 2, FIVE_TIMES: played < 5, ALWAYS: True}[lasts]
