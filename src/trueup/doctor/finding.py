"""Findings: what will break, where, since when, and what to do about it.

Data only. Rules make findings, plans avoid them, renderers show them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Severity = Literal["error", "warning", "info"]
Stage = Literal["import", "config", "init", "load", "tokenizer", "forward", "generate", "chat"]
Evidence = Literal["index", "observed", "reported"]
Route = Literal["native", "fixed", "isolated"]

ROUTES: tuple[Route, ...] = ("native", "fixed", "isolated")


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """A place in a model directory: a file, a line of it or a dotted key of it."""

    path: str | None = None
    line: int | None = None
    key: str | None = None

    def __str__(self) -> str:
        place = self.path or ""
        if self.line is not None:
            place += f":{self.line}"
        if self.key is not None:
            place += f": {self.key}" if place else self.key
        return place


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One root cause of a failure.

    `since` and `until` are transformers versions, the first one broken and the first one
    working again; `exception` is the type that is raised, with `where` and `function` the deepest
    place of the model's own code in its traceback; `blocks` names the routes that this finding
    closes: remote code that fails blocks `fixed` only where no fix is known, a missing shard
    blocks every route. `avoided_by` names routes that go around a finding which closes none.
    """

    code: str
    severity: Severity
    stage: Stage
    cause: str
    where: Where = Where()
    since: str | None = None
    until: str | None = None
    evidence: Evidence = "observed"
    hint: str | None = None
    exception: str | None = None
    function: str | None = None
    blocks: tuple[Route, ...] = ()
    avoided_by: tuple[Route, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The finding in the report's JSON shape."""
        shape = asdict(self)
        shape["blocks"] = list(self.blocks)
        shape["avoided_by"] = list(self.avoided_by)
        return shape
