"""The figures of an evaluation from labels and scores: measures, baselines, tables, worst errors.

Point figures are scikit-learn's, intervals those of `interval.py`, thresholds those of
`threshold.py`. Pure: embeds nothing, reads nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn import metrics

from trueup.similarity.interval import Bools, Judged, area_under_curve, figures, intervals, wilson
from trueup.similarity.pair import Pair
from trueup.similarity.split import Membership, Split
from trueup.similarity.threshold import Floats, Ints, best_threshold, thresholds

WORST = 10
# Figures that are shares of pairs: Wilson's interval holds for them.
SHARES = ("accuracy", "precision", "recall")


def judgement(
    pairs: Sequence[Pair], split: Split, scores: Floats, overlaps: Floats
) -> dict[str, Any]:
    """Split, thresholds, measures, baselines, tables and worst errors as plain data.

    `scores` are the model's, `overlaps` those of the baseline that counts shared tokens.
    """
    labels, members = split.labels, split.members
    chosen = thresholds(scores, labels, split.cells)
    said = overlaps >= thresholds(overlaps, labels, split.cells)
    model = Judged(labels=labels, scores=scores, said=scores >= chosen)
    tokens = Judged(labels=labels, scores=overlaps, said=said)
    tables = {
        "by_kind": _members_of([pair.kind for pair in pairs]),
        "by_languages": _members_of([pair.languages for pair in pairs]),
    }
    ranges = intervals(members, _everything(model, tokens, tables), seed=split.seed)
    majority = max(labels.mean(), 1 - labels.mean())
    return {
        "split": {
            "method": "cross-validation",
            "by": members.by,
            "groups": members.count,
            "folds": split.folds,
            "seed": split.seed,
            "thresholds": sorted({float(each) for each in chosen}),
        },
        "measures": _measures(model, members, ranges, "model"),
        "confusion": _confusion(model),
        "baselines": {
            "majority": {"accuracy": float(majority)},
            "shared_tokens": _measures(tokens, members, ranges, "tokens"),
        },
        "gain_over_shared_tokens": _figure(
            float(model.right.mean() - tokens.right.mean()), ranges["gain"]
        ),
        "threshold": _recommended(scores, labels),
        **{
            name: [
                _row(key, inside, model, members, ranges, f"{name}/{key}")
                for key, inside in table.items()
            ]
            for name, table in tables.items()
        },
        "worst": _worst(pairs, scores, chosen, model),
    }


def _members_of(keys: Sequence[str | None]) -> dict[str, Bools]:
    """Which pairs have each key, in the order of the alphabet."""
    found = sorted({key for key in keys if key is not None})
    return {name: np.array([key == name for key in keys]) for name in found}


def _everything(
    model: Judged, tokens: Judged, tables: dict[str, dict[str, Bools]]
) -> Callable[[Floats], dict[str, Floats]]:
    """Every figure that gets an interval, as a function of the weights of the pairs."""

    def measure(weights: Floats) -> dict[str, Floats]:
        found = {}
        for name, judged in (("model", model), ("tokens", tokens)):
            for figure, values in figures(judged, weights).items():
                found[f"{name}/{figure}"] = values
        found["gain"] = found["model/accuracy"] - found["tokens/accuracy"]
        for name, table in tables.items():
            for key, inside in table.items():
                with np.errstate(invalid="ignore"):
                    right = weights @ (model.right & inside).astype(float)
                    found[f"{name}/{key}/accuracy"] = right / (weights @ inside.astype(float))
                compared = _compared(inside, model.labels)
                found[f"{name}/{key}/roc_auc"] = area_under_curve(model, weights * compared)
        return found

    return measure


def _confusion(judged: Judged) -> dict[str, int]:
    counts = metrics.confusion_matrix(judged.labels, judged.said, labels=[0, 1])
    return {
        "alike_said_alike": int(counts[1, 1]),
        "alike_said_different": int(counts[1, 0]),
        "different_said_alike": int(counts[0, 1]),
        "different_said_different": int(counts[0, 0]),
    }


def _measures(
    judged: Judged,
    members: Membership,
    ranges: dict[str, tuple[float, float] | None],
    name: str,
) -> dict[str, Any]:
    labels, said = judged.labels, judged.said
    values = {
        "accuracy": metrics.accuracy_score(labels, said),
        "precision": metrics.precision_score(labels, said, zero_division=np.nan),
        "recall": metrics.recall_score(labels, said),
        "f1": metrics.f1_score(labels, said),
        "roc_auc": metrics.roc_auc_score(labels, judged.scores),
    }
    # The pairs that each share is a share of.
    inside = {
        "accuracy": np.ones(len(labels), dtype=bool),
        "precision": said,
        "recall": labels == 1,
    }
    return {
        figure: _figure(
            float(value),
            ranges[f"{name}/{figure}"],
            _group_count(members, inside[figure]) if figure in SHARES else 0,
        )
        for figure, value in values.items()
    }


def _figure(value: float, found: tuple[float, float] | None, cases: int = 0) -> dict[str, Any]:
    """A figure with its interval.

    Where every resample gives the same there is nothing to learn from them: a share of 0 or 1
    gets Wilson's interval for its number of groups (`cases`), any other figure none.
    """
    if not np.isfinite(value):
        return {"value": None, "low": None, "high": None, "interval": None}
    if found is not None and found[0] < found[1]:
        return {"value": value, "low": found[0], "high": found[1], "interval": "bootstrap"}
    if cases and value in (0.0, 1.0):
        low, high = wilson(value, cases)
        return {"value": value, "low": low, "high": high, "interval": "wilson"}
    return {"value": value, "low": None, "high": None, "interval": None}


def _group_count(members: Membership, inside: Bools) -> int:
    """How many groups some pairs belong to, at most the number of the pairs."""
    groups = members.groups[inside]
    return min(len(groups), len(np.unique(groups[groups >= 0])))


def _compared(inside: Bools, labels: Ints) -> Bools:
    """The pairs of a table's row; where they have one label, with all pairs of the other label."""
    found = set(labels[inside].tolist())
    return inside if len(found) > 1 else inside | (labels != found.pop())


