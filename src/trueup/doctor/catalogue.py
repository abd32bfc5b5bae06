"""From a pasted error to what is known about it. Reads text, runs nothing.

What the rules of the check are about is told in their words and by their codes; the rest is
`known`. Copes with what people paste: whole logs, colours, several tracebacks, text around them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from trueup.doctor.finding import Where
from trueup.doctor.known import KNOWN
from trueup.doctor.known.row import Known
from trueup.doctor.message import Message
from trueup.doctor.rule import Rule
from trueup.doctor.rule_words import about, filled, said_by
from trueup.doctor.rules import RULES

# More than this is a log: its end is where the error is.
LIMIT_CHARACTERS = 400_000
LONGEST_LINE, LONGEST_SHOWN = 4000, 300
SHOWN_MATCHES = 4
COLOURS = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07]*(?:\x07|\x1b\\)|\r")
BOXES = re.compile(r"^[\s│┃|╭╰─❱]+|[\s│┃]+$")
PREFIX = re.compile(
    r"^(?:\[?\d{4}-\d\d-\d\d[ T][\d:.,Z+-]*\]?|\[?\d\d:\d\d:\d\d[\d.,]*\]?|"
    r"E {2,}|\(?(?:\w+ )?pid=\d+[^)]*\)?|(?:DEBUG|INFO|WARNING|ERROR|CRITICAL)\b:?|[|:-])\s*"
)
FRAME = re.compile(r'File "(?P<path>[^"\n]+)", line (?P<line>\d+)(?:, in (?P<function>\S+))?')
ERROR_LINE = re.compile(
    r"^(?P<type>(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Interrupt|Exit|Denied|Timeout|"
    r"Mode|Enabled|NotFound))(?::\s*(?P<message>.*))?$"
)
# How much a match says: in the error that ended it, in an earlier one, anywhere.
IN_LAST_ERROR, IN_ERROR, ANYWHERE, FOR_A_FRAME = 100, 60, 20, 5
GUESS_COSTS, WARNING_COSTS = 15, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A known failure that the text shows; `line` is the line that shows it.

    `about` is what else the rule of that code says, None where the code is no rule's.
    `is_guess` where many other things read the same and no frame speaks for this one.
    """

    code: str
    cause: str
    hint: str
    since: str | None
    until: str | None
    about: str | None
    command: str | None
    is_guess: bool
    line: str
    score: int

    def as_dict(self) -> dict[str, Any]:
        """The match in the report's JSON shape."""
        shape = asdict(self)
        del shape["score"]
        return shape


class PastedError:
    """A pasted text, taken apart: its lines, its errors, its frames."""

    def __init__(self, text: str) -> None:
        cleaned = COLOURS.sub("", text[-LIMIT_CHARACTERS:])
        lines = (_bare(line)[:LONGEST_LINE] for line in cleaned.splitlines())
        self.lines = [line for line in lines if line]
        self.text = "\n".join(self.lines)

    @cached_property
    def errors(self) -> list[str]:
        """The lines that name an exception, in order: the last one ended the program."""
        return [line for line in self.lines if ERROR_LINE.match(line)]

    @cached_property
    def frames(self) -> list[tuple[str, int, str]]:
        """Path, line and function of every frame, in order."""
        return [
            (found["path"], int(found["line"]), found["function"] or "")
            for found in FRAME.finditer(self.text)
        ]

    @property
    def last(self) -> str | None:
        """The error that ended it, else the last line that speaks of one."""
        if self.errors:
            return self.errors[-1]
        telling = [line for line in self.lines if re.search(r"error|错误|失败|异常", line, re.I)]
        candidates = telling or self.lines
        return candidates[-1] if candidates else None

    @property
    def where(self) -> tuple[Where, str] | None:
        """The deepest frame in a model's own code, else the deepest of all, and its function."""
        own = [frame for frame in self.frames if _is_models_own(frame[0])]
        chosen = (own or self.frames)[-1:]
        if not chosen:
            return None
        path, line, function = chosen[0]
        return Where(path=re.split(r"[/\\]", path)[-1], line=line), function


