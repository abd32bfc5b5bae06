"""Reports as text for people: every line complete without colour, rich only on a terminal."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TextIO

PIPED_WIDTH, NARROWEST, WIDEST = 100, 50, 110
LABEL_WIDTH = 7
INDENT = "  "
STYLES = {
    "title": "bold",
    "error": "bold red",
    "warning": "bold yellow",
    "info": "bold cyan",
    "avoided": "green",
    "dim": "dim",
    "plain": "",
    "good": "bold green",
    "bad": "bold red",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One line and what it is, from which its colour follows."""

    text: str
    kind: str = "plain"


def print_lines(lines: Iterable[Line], stream: TextIO | None = None) -> None:
    """Write the lines, in colour where the stream is a terminal that has it."""
    stream = sys.stdout if stream is None else stream
    if not stream.isatty():
        for line in lines:
            stream.write(f"{line.text}\n")
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(file=stream, highlight=False, markup=False, soft_wrap=True)
    for line in lines:
        console.print(Text(line.text, style=STYLES[line.kind]))


def error_lines(report: Mapping[str, Any], *, width: int | None = None) -> Iterator[Line]:
    """The answer to a pasted error."""
    width = terminal_width() if width is None else width
    error = report["error"]
    yield Line(f"error: {printable(error['message'])[:300]}", "title")
    if error["path"]:
        inside = f", in {error['function']}" if error["function"] else ""
        place = f"{error['path']}:{error['line']}{inside}"
        yield Line(f"{INDENT}{'where:':<{LABEL_WIDTH}}{place}", "dim")
    yield Line("")
    if not report["matches"]:
        yield Line("This error is not in the catalogue.", "warning")
        if not error["path"]:
            yield from wrapped(
                "next:", "paste the whole traceback, not its last line", width, "plain"
            )
        yield from wrapped(
            "or:" if not error["path"] else "next:",
            "trueup check MODEL, which reads the model's files",
            width,
            "plain",
        )
        return
    for position, match in enumerate(report["matches"]):
        if position == 1:
            yield Line("Less likely:")
            yield Line("")
        gate = gate_words(match)
        since = f" ({gate})" if gate else ""
        guess = ", a guess from little text" if match["is_guess"] else ""
        yield Line(f"{match['code']}{guess}{since}", "error" if position == 0 else "plain")
        yield from wrapped("cause:", match["cause"], width, "plain")
        yield from wrapped("hint:", match["hint"], width, "plain")
        if match["about"] and position == 0:
            yield from wrapped("about:", match["about"], width, "dim")
        if match["command"]:
            yield Line(f"{INDENT}{'next:':<{LABEL_WIDTH}}{match['command']}")
        yield Line("")


def printable(text: Any) -> str:
    """Somebody else's text, without what would move the cursor or start a line."""
    text = str(text)
    return (
        text
        if text.isprintable()
        else "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)
    )


def gate_words(finding: Mapping[str, Any]) -> str:
    """Since when, and until when."""
    since, until = finding["since"], finding["until"]
    if since and until:
        return f"since transformers {since}, works again in {until}"
    if since:
        return f"since transformers {since}"
    return f"before transformers {until}" if until else ""


def paragraph(text: str, width: int, indent: str = INDENT) -> Iterator[Line]:
    """A text in lines that keep to the width."""
    for line in textwrap.wrap(text, width - len(indent), break_long_words=False):
        yield Line(f"{indent}{line}")


def wrapped(label: str, text: str, width: int, kind: str = "plain") -> Iterator[Line]:
    """The same beside a label."""
    margin = len(INDENT) + LABEL_WIDTH
    lines = textwrap.wrap(
        printable(text), width - margin, break_long_words=False, break_on_hyphens=False
    )
    for position, line in enumerate(lines or [""]):
        name = label if position == 0 else ""
        yield Line(f"{INDENT}{name:<{LABEL_WIDTH}}{line}", kind)


def terminal_width() -> int:
    """How wide lines may be."""
    if not sys.stdout.isatty():
        return PIPED_WIDTH
    return max(NARROWEST, min(WIDEST, shutil.get_terminal_size().columns))
