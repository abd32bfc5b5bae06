"""Scores predictions against labels, mechanically; no judgement of ours in between."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from benchmarks.accuracy.cause import Cause, matches, of_outcome

Half = Literal["tune", "report"]
Verdict = Literal["right", "false alarm", "missed"]
RAN = ("ok", "failed", "timeout", "died")
# What is run but not scored: no finding is about saving.
APART = ("save", "silent")
SILENCE_STAGE = "forward"
Z95 = 1.959963984540054


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One label with the prediction that named it, or one of both that stands alone."""

    model: str
    family: str
    environment: str
    stage: str
    verdict: Verdict
    happened: Cause | None = None
    predicted: Cause | None = None
    is_exact: bool = False

    @property
    def key(self) -> str:
        """By which a note on a wrong row is found."""
        return f"{self.model} {self.environment} {self.stage}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Counts, and what follows from them."""

    right: int
    false_alarms: int
    missed: int

    @property
    def precision(self) -> tuple[float, float, float]:
        """With its Wilson interval at 95 %."""
        return wilson(self.right, self.right + self.false_alarms)

    @property
    def recall(self) -> tuple[float, float, float]:
        """The same of what really failed."""
        return wilson(self.right, self.right + self.missed)


def wilson(hits: int, total: int) -> tuple[float, float, float]:
    """A share and its Wilson score interval at 95 %; of nothing, all that is possible."""
    if total == 0:
        return math.nan, 0.0, 1.0
    share = hits / total
    centre = share + Z95**2 / (2 * total)
    spread = Z95 * math.sqrt(share * (1 - share) / total + Z95**2 / (4 * total**2))
    scale = 1 + Z95**2 / total
    return share, max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def half(family: str) -> Half:
    """The half of the families to which one belongs, by the first byte of its name's hash."""
    return "report" if hashlib.sha256(family.encode()).digest()[0] % 2 else "tune"


def happened(stages: Mapping[str, Mapping[str, Any]]) -> Mapping[str, tuple[Cause, ...]]:
    """The scored stages of one model in one environment, each with its causes of failure."""
    found: dict[str, dict[tuple[str | None, ...], Cause]] = {}
    for name, outcome in stages.items():
        if name in APART or outcome["outcome"] not in RAN:
            continue
        causes = found.setdefault(name.partition(".")[0], {})
        if outcome["outcome"] != "ok":
            cause = of_outcome(name, outcome)
            causes.setdefault(cause.identity, cause)
    silence = stages.get("silent", {}).get("result", {})
    if silence.get("is_silent"):  # no exception: what is computed is wrong
        cause = Cause(stage=SILENCE_STAGE, exception=None, text="computes something else")
        found[SILENCE_STAGE][cause.identity] = cause
    return {stage: tuple(causes.values()) for stage, causes in found.items()}


def _is_scored(
    prediction: Cause, scored: Mapping[str, Any], stages: Mapping[str, Mapping[str, Any]]
) -> bool:
    """Whether what is predicted could be seen: its stage ran, and silence was listened for."""
    if prediction.exception is None and prediction.stage == SILENCE_STAGE:
        return stages.get("silent", {}).get("result", {}).get("difference") is not None
    return prediction.stage in scored


def rows(
    model: str,
    family: str,
    environment: str,
    stages: Mapping[str, Mapping[str, Any]],
    predictions: Iterable[Cause],
    directory: Path,
) -> list[Row]:
    """The rows of one model in one environment; predictions of stages that did not run are none."""
    scored = happened(stages)
    left: dict[str, dict[tuple[str | None, ...], Cause]] = {}
    for prediction in predictions:
        if _is_scored(prediction, scored, stages):
            left.setdefault(prediction.stage, {}).setdefault(prediction.identity, prediction)
    found: list[Row] = []

    def add(stage: str, verdict: Verdict, label: Cause | None, said: Cause | None) -> None:
        is_exact = bool(label and said and matches(label, said, directory, strictly=True))
        found.append(
            Row(
                model=model,
                family=family,
                environment=environment,
                stage=stage,
                verdict=verdict,
                happened=label,
                predicted=said,
                is_exact=is_exact,
            )
        )

    for stage, causes in scored.items():
        open_ones = list(left.get(stage, {}).values())
        for label in causes:
            said = next((one for one in open_ones if matches(label, one, directory)), None)
            if said is None:
                add(stage, "missed", label, None)
            else:
                open_ones.remove(said)
                add(stage, "right", label, said)
        for said in open_ones:
            add(stage, "false alarm", None, said)
    return found


def figures(all_rows: Sequence[Row]) -> Figures:
    count = {verdict: 0 for verdict in ("right", "false alarm", "missed")}
    for row in all_rows:
        count[row.verdict] += 1
    return Figures(right=count["right"], false_alarms=count["false alarm"], missed=count["missed"])
