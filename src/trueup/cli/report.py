"""From a model's name to its report: reads, examines and plans, for the verbs that show it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from trueup.adapt.plan import Plan
from trueup.adapt.planning import Wishes, make_plan
from trueup.checkpoint.files import read_checkpoint
from trueup.checkpoint.source import resolve
from trueup.doctor.examine import examine
from trueup.doctor.report import build_report
from trueup.environment.hardware import read_hardware
from trueup.environment.packages import read_environment


def model_report(
    kind: Literal["check", "plan"],
    model: str,
    *,
    revision: str | None = None,
    python: Path | None = None,
    transformers: str | None = None,
    wishes: Wishes | None = None,
) -> tuple[dict[str, Any], Plan]:
    """The report on `model`, and the plan in it, for the installed packages.

    `python` or `transformers` judge by another interpreter's packages or by a version.

    Raises: CheckpointError, ConfigError.
    """
    source = resolve(model, revision=revision)
    checkpoint = read_checkpoint(source)
    environment = read_environment(python, transformers)
    findings = examine(checkpoint, environment)
    plan = make_plan(checkpoint, environment, read_hardware(), findings, wishes or Wishes())
    plan = replace(plan, model=replace(plan.model, id=source.id))
    report = build_report(
        kind,
        source=source,
        checkpoint=checkpoint,
        environment=environment,
        findings=findings,
        plan=plan.as_dict(),
    )
    return report, plan
