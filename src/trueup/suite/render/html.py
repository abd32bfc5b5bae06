"""The report as one page that loads nothing and runs nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Any

from trueup.suite.render.html_style import STYLE
from trueup.suite.render.words import (
    STATE_WORDS,
    amount,
    cases_of,
    change_words,
    counts_words,
    figure_words,
    key_of,
    problem_rows,
    remarks,
    run_words,
    subject_words,
    unhappy,
)

CODE = re.compile(r"`([^`]+)`")
CHANGE_STATES = {"broken": "failed", "fixed": "passed", "slower": "skipped"}


def html(report: Mapping[str, Any]) -> str:
    """The whole page."""
    return "".join(_parts(report))


def _parts(report: Mapping[str, Any]) -> Iterator[str]:
    summary = report["summary"]
    title = f"trueup suite: {_text(counts_words(summary))}"
    yield (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<header><h1>trueup suite</h1>\n{_hero(report)}"
    )
    for remark in remarks(report):
        yield f'<p class="remark">{_text(remark)}</p>\n'
    yield "</header>\n<main>\n"
    if len(report["subjects"]) > 1:
        yield from _overview(report)
    yield from _problems(report)
    yield from _changes(report)
    yield "<h2>All cases</h2>\n"
    for subject in report["subjects"]:
        yield from _subject(report, subject)
    yield f'</main>\n<p class="quiet">TrueUp {_text(report["trueup"])}</p>\n</body>\n</html>\n'


def _text(value: object) -> str:
    """A value as it can stand in the page; bytes of a file name that are no UTF-8 as escapes."""
    return escape(str(value).encode("utf-8", "backslashreplace").decode())


def _words(value: object) -> str:
    """A text of ours, its literals in backticks shown as such."""
    return CODE.sub(r"<code>\1</code>", _text(value))


def _hero(report: Mapping[str, Any]) -> str:
    summary = report["summary"]
    is_good = summary["passed"] == summary["cases"]
    rate = summary["text"].rpartition(", ")[2]
    legend = "".join(
        f"<span>{summary[state]} {STATE_WORDS[state]}</span>"
        for state in STATE_WORDS
        if summary[state]
    )
    return (
        f'<div class="card hero"><div class="rate {"good" if is_good else "bad"}">{_text(rate)}'
        f'</div>\n<div class="facts"><strong>{summary["passed"]} of {summary["cases"]} passed'
        f'</strong>\n{_bar(summary)}\n<div class="legend">{legend}</div>\n'
        f'<p class="quiet">{_text(run_words(report))}</p></div></div>\n'
    )


def _bar(summary: Mapping[str, Any]) -> str:
    total = summary["cases"] or 1
    parts = "".join(
        f'<span class="{state}" style="width:{summary[state] / total:.2%}"></span>'
        for state in ("passed", "failed", "skipped")
    )
    told = _text(counts_words(summary))
    return f'<div class="bar" role="img" aria-label="{told}">{parts}</div>'


def _overview(report: Mapping[str, Any]) -> Iterator[str]:
    yield '<section class="card"><table class="overview"><tbody>\n'
    for subject in report["subjects"]:
        summary = subject["summary"]
        yield (
            f"<tr><td><strong>{_text(subject['title'])}</strong></td>"
            f'<td class="share">{_bar(summary)}</td><td class="count">{_text(summary["text"])}</td>'
            "</tr>\n"
        )
    yield "</tbody></table></section>\n"


def _problems(report: Mapping[str, Any]) -> Iterator[str]:
    cases = unhappy(report)
    if not cases:
        return
    yield "<h2>What failed, and why</h2>\n"
    for case in cases:
        lists = "".join(f"<dl>{_rows(block)}</dl>" for block in problem_rows(case))
        yield (
            f'<section class="card problem {case["state"]}"><div class="head">{_mark(case)}'
            f'<h3 class="id">{_text(case["id"])}</h3></div>\n{lists}</section>\n'
        )


def _rows(block: Iterable[tuple[str, str]]) -> str:
    return "".join(
        f'<dt>{label}</dt><dd class="{label}">{_words(text)}</dd>\n' for label, text in block
    )


def _changes(report: Mapping[str, Any]) -> Iterator[str]:
    if report["baseline"] is None:
        return
    changed = list(change_words(report))
    yield '<h2>Since the baseline</h2>\n<section class="card">'
    if not changed:
        yield '<p class="quiet">Nothing changed.</p>'
    else:
        rows = "".join(
            f'<li><span class="state-mark {CHANGE_STATES.get(word, "not_run")}">{word}</span> '
            f"{_text(text)}</li>\n"
            for word, text in changed
        )
        yield f'<ul class="changes">{rows}</ul>'
    yield "</section>\n"


def _subject(report: Mapping[str, Any], subject: Mapping[str, Any]) -> Iterator[str]:
    yield (
        f'<section class="card"><div class="head"><h3>{_text(subject["title"])}</h3>'
        f'<span class="quiet">{_text(subject_words(subject))}</span>'
        f'<span class="count">{_text(subject["summary"]["text"])}</span></div>\n'
        '<table class="cases"><tbody>\n'
    )
    for case in cases_of(report, subject):
        seconds = amount(case["seconds"], "s") if case["seconds"] else ""
        yield (
            f'<tr><td class="state">{_mark(case)}</td><td class="key id">{_text(key_of(case))}</td>'
            f'<td class="told">{"".join(_told(case))}</td><td class="time">{seconds}</td></tr>\n'
        )
    yield "</tbody></table></section>\n"


def _mark(case: Mapping[str, Any]) -> str:
    return f'<span class="state-mark {case["state"]}">{STATE_WORDS[case["state"]]}</span>'


def _told(case: Mapping[str, Any]) -> Iterator[str]:
    yield f"<div>{_words(case['title'])}</div>"
    if case["because"]:
        yield f'<div class="quiet">{_words(case["because"])}</div>'
    for figure in case["figures"]:
        words = f"<span>{_text(figure_words(figure))}</span>"
        yield f'<div class="figure">{_gauge(figure)}{words}</div>'
    for note in case["notes"]:
        yield f'<div class="quiet">{_words(note)}</div>'
    details = case["details"]
    if details.get("asked"):
        answer = "(none)" if details.get("answer") is None else details["answer"]
        yield (
            f"<details><summary>what was answered</summary><pre>{_text(details['asked'])}</pre>"
            f"<pre>{_text(answer)}</pre></details>"
        )
    if details.get("prompts"):
        yield _sides(details)


def _gauge(figure: Mapping[str, Any]) -> str:
    """A bar of the value with a mark where its limit is."""
    limit, value = figure["limit"], max(figure["value"], 0)
    if not limit:
        return ""
    longest = 1.0 if figure["unit"] in ("share", "cosine") else max(value, limit) * 1.05
    missed = "" if figure["is_met"] else " missed"
    return (
        f'<span class="gauge{missed}" aria-hidden="true"><i style="width:'
        f'{min(value / longest, 1):.1%}"></i><b style="left:{min(limit / longest, 1):.1%}"></b>'
        "</span>"
    )


def _sides(details: Mapping[str, Any]) -> str:
    one, other = details["compared"]
    rows = "".join(
        f'<tr><td class="asked" colspan="2">{_text(row["asked"])}</td></tr>\n'
        f"<tr>{''.join(map(_side, row['answers']))}</tr>\n"
        for row in details["prompts"]
    )
    return (
        "<details open><summary>side by side</summary>"
        f'<table class="sides"><thead><tr><th>{_text(one)}</th><th>{_text(other)}</th></tr></thead>'
        f"<tbody>\n{rows}</tbody></table></details>"
    )


def _side(answer: Mapping[str, Any]) -> str:
    state = "passed" if answer["passed"] else "failed"
    seconds = "" if answer["seconds"] is None else amount(answer["seconds"], "s")
    text = answer["answer"] if answer["answer"] is not None else answer["cause"]
    return (
        f'<td><span class="state-mark {state}">{STATE_WORDS[state]}</span> '
        f'<span class="quiet">{seconds}</span><pre>{_text(text)}</pre></td>'
    )
