"""What an audit reports: one use of something that reaches beyond the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "obfuscated",  # hides what it runs
    "evaluates",  # makes code at run time and runs it
    "process",  # starts other programs
    "network",  # talks to other machines
    "unpickles",  # reads formats that can run code
    "native",  # loads or builds compiled code
    "imports",  # runs code from elsewhere, or changes what an import gives
    "secrets",  # reads keys and tokens
    "writes",  # writes, moves or deletes files
    "hidden",  # carries data that nobody can read
]
# The most alarming first.
KINDS: tuple[Kind, ...] = (
    "obfuscated", "evaluates", "process", "network", "unpickles", "native", "imports", "secrets",
    "writes", "hidden",
)  # fmt: skip
# After the name of a file.
DOES: dict[Kind, str] = {
    "obfuscated": "hides what it runs",
    "evaluates": "makes code while it runs and runs that",
    "process": "starts other programs",
    "network": "talks to other machines",
    "unpickles": "reads formats that can run code",
    "native": "loads or builds compiled code",
    "imports": "runs code from elsewhere",
    "secrets": "reads keys or tokens",
    "writes": "writes or deletes files",
    "hidden": "carries data that nobody can read",
}
SHOWN = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """One place; `function` is None where it runs as soon as the file is imported."""

    kind: Kind
    what: str
    path: str
    line: int
    function: str | None


def alarms_text(alarms: Sequence[Alarm]) -> str:
    """Alarms of one file and kind: what, at which lines, and whether importing is enough."""
    lines: dict[str, list[str]] = {}
    for alarm in alarms:
        at_import = " at import" if alarm.function is None and alarm.kind != "hidden" else ""
        lines.setdefault(alarm.what, []).append(f"{alarm.line}{at_import}")
    told = [
        f"{what} (line{'s' if len(places) > 1 else ''} {', '.join(places[:SHOWN])}"
        + (f" and {len(places) - SHOWN} more)" if len(places) > SHOWN else ")")
        for what, places in lines.items()
    ]
    more = f" and {len(told) - SHOWN} more" if len(told) > SHOWN else ""
    return ", ".join(told[:SHOWN]) + more
