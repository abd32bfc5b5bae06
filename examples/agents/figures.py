"""Reads performance figures and computes what is said about them. No model is asked."""

from __future__ import annotations

import csv
import io
import json
import math
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connection import AgentError

Row = dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A column of numbers within one group of rows; `change_percent` of the later half's mean.

    `p95` is the nearest rank: a value that was measured.
    """

    group: str
    column: str
    count: int
    mean: float
    p95: float
    largest: float
    change_percent: float | None

    def line(self) -> str:
        """All of it in one line, in words that both languages share."""
        change = "" if self.change_percent is None else f", {self.change_percent:+.1f} %"
        return (
            f"{self.group} {self.column}: n {self.count}, mean {_short(self.mean)}, "
            f"p95 {_short(self.p95)}, max {_short(self.largest)}{change}"
        )


def read_figures(path: Path) -> list[Row]:
    """The rows of a CSV file with a header, or of a JSON list of objects, in file order.

    Raises: AgentError
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        rows = _json_rows(text) if path.suffix.lower() == ".json" else _csv_rows(text)
    except OSError as error:
        cause = f"`{path}` cannot be read: {error.strerror}"
        raise AgentError(cause, "name a file: --figures FILE") from error
    except (ValueError, RecursionError, csv.Error) as error:
        raise AgentError(f"`{path}` has no rows of figures: {error}") from error
    if not rows:
        raise AgentError(f"`{path}` has no rows of figures")
    return rows


def summarise(rows: list[Row]) -> list[Summary]:
    """Each column of numbers, by the column of texts with the fewest different values.

    Empty cells are left out. Without a column of texts that repeat all rows are one group.
    """
    columns = list(dict.fromkeys(column for row in rows for column in row))
    cells = {
        column: [value for row in rows if (value := row.get(column, ""))] for column in columns
    }
    numeric = [c for c in columns if cells[c] and all(_number(v) is not None for v in cells[c])]
    kinds = {column: len(set(cells[column])) for column in columns if column not in numeric}
    repeated = [column for column, count in kinds.items() if 0 < count < len(cells[column])]
    by = min(repeated, key=lambda column: kinds[column]) if repeated else None
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault((row.get(by, "") or "-") if by else "all", []).append(row)
    return [
        _summary(group, column, values)
        for group, members in groups.items()
        for column in numeric
        if (values := [n for row in members if (n := _number(row.get(column, ""))) is not None])
    ]


def _summary(group: str, column: str, values: list[float]) -> Summary:
    ordered = sorted(values)
    half = len(values) // 2
    before = statistics.fmean(values[:half]) if half else 0.0
    after = statistics.fmean(values[-half:]) if half else 0.0
    return Summary(
        group=group,
        column=column,
        count=len(values),
        mean=statistics.fmean(values),
        p95=ordered[math.ceil(0.95 * len(values)) - 1],
        largest=ordered[-1],
        change_percent=100 * (after - before) / before if before > 0 else None,
    )


def _csv_rows(text: str) -> list[Row]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    return [
        {key.strip(): (value or "").strip() for key, value in row.items() if key is not None}
        for row in reader
    ]


def _json_rows(text: str) -> list[Row]:
    read: Any = json.loads(text)
    if not isinstance(read, list) or not all(isinstance(row, dict) for row in read):
        raise ValueError("expected a list of objects")
    return [
        {key: "" if value is None else str(value).strip() for key, value in row.items()}
        for row in read
    ]


def _short(number: float) -> str:
    """Three digits, and never fewer than a whole number has."""
    return f"{number:.0f}" if abs(number) >= 100 else f"{number:.3g}"


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
