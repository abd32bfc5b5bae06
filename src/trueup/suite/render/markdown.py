"""The report as Markdown, for a pull request or a wiki."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from trueup.suite.render.words import (
    STATE_WORDS,
    case_words,
    cases_of,
    change_words,
    comparisons,
    counts_words,
    key_of,
    problem_rows,
    remarks,
    run_words,
    subject_words,
    unhappy,
)

MARKS = {"passed": "✅", "failed": "❌", "skipped": "⏭️", "not_run": "⏸️"}
SPECIAL = re.compile(r"([\\*_\[\]<>|#~])")


def markdown(report: Mapping[str, Any]) -> str:
    """The whole report."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Mapping[str, Any]) -> Iterator[str]:
    yield f"# trueup suite: {counts_words(report['summary'])}"
    yield ""
    yield _text(run_words(report))
    for remark in remarks(report):
        yield f"\n**{remark}**"
    for subject in report["subjects"]:
        yield f"\n## {_text(subject['title'])}\n"
        yield f"{_text(subject_words(subject))}. {subject['summary']['text']}\n"
        yield "| | case | |"
        yield "|---|---|---|"
        for case in cases_of(report, subject):
            state = f"{MARKS[case['state']]} {STATE_WORDS[case['state']]}"
            yield f"| {state} | {_code(key_of(case))} | {_text(case_words(case))} |"
    if cases := unhappy(report):
        yield "\n## What failed, and why"
        for case in cases:
            yield f"\n### {_code(case['id'])}\n"
            for block in problem_rows(case):
                yield from (f"- {label}: {_words(text)}" for label, text in block)
    for names, rows in comparisons(report):
        yield "\n## On the same prompts\n"
        yield f"| | {' | '.join(map(_text, names))} |"
        yield "|---|---|---|"
        for row in rows:
            yield f"| {' | '.join((_code(row[0]), *map(_text, row[1:])))} |"
    if changed := list(change_words(report)):
        yield "\n## Since the baseline\n"
        for word, text in changed:
            yield f"- {word}: {_text(text)}"


def _text(value: object) -> str:
    """A value that cannot end a cell, a line or a paragraph, nor be taken for markup."""
    return SPECIAL.sub(r"\\\1", " ".join(str(value).split()))


def _words(value: object) -> str:
    """The same, with literals in backticks left as they are."""
    parts = " ".join(str(value).split()).split("`")
    if len(parts) % 2 == 0:  # a backtick without its fellow
        return _text(value)
    return "`".join(
        part if number % 2 else SPECIAL.sub(r"\\\1", part) for number, part in enumerate(parts)
    )


def _code(value: object) -> str:
    text = " ".join(str(value).split())
    fence = "``" if "`" in text else "`"
    return f"{fence}{text}{fence}".replace("|", "\\|")
