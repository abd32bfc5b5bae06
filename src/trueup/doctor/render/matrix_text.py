"""Models against releases as a table of text: whichever way it is narrower."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from trueup.doctor.render.text import Line, printable

WORKS = "ok"
GAP = "  "
LONGEST_NAME = 28


def matrix_lines(report: Mapping[str, Any], *, width: int = 120) -> Iterator[Line]:
    """The table, then the releases on which each model should work."""
    versions: Sequence[str] = report["versions"]
    names = [_short(each["model"]) for each in report["models"]]
    cells = [[_cell(each["cells"][version]) for version in versions] for each in report["models"]]
    table = [["", *versions], *([name, *row] for name, row in zip(names, cells, strict=True))]
    turned = [list(column) for column in zip(*table, strict=True)]
    table = min((table, turned), key=lambda each: (_width(each) > width, _width(each)))
    widths = [max(len(row[place]) for row in table) for place in range(len(table[0]))]
    for number, row in enumerate(table):
        told = GAP.join(cell.ljust(wide) for cell, wide in zip(row, widths, strict=True))
        yield Line(told.rstrip(), "title" if number == 0 else "plain")
    yield Line("")
    for each, name in zip(report["models"], names, strict=True):
        oldest, newest = each["works"]["oldest"], each["works"]["newest"]
        if oldest is None:
            yield Line(f"{name}: no release of these runs it", "warning")
        else:
            told = f"should work from {oldest} to {newest}, where the table says {WORKS}"
            yield Line(f"{name}: {told}")


def _cell(codes: Sequence[str]) -> str:
    """The first error, which is the one that is met."""
    return codes[0] if codes else WORKS


def _short(name: str) -> str:
    name = printable(name)
    return name if len(name) <= LONGEST_NAME else f"…{name[1 - LONGEST_NAME :]}"


def _width(table: Sequence[Sequence[str]]) -> int:
    places = range(len(table[0]))
    return sum(max(len(row[place]) for row in table) + len(GAP) for place in places)
