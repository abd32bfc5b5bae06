"""The shape of a known failure: how its error reads, what causes it, what to do."""

from __future__ import annotations

from dataclasses import dataclass

CHECK, PLAN, CHAT, SERVE = (
    "trueup check MODEL",
    "trueup plan MODEL",
    "trueup chat MODEL",
    "trueup serve MODEL",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """One known failure.

    `patterns` are regular expressions, any of which recognises it; their named groups may stand
    in `cause` and `hint` in braces. `seen_with` are expressions for files or functions of the
    traceback that make it likelier; a row that `is_broad` is a guess without one of them. A
    `code` of a rule takes `since` and `until` from that rule. `command` is the TrueUp command
    that helps, None where none does.
    """

    code: str
    patterns: tuple[str, ...]
    cause: str
    hint: str
    command: str | None = None
    since: str | None = None
    until: str | None = None
    seen_with: tuple[str, ...] = ()
    is_broad: bool = False
