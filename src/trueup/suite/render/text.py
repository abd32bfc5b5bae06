"""The report as text for people."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from trueup.doctor.render.text import Line, printable
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

WIDTH = 100
KINDS = {"passed": "good", "failed": "bad", "skipped": "warning", "not_run": "dim"}
# What passed stands back.
CASE_KINDS = {**KINDS, "passed": "plain"}
CHANGE_KINDS = {"broken": "bad", "fixed": "good", "slower": "warning"}
LABEL_WIDTH = 9


def report_lines(report: Mapping[str, Any]) -> Iterator[Line]:
    """What passed, what failed and why, what to use instead, what changed."""
    summary = report["summary"]
    is_good = summary["passed"] == summary["cases"]
    for subject in report["subjects"]:
        yield Line(f"{printable(subject['title'])}: {printable(subject_words(subject))}", "title")
        cases = cases_of(report, subject)
        width = max((len(key_of(case)) for case in cases), default=0)
        for case in cases:
            state = STATE_WORDS[case["state"]]
            text = f"  {state:<7}  {printable(key_of(case)):<{width}}  {_short(case)}"
            yield Line(text.rstrip(), CASE_KINDS[case["state"]])
        yield Line("")
    yield from _problems(report)
    for names, rows in comparisons(report):
        yield from _table([["on the same prompts", *names], *rows])
    if changed := list(change_words(report)):
        yield Line("Since the baseline:", "title")
        for word, text in changed:
            yield Line(f"  {word:<7} {printable(text)}", CHANGE_KINDS.get(word, "plain"))
        yield Line("")
    for remark in remarks(report):
        yield Line(remark, "warning")
    yield Line(f"Passed: {counts_words(summary)}", "good" if is_good else "bad")
    yield Line(f"  {printable(run_words(report))}", "dim")


def _table(rows: Sequence[Sequence[str]]) -> Iterator[Line]:
    shown = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in shown) for column in range(len(shown[0]))]
    for number, row in enumerate(shown):
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        yield Line("  ".join(cells).rstrip(), "plain" if number else "title")
    yield Line("")


def _short(case: Mapping[str, Any]) -> str:
    notes = [each for each in case["notes"] if len(each) < WIDTH]
    told = case_words(case)
    return printable("; ".join((told, *notes[:1])) if case["state"] == "passed" else told)


def _problems(report: Mapping[str, Any]) -> Iterator[Line]:
    cases = unhappy(report)
    if not cases:
        return
    yield Line("What failed, and why:" if report["summary"]["failed"] else "Not judged:", "title")
    for case in cases:
        yield Line("")
        word = "" if case["state"] == "failed" else " (skipped)"
        yield Line(f"{printable(case['id'])}{word}", KINDS[case["state"]])
        for block in problem_rows(case):
            for label, text in block:
                yield from _labelled(f"{label}:", text)
    yield Line("")


def _labelled(label: str, text: str) -> Iterator[Line]:
    lines = textwrap.wrap(
        printable(" ".join(text.split())),
        WIDTH - LABEL_WIDTH - 2,
        break_long_words=False,
        break_on_hyphens=False,
    )
    for number, line in enumerate(lines):
        yield Line(f"  {label if not number else '':<{LABEL_WIDTH}}{line}")