def _row(
    key: str,
    inside: Bools,
    model: Judged,
    members: Membership,
    ranges: dict[str, tuple[float, float] | None],
    name: str,
) -> dict[str, Any]:
    labels, right = model.labels[inside], model.right[inside]
    compared = _compared(inside, model.labels)
    has_both = labels.min() != labels.max()
    return {
        "name": key,
        "pairs": len(right),
        "alike": int(labels.sum()),
        "accuracy": _figure(
            float(right.mean()), ranges[f"{name}/accuracy"], _group_count(members, inside)
        ),
        "f1": float(metrics.f1_score(labels, model.said[inside])) if has_both else None,
        "roc_auc": _figure(
            float(metrics.roc_auc_score(model.labels[compared], model.scores[compared])),
            ranges[f"{name}/roc_auc"],
        ),
        "mean_score": float(model.scores[inside].mean()),
    }


def _recommended(scores: Floats, labels: Ints) -> dict[str, Any]:
    """The threshold for later use, chosen on all pairs; its accuracy on them is too good."""
    best = best_threshold(scores, labels)
    return {
        "value": best.value,
        "accuracy_on_the_same_pairs": float(((scores >= best.value) == (labels == 1)).mean()),
        "tied": best.tied,
        "lowest": best.lowest,
        "highest": best.highest,
    }


def _worst(
    pairs: Sequence[Pair], scores: Floats, chosen: Floats, model: Judged
) -> list[dict[str, Any]]:
    """The wrong judgements, the score farthest on the wrong side of its threshold first."""
    wrong = np.flatnonzero(~model.right)
    distance = np.abs(scores[wrong] - chosen[wrong])
    return [
        {
            "id": pairs[i].id,
            "where": pairs[i].where,
            "kind": pairs[i].kind,
            "languages": pairs[i].languages,
            "groups": list(pairs[i].groups),
            "label": pairs[i].label,
            "score": float(scores[i]),
            "threshold": float(chosen[i]),
        }
        for i in wrong[np.argsort(-distance, kind="stable")][:WORST]
    ]
