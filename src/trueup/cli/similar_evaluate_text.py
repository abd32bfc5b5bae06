"""The report of an evaluation as text: 80 columns, complete without colour."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from trueup.doctor.render.text import Line, printable
from trueup.similarity.pair import counted

WIDTH = 80
NAMES = {
    "accuracy": "accuracy",
    "f1": "F1",
    "precision": "precision",
    "recall": "recall",
    "roc_auc": "ROC AUC",
}
SPLITS = {
    "group": "the groups of the data",
    "joined group": "the groups of the data, joined where pairs or snippets link them",
    "shared snippets": "what shares snippets (the data name no groups)",
    "snippet": "snippet (the data name no groups)",
}
NAME_WIDTH = 24
# Rows of fewer pairs say little and are left to JSON.
LEAST_PAIRS = 5
Figure = Mapping[str, Any]


def report_lines(report: Mapping[str, Any]) -> Iterator[Line]:
    """The whole report: the data, the measures, baselines, tables, the worst errors."""
    yield from _head_lines(report)
    yield from _measure_lines(report)
    yield from _baseline_lines(report)
    yield from _retrieval_lines(report["retrieval"])
    yield from _table_lines("by kind", report["by_kind"])
    yield from _table_lines("by languages", report["by_languages"])
    yield from _worst_lines(report["worst"])
    yield from _closing_lines(report)


def _head_lines(report: Mapping[str, Any]) -> Iterator[Line]:
    data, split = report["data"], report["split"]
    yield Line(f"Code similarity by {printable(report['model'])}", "title")
    yield Line(f"  {printable(data['source'])}", "dim")
    yield from _bullet(
        f"{data['pairs']:,} pairs ({data['alike']:,} alike) of {data['snippets']:,} snippets,"
        f" {split['groups']:,} groups"
    )
    if data["drawn"]:
        yield from _bullet(f"a sample: {data['drawn']}")
    for note in data["notes"]:
        yield from _bullet(f"note: {note}")
    yield from _bullet(
        f"{split['folds']}-fold cross-validation by {SPLITS[split['by']]}, seed {split['seed']}:"
        " no threshold judges a pair that shares a group or a snippet with those it was chosen on"
    )
    yield Line("")


def _measure_lines(report: Mapping[str, Any]) -> Iterator[Line]:
    yield Line(f"{'':{NAME_WIDTH}}  value   95 % interval", "title")
    for name, shown in NAMES.items():
        yield Line(f"  {shown:{NAME_WIDTH}}{_with_interval(report['measures'][name])}")
    confusion = report["confusion"]
    yield Line("")
    yield Line(f"{'':{NAME_WIDTH}}{'said alike':>12}{'said different':>16}", "title")
    for label in ("alike", "different"):
        cells = (confusion[f"{label}_said_{said}"] for said in ("alike", "different"))
        yield Line("  {:{}}{:>10,}{:>16,}".format(f"are {label}", NAME_WIDTH, *cells))
    yield Line("")


def _baseline_lines(report: Mapping[str, Any]) -> Iterator[Line]:
    tokens = report["baselines"]["shared_tokens"]
    rows = (
        (
            "this model",
            *(report["measures"][name]["value"] for name in ("accuracy", "f1", "roc_auc")),
        ),
        (
            "shared tokens (Jaccard)",
            *(tokens[name]["value"] for name in ("accuracy", "f1", "roc_auc")),
        ),
        ("always one answer", report["baselines"]["majority"]["accuracy"], None, None),
    )
    yield Line(f"{'':{NAME_WIDTH}}{'accuracy':>10}{'F1':>10}{'ROC AUC':>10}", "title")
    for name, *values in rows:
        cells = "".join(f"{_number(value):>10}" for value in values)
        yield Line(f"  {name:{NAME_WIDTH - 2}}{cells}")
    gain = report["gain_over_shared_tokens"]
    value, low, high = (_signed(gain[name]) for name in ("value", "low", "high"))
    found = "" if gain["low"] is None else f" ({low} to {high})"
    yield from _bullet(f"the model over shared tokens: {value} of accuracy{found}")
    yield Line("")


def _retrieval_lines(retrieval: Mapping[str, Any] | None) -> Iterator[Line]:
    if retrieval is None:
        return
    least, most = retrieval["least_r"], retrieval["most_r"]
    r = f"{least}" if least == most else f"{least} to {most}"
    yield Line(
        f"  {'MAP@R':{NAME_WIDTH}}{_with_interval({**retrieval, 'value': retrieval['map_at_r']})}"
    )
    yield from _bullet(
        f"{retrieval['programs']:,} programs of {retrieval['problems']} problems, R is {r};"
        " figures for another R are not comparable"
    )
    yield Line("")


def _table_lines(title: str, rows: Sequence[Mapping[str, Any]]) -> Iterator[Line]:
    shown = [row for row in rows if row["pairs"] >= LEAST_PAIRS]
    if not rows:
        return
    yield Line(
        f"{title:{NAME_WIDTH}}{'pairs':>7}{'alike':>7}  accuracy  95 % interval   score  ROC AUC",
        "title",
    )
    for row in shown:
        name = printable(row["name"])
        name = name if len(name) <= NAME_WIDTH - 2 else f"{name[: NAME_WIDTH - 3]}…"
        accuracy = row["accuracy"]
        yield Line(
            f"  {name:{NAME_WIDTH - 2}}{row['pairs']:>7,}{row['alike']:>7,}"
            f"{accuracy['value']:>10.3f}  {_interval(accuracy):<14}{row['mean_score']:>7.3f}"
            f"{_number(row['roc_auc']['value']):>9}"
        )
    if len(shown) < len(rows):
        count = counted(len(rows) - len(shown), "more row")
        yield from _bullet(f"{count} of fewer than {LEAST_PAIRS} pairs: --format json")
    if any(row["alike"] in (0, row["pairs"]) for row in shown):
        yield from _bullet("ROC AUC of a row with one label: against all pairs of the other label")
    yield Line("")


def _worst_lines(rows: Sequence[Mapping[str, Any]]) -> Iterator[Line]:
    if not rows:
        yield Line("No pair is judged wrong.", "good")
        yield Line("")
        return
    yield Line("worst errors (the score farthest on the wrong side first)", "title")
    for row in rows:
        label, sign = ("alike", "<") if row["label"] else ("different", ">=")
        yield Line(f"  {printable(row['id'])}")
        kind = f"{printable(row['kind'])}, " if row["kind"] else ""
        yield from _bullet(
            f"{kind}{printable(row['languages'])}: {label}, yet the score is {row['score']:.4f}"
            f" {sign} {row['threshold']:.4f}",
            indent="    ",
        )
    yield Line("")


def _closing_lines(report: Mapping[str, Any]) -> Iterator[Line]:
    threshold, goal = report["threshold"], report["goal"]
    yield Line(f"Threshold to use: {threshold['value']:.4f}", "title")
    tied = ""
    if threshold["tied"] > 1:
        tied = (
            f"; {threshold['tied']} cuts from {threshold['lowest']:.4f} to"
            f" {threshold['highest']:.4f} are as good, this one has the widest gap"
        )
    yield from _bullet(
        f"chosen on all pairs, where it is right for"
        f" {threshold['accuracy_on_the_same_pairs']:.3f} of them: too good a figure to quote{tied}"
    )
    if goal is not None:
        value = report["measures"]["accuracy"]["value"]
        verb = "reaches" if goal["is_met"] else "is below"
        yield Line("")
        yield Line(
            f"The accuracy of {value:.3f} {verb} --min-accuracy {goal['min_accuracy']:g}.",
            "good" if goal["is_met"] else "bad",
        )


def _with_interval(figure: Figure) -> str:
    return f"{_number(figure['value']):>5}   {_interval(figure)}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{round(value, 3) + 0.0:+.3f}"  # no -0.000


def _interval(figure: Figure) -> str:
    return "-" if figure["low"] is None else f"{figure['low']:.3f} to {figure['high']:.3f}"


def _bullet(text: str, indent: str = "  ") -> Iterable[Line]:
    lines = textwrap.wrap(
        printable(text), WIDTH - len(indent), break_long_words=False, break_on_hyphens=False
    )
    return (Line(f"{indent}{line}") for line in lines)
