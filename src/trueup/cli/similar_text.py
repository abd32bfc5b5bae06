"""The answers of `trueup similar` as lines for people: made from the report, nothing else."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

NOTES_SHOWN = 12
COLUMN_MAX = 60


def report_lines(report: dict[str, Any]) -> Iterator[str]:
    """The lines of any of the three reports."""
    if report["kind"] == "similar_files":
        yield from _files(report)
    elif report["kind"] == "similar_search":
        yield from _search(report)
    else:
        yield from _duplicates(report)


def summary_line(report: dict[str, Any]) -> str:
    """What was read, embedded and reused: for stderr."""
    counts = report["counts"]
    embedded = f"{counts['embedded']:,} embedded, {counts['reused']:,} known already"
    if report["kind"] == "similar_files":
        snippets = counts["snippets_a"] + counts["snippets_b"]
        return f"({snippets:,} snippets in 2 files; {embedded}; {report['model']['name']})"
    tiny = counts["tiny_left_out"]
    left_out = f", {tiny:,} tiny ones left out" if tiny else ""
    how = "" if report["search"] == "exact" else "; approximate search"
    return (
        f"({counts['snippets']:,} snippets in {counts['files']:,} files{left_out}; "
        f"{embedded}; {report['model']['name']}{how})"
    )


def note_lines(notes: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The first notes, and how many more there are: for stderr."""
    for note in notes[:NOTES_SHOWN]:
        line = f":{note['line']}" if note["line"] else ""
        yield f"note: {note['path']}{line}: {note['cause']}"
    if len(notes) > NOTES_SHOWN:
        yield f"note: {len(notes) - NOTES_SHOWN:,} more; `--format json` lists them all"


def place_text(place: dict[str, Any]) -> str:
    """A place as editors and terminals can jump to it."""
    return f"{place['path']}:{place['first_line']}-{place['last_line']}"


def copies_text(copies: Sequence[dict[str, Any]], which: str = "the same") -> str:
    """Where else a text stands, at most two of the places named."""
    if not copies:
        return ""
    named = ", ".join(place_text(each) for each in copies[:2])
    more = f", {len(copies) - 2} more" if len(copies) > 2 else ""
    return f"  ({which} at {named}{more})"


def _files(report: dict[str, Any]) -> Iterator[str]:
    files = report["files"]
    yield f"{files['score']:.4f}  {files['a']['path']}  ~  {files['b']['path']}  as whole files"
    yield from _pairs(report["pairs"])
    if report["left_out"]:
        yield f"{report['left_out']:,} more pairs: raise --top"


def _search(report: dict[str, Any]) -> Iterator[str]:
    width = _width(place_text(match) for query in report["queries"] for match in query["matches"])
    for index, query in enumerate(report["queries"]):
        if index:
            yield ""
        yield f"{place_text(query)}  {query['name']}"
        for match in query["matches"]:
            where = _padded(place_text(match), width)
            yield f"  {match['score']:.4f}  {where}  {match['name']}{copies_text(match['copies'])}"
        if not query["matches"]:
            least = report["min_score"]
            yield "  nothing" + (f" scores {least:g} or more" if least is not None else "")


def _duplicates(report: dict[str, Any]) -> Iterator[str]:
    for group in report["groups"]:
        first = group["places"][0]
        lines = first["last_line"] - first["first_line"] + 1
        count = len(group["places"])
        yield f"the same {lines} line{'s' if lines > 1 else ''} at {count} places"
        width = _width(map(place_text, group["places"]))
        for place in group["places"]:
            yield f"  {_padded(place_text(place), width)}  {place['name']}"
    if report["groups"] and report["pairs"]:
        yield ""
    yield from _pairs(report["pairs"])
    if not report["groups"] and not report["pairs"]:
        yield f"no duplicates: nothing scores {report['min_score']:g} or more"
    if report["within"]:
        yield f"{report['within']:,} more lie within these"
    if report["left_out"]:
        yield f"{report['left_out']:,} more are not listed: raise --min-score or --top"


def _pairs(pairs: Sequence[dict[str, Any]]) -> Iterator[str]:
    width = _width(_named(pair["a"]) for pair in pairs)
    for pair in pairs:
        one, other = pair["a"], pair["b"]
        yield (
            f"{pair['score']:.4f}  {_padded(_named(one), width)}  ~  {_named(other)}"
            f"{copies_text(one['copies'], 'the first also')}"
            f"{copies_text(other['copies'], 'the second also')}"
        )


def _named(place: dict[str, Any]) -> str:
    return f"{place_text(place)} {place['name']}"


def _width(texts: Iterable[str]) -> int:
    """Of a column that most of the texts fit in: one long path does not spread the others."""
    return max((width for text in texts if (width := _cells(text)) <= COLUMN_MAX), default=0)


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _cells(text))


def _cells(text: str) -> int:
    """How wide a text is on a terminal: Chinese characters take two columns."""
    return sum(2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text)
