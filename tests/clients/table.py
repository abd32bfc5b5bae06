"""What came of the rows, as a table, and which of them fell short."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Cell:
    """What came of a row in one column; `due` empty means that it is only shown."""

    verdict: str
    reason: str = ""
    due: frozenset[str] = frozenset()

    @property
    def is_right(self) -> bool:
        return not self.due or self.verdict in self.due


@dataclass
class Table:
    """Rows of one run under its columns."""

    title: str
    columns: Sequence[str]
    rows: list[tuple[str, Sequence[Cell]]] = field(default_factory=list)

    def add(self, name: str, *cells: Cell) -> None:
        """Add a row."""
        self.rows.append((name, cells))

    @property
    def short(self) -> list[str]:
        """A line for each cell that is not as it must be."""
        return [
            f"{self.title}: {name}: {column}: {cell.verdict}, due {' or '.join(sorted(cell.due))}"
            f": {cell.reason}"
            for name, cells in self.rows
            for column, cell in zip(self.columns, cells, strict=True)
            if not cell.is_right
        ]

    def as_text(self) -> str:
        """The table in Markdown."""
        lines = [f"### {self.title}", "", _line(["", *self.columns])]
        lines.append(_line(["---"] * (len(self.columns) + 1)))
        for name, cells in self.rows:
            lines.append(_line([name, *(_shown(cell) for cell in cells)]))
        return "\n".join(lines)


def _shown(cell: Cell) -> str:
    return cell.verdict if cell.is_right else f"**{cell.verdict}**"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"
