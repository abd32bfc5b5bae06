"""The answers of `trueup similar` as one page with the snippets side by side.

The page is made from the report and the texts that it names; it loads nothing and runs nothing.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from trueup.cli.similar_style import STYLE
from trueup.cli.similar_text import summary_line

LINES_SHOWN = 200
LINE_CHARACTERS_SHOWN = 2_000
COPIES_SHOWN = 20
OPEN_FIRST = 5
TITLES = {
    "similar_files": "Two files compared",
    "similar_search": "Similar code",
    "similar_duplicates": "Duplicate code",
}
COLUMNS = '<colgroup><col class="number"><col></colgroup>'


def page(report: dict[str, Any], texts: Mapping[str, str]) -> Iterator[str]:
    """The page, a part at a time; `texts` has each place's text by its `sha256`."""
    title = TITLES[report["kind"]]
    yield (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{title} · TrueUp</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<header><h1>{title}</h1>\n<p>{_subject(report)}</p>\n"
        f'<p class="quiet">{_text(summary_line(report).strip("()"))}</p></header>\n<main>\n'
    )
    if report["kind"] == "similar_search":
        yield from _search(report, texts)
    else:
        yield from _groups(report.get("groups", ()), texts)
        yield from _pairs(report["pairs"], texts)
    yield from _remarks(report)
    yield "</main>\n"
    yield from _notes(report["notes"])
    yield "</body>\n</html>\n"


def _text(value: object) -> str:
    """A value as it can stand in the page; bytes of a file name that are no UTF-8 as escapes."""
    return escape(str(value).encode("utf-8", "backslashreplace").decode())


def _subject(report: dict[str, Any]) -> str:
    if report["kind"] == "similar_files":
        files = report["files"]
        names = " and ".join(f"<code>{_text(files[key]['path'])}</code>" for key in "ab")
        return f"{names} as whole files: {_score(files['score'])}"
    least = report["min_score"]
    at_least = "" if least is None else f", score {least:g} or more"
    return f"in <code>{_text(report['root'])}</code>{at_least}"


def _score(value: float) -> str:
    return f'<span class="score">{value:.4f}</span>'


def _where(place: dict[str, Any]) -> str:
    lines = f"{place['first_line']}-{place['last_line']}"
    return f'<span class="place">{_text(place["path"])}:{lines}</span>'


def _search(report: dict[str, Any], texts: Mapping[str, str]) -> Iterator[str]:
    for query in report["queries"]:
        yield f'<h2 class="query">{_text(query["name"])} {_where(query)}</h2>\n'
        for number, match in enumerate(query["matches"]):
            yield _pair(match["score"], query, match, texts, is_open=number < OPEN_FIRST)
        if not query["matches"]:
            yield '<p class="quiet">nothing alike</p>\n'


def _pairs(pairs: Sequence[dict[str, Any]], texts: Mapping[str, str]) -> Iterator[str]:
    for number, pair in enumerate(pairs):
        yield _pair(pair["score"], pair["a"], pair["b"], texts, is_open=number < OPEN_FIRST)


def _pair(
    score: float,
    one: dict[str, Any],
    other: dict[str, Any],
    texts: Mapping[str, str],
    *,
    is_open: bool,
) -> str:
    rows = "".join(_rows(one, other, texts))
    return (
        f'<details class="pair"{" open" if is_open else ""}><summary>{_score(score)}'
        f"<span>{_text(one['name'])} {_where(one)}</span>"
        f"<span>~ {_text(other['name'])} {_where(other)}</span></summary>\n"
        f"<table>{COLUMNS}{COLUMNS}<thead><tr>{_heading(one)}{_heading(other)}</tr></thead>\n"
        f"<tbody>\n{rows}</tbody></table></details>\n"
    )


def _heading(place: dict[str, Any]) -> str:
    copies = place.get("copies", ())
    kind = " ".join(filter(None, (place["language"], place["kind"])))
    also = "".join(f"<br>the same at {_where(each)}" for each in copies[:COPIES_SHOWN])
    if len(copies) > COPIES_SHOWN:
        also += f"<br>and at {len(copies) - COPIES_SHOWN:,} more places"
    return (
        f'<th colspan="2" scope="col">{_text(place["name"])}'
        f"<small>{_where(place)} · {_text(kind)}{also}</small></th>"
    )


