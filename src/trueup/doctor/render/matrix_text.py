"""Models against releases as a table of text: whichever way it is narrower."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from trueup.doctor.render.text import Line, printable

WORKS, UNREAD = "ok", "unread"
GAP = "  "
LONGEST_NAME = 28


def matrix_lines(report: Mapping[str, Any], *, width: int = 120) -> Iterator[Line]:
    """The table, then the releases on which each model should work."""
    versions: Sequence[str] = report["versions"]
    names = [_short(each["model"]) for each in report["models"]]
    cells = [
        [_cell(each["cells"].get(version)) for version in versions] for each in report["models"]
    ]
    table = [["", *versions], *([name, *row] for name, row in zip(names, cells, strict=True))]
    turned = [list(column) for column in zip(*table, strict=True)]
    table = min((table, turned), key=lambda each: (_width(each) > width, _width(each)))
    widths = [max(len(row[place]) for row in table) for place in range(len(table[0]))]
    for number, row in enumerate(table):
        told = GAP.join(cell.ljust(wide) for cell, wide in zip(row, widths, strict=True))
        yield Line(told.rstrip(), "title" if number == 0 else "plain")
    yield Line("")
    for each in report["models"]:
        yield from _row_lines(each, versions)


def _row_lines(row: Mapping[str, Any], versions: Sequence[str]) -> Iterator[Line]:
    name, error = printable(row["model"]), row["error"]
    if error is not None:
        yield Line(f"{name}: cannot be read: {printable(error['cause'])}", "error")
        for label in ("where", "hint"):
            if error[label]:
                yield Line(f"  {label + ':':<6} {printable(error[label])}")
    elif row["works"]["oldest"] is None:
        yield Line(f"{name}: none of these releases should run it", "warning")
    else:
        yield Line(f"{name}: should work, of these, on {_spans(row['cells'], versions)}")


def _spans(cells: Mapping[str, Sequence[str]], versions: Sequence[str]) -> str:
    """The releases on which nothing is known to fail, those that follow each other as from-to."""
    spans: list[list[str]] = []
    is_next = False
    for version in versions:
        if not cells[version]:
            if is_next:
                spans[-1][1:] = [version]
            else:
                spans.append([version])
        is_next = not cells[version]
    return ", ".join(" to ".join(span) for span in spans)


def _cell(codes: Sequence[str] | None) -> str:
    """The first error, which is the one that is met."""
    if codes is None:
        return UNREAD
    return codes[0] if codes else WORKS


def _short(name: str) -> str:
    name = printable(name)
    return name if len(name) <= LONGEST_NAME else f"…{name[1 - LONGEST_NAME :]}"


def _width(table: Sequence[Sequence[str]]) -> int:
    places = range(len(table[0]))
    return sum(max(len(row[place]) for row in table) + len(GAP) for place in places)
