"""How a failure reads when it is raised: what rules and catalogue recognise in a pasted error."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One way in which a failure reads.

    `patterns` are regular expressions, any of which recognises it; their named groups may stand
    in texts in braces. `seen_with` are expressions for files or functions of the traceback that
    make it likelier; a message that `is_broad` is a guess without one of them. `cause` and `hint`
    are None where the rule's own text says it; `since` and `until` where the rule's own gate
    does, or else the history of the name `dotted`, of which groups are part.
    """

    patterns: tuple[str, ...]
    cause: str | None = None
    hint: str | None = None
    seen_with: tuple[str, ...] = ()
    is_broad: bool = False
    since: str | None = None
    until: str | None = None
    dotted: str | None = None