def _rows(one: dict[str, Any], other: dict[str, Any], texts: Mapping[str, str]) -> Iterator[str]:
    """Table rows in which equal lines stand beside each other."""
    sides = [texts[place["sha256"]].split("\n") for place in (one, other)]
    left, right = (side[:LINES_SHOWN] for side in sides)
    matcher = difflib.SequenceMatcher(None, left, right, autojunk=False)
    steps = matcher.get_opcodes()
    # Translated code has no line in common: colour on all of it would say nothing.
    has_common = any(
        step[0] == "equal" and any(map(str.strip, left[step[1] : step[2]])) for step in steps
    )
    for step, left_start, left_end, right_start, right_end in steps:
        mark = "differs" if step != "equal" and has_common else ""
        for offset in range(max(left_end - left_start, right_end - right_start)):
            cells = _cells(left, left_start + offset, left_end, one["first_line"], mark)
            cells += _cells(right, right_start + offset, right_end, other["first_line"], mark)
            yield f"<tr>{cells}</tr>\n"
    hidden = [len(side) - LINES_SHOWN for side in sides]
    if max(hidden) > 0:
        told = (f"{count:,} more lines" if count > 0 else "" for count in hidden)
        cells = "".join(f'<td class="number"></td><td class="quiet">{each}</td>' for each in told)
        yield f"<tr>{cells}</tr>\n"


def _cells(lines: Sequence[str], index: int, end: int, first_line: int, mark: str) -> str:
    if index >= end:
        return '<td class="number missing"></td><td class="code missing"></td>'
    line = lines[index]
    if len(line) > LINE_CHARACTERS_SHOWN:
        line = f"{line[:LINE_CHARACTERS_SHOWN]}… {len(line) - LINE_CHARACTERS_SHOWN:,} more"
    marked = f' class="code {mark}"' if mark else ' class="code"'
    return f'<td class="number">{first_line + index}</td><td{marked}>{_text(line)}</td>'


def _groups(groups: Sequence[dict[str, Any]], texts: Mapping[str, str]) -> Iterator[str]:
    for group in groups:
        places = group["places"]
        first = places[0]
        lines = texts[first["sha256"]].split("\n")
        rows = "".join(
            f"<tr>{_cells(lines, index, len(lines), first['first_line'], '')}</tr>\n"
            for index in range(min(len(lines), LINES_SHOWN))
        )
        if len(lines) > LINES_SHOWN:
            rows += f"<tr><td></td><td>{len(lines) - LINES_SHOWN:,} more lines</td></tr>\n"
        listed = "".join(
            f"<li>{_where(each)} {_text(each['name'])}</li>\n" for each in places[:COPIES_SHOWN]
        )
        if len(places) > COPIES_SHOWN:
            listed += f"<li>and {len(places) - COPIES_SHOWN:,} more</li>\n"
        yield (
            f'<section class="group"><h2>{_score(1.0)} {_text(first["name"])}: the same at '
            f"{len(places):,} places</h2>\n<ul>\n{listed}</ul>\n"
            f"<table>{COLUMNS}<tbody>\n{rows}</tbody></table></section>\n"
        )


def _remarks(report: dict[str, Any]) -> Iterator[str]:
    if report["kind"] != "similar_search" and not report["pairs"] and not report.get("groups"):
        yield '<p class="quiet">Nothing is alike.</p>\n'
    if within := report.get("within"):
        yield f'<p class="quiet">{within:,} more lie within these.</p>\n'
    if left_out := report.get("left_out"):
        yield f'<p class="quiet">{left_out:,} more are not listed.</p>\n'


def _notes(notes: Sequence[dict[str, Any]]) -> Iterator[str]:
    if not notes:
        return
    yield f'<details class="notes"><summary>{len(notes):,} notes</summary>\n<ul>\n'
    for note in notes:
        line = f":{note['line']}" if note["line"] else ""
        place = f'<span class="place">{_text(note["path"])}{line}</span>'
        yield f"<li>{place} {_text(note['cause'])}</li>\n"
    yield "</ul></details>\n"