def explain(text: str) -> tuple[PastedError, tuple[Match, ...]]:
    """What is known about a pasted error, the likeliest first; empty where nothing is.

    The error that ended the traceback counts most, then the ones before it, then the rest;
    files and functions of the traceback decide between equals.
    """
    pasted = PastedError(text)
    # A terminal breaks long lines wherever it likes.
    joined = " ".join(pasted.lines)
    subjects: list[tuple[Message, Rule | Known]] = [
        *((message, rule) for rule in RULES for message in rule.messages),
        *((known, known) for known in KNOWN),
    ]
    found = [
        _describe(message, subject, *met, pasted)
        for message, subject in subjects
        if (met := _met(message, pasted, joined)) is not None
    ]
    chosen: dict[str, Match] = {}
    for match in sorted(found, key=lambda match: -match.score):
        chosen.setdefault(match.code, match)
    return pasted, tuple(chosen.values())[:SHOWN_MATCHES]


def _met(
    message: Message, pasted: PastedError, joined: str
) -> tuple[re.Match[str], str, int] | None:
    """Where the text shows it: what matched, its line, and how much that says."""
    for pattern in message.patterns:
        # Of a long log most lines show nothing.
        if not (re.search(pattern, pasted.text, re.M) or re.search(pattern, joined)):
            continue
        for score, lines in (
            (IN_LAST_ERROR, pasted.errors[-1:]),
            (IN_ERROR, pasted.errors[-2::-1]),
            (ANYWHERE, pasted.lines[::-1]),
            (ANYWHERE, [joined]),
        ):
            for line in lines:
                found = re.search(pattern, line)
                if found is not None:
                    return found, line, score
    return None


def _describe(
    message: Message,
    subject: Rule | Known,
    found: re.Match[str],
    line: str,
    score: int,
    pasted: PastedError,
) -> Match:
    frames = sum(re.search(pattern, pasted.text) is not None for pattern in message.seen_with)
    is_guess = message.is_broad and not frames
    line = line if len(line) <= LONGEST_SHOWN else found.group(0)[:LONGEST_SHOWN]
    words = {key: (value or "").strip(" .") for key, value in found.groupdict().items()}
    words["message"] = line
    if pasted.where is not None and pasted.where[1]:
        words["function"] = pasted.where[1]
    known = subject if isinstance(subject, Known) else said_by(subject, message, words, pasted.text)
    is_mild = isinstance(subject, Rule) and subject.severity != "error"
    return Match(
        code=known.code,
        cause=filled(known.cause, words) or "",
        hint=filled(known.hint, words) or "",
        since=known.since,
        until=known.until,
        about=about(subject, known) if isinstance(subject, Rule) else None,
        command=known.command,
        is_guess=is_guess,
        line=line,
        score=score + FOR_A_FRAME * frames - GUESS_COSTS * is_guess - WARNING_COSTS * is_mild,
    )


def _bare(line: str) -> str:
    """A line without the frame of a rich traceback and without a log's prefixes."""
    line = BOXES.sub("", line)
    while (shorter := PREFIX.sub("", line, count=1)) != line:
        line = shorter
    return line.strip()


def _is_models_own(path: str) -> bool:
    name = re.split(r"[/\\]", path)[-1]
    return "transformers_modules" in path or (
        re.match(r"(?:modeling|tokenization|configuration)_\w+\.py$", name) is not None
        and "site-packages" not in path
    )


def report(text: str) -> Mapping[str, Any]:
    """The answer to `trueup check --error` in its JSON shape."""
    pasted, matches = explain(text)
    place = pasted.where
    return {
        "schema_version": 1,
        "kind": "error",
        "error": {
            "message": pasted.last,
            "path": place[0].path if place else None,
            "line": place[0].line if place else None,
            "function": place[1] if place else None,
        },
        "matches": [match.as_dict() for match in matches],
    }
