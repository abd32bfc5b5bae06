"""The report: figures with their intervals, every wrong row, and what failed without an error."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from benchmarks.accuracy.score import Figures, Row, figures, half

GOAL_PRECISION, GOAL_RECALL = 0.90, 0.85
HEAD = "| | right | false alarms | missed | precision | recall |\n|---|---|---|---|---|---|"


def markdown(
    rows: Sequence[Row],
    labels: Mapping[str, Any],
    silent: Sequence[Mapping[str, Any]],
    notes: Mapping[str, str],
) -> str:
    """The whole report."""
    parts = [_head(labels), *_figures(rows), _wrong(rows, notes)]
    if silent:
        parts.append(_silent(silent))
    return "\n\n".join(parts) + "\n"


def _head(labels: Mapping[str, Any]) -> str:
    models = labels["models"]
    families = {model["family"] for model in models.values()}
    environments = ", ".join(
        f"transformers {name} (torch {one['packages'].get('torch', 'none')})"
        for name, one in labels["environments"].items()
    )
    return (
        f"{len(models)} models of {len(families)} families on {environments}. "
        f"Labels frozen {labels['frozen']}."
    )


def _figures(rows: Sequence[Row]) -> Iterator[str]:
    halves = {
        name: [row for row in rows if half(row.family) == name] for name in ("tune", "report")
    }
    yield "\n".join(
        [
            HEAD,
            *(_line(f"{name} half", own) for name, own in halves.items() if own),
            _line("both", rows),
        ]
    )
    right = [row for row in rows if row.verdict == "right"]
    exact = sum(row.is_exact for row in right)
    yield f"Of the {len(right)} right ones, {exact} name the line as well."
    for title, of in (("stage", _stage), ("environment", _environment)):
        values = sorted({of(row) for row in rows})
        lines = [_line(value, [row for row in rows if of(row) == value]) for value in values]
        yield "\n".join([f"By {title}:\n", HEAD, *lines])


def _stage(row: Row) -> str:
    return row.stage


def _environment(row: Row) -> str:
    return row.environment


def _line(name: str, rows: Sequence[Row]) -> str:
    own = figures(rows)
    counts = f"{own.right} | {own.false_alarms} | {own.missed}"
    return f"| {name} | {counts} | {interval(own.precision)} | {interval(own.recall)} |"


def interval(share: tuple[float, float, float]) -> str:
    value, low, high = share
    return "none" if value != value else f"{value:.2f} ({low:.2f} to {high:.2f})"


def _wrong(rows: Sequence[Row], notes: Mapping[str, str]) -> str:
    wrong = [row for row in rows if row.verdict != "right"]
    if not wrong:
        return "No row is wrong."
    lines = [
        "Wrong rows:\n",
        "| model | transformers | half | stage | | what happened or was said | why |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in sorted(wrong, key=lambda row: (row.model, row.environment, row.stage)):
        cause = row.happened or row.predicted
        code = f" ({row.predicted.code})" if row.predicted else ""
        lines.append(
            f"| {row.model} | {row.environment} | {half(row.family)} | {row.stage} "
            f"| {row.verdict}{code} | {cell(str(cause))} | {cell(notes.get(row.key, ''))} |"
        )
    return "\n".join(lines)


def cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")[:300]


def _silent(silent: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        "Loaded without an error, computing something else (`forward` without an exception):\n",
        "| model | transformers | largest difference of the logits | buffers apart | findings |",
        "|---|---|---|---|---|",
        *(
            f"| {one['model']} | {one['environment']} | {one['difference']} "
            f"| {one['buffers']} | {', '.join(one['codes']) or 'none'} |"
            for one in silent
        ),
    ]
    return "\n".join(lines)


def as_json(rows: Sequence[Row], labels: Mapping[str, Any]) -> dict[str, Any]:
    """The same for programs."""
    chosen: Mapping[str, Callable[[Row], bool]] = {
        "tune": lambda row: half(row.family) == "tune",
        "report": lambda row: half(row.family) == "report",
        "both": lambda row: True,
    }
    return {
        "schema_version": 1,
        "frozen": labels["frozen"],
        "figures": {
            name: _numbers(figures([row for row in rows if wanted(row)]))
            for name, wanted in chosen.items()
        },
        "rows": [
            {
                "model": row.model,
                "environment": row.environment,
                "stage": row.stage,
                "verdict": row.verdict,
                "is_exact": row.is_exact,
                "happened": str(row.happened) if row.happened else None,
                "predicted": str(row.predicted) if row.predicted else None,
                "code": row.predicted.code if row.predicted else None,
            }
            for row in rows
        ],
    }


def _numbers(own: Figures) -> dict[str, Any]:
    return {
        "right": own.right,
        "false_alarms": own.false_alarms,
        "missed": own.missed,
        "precision": _share(own.precision),
        "recall": _share(own.recall),
    }


def _share(share: tuple[float, float, float]) -> list[float | None]:
    return [None if value != value else round(value, 4) for value in share]
