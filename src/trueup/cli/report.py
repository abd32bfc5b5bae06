"""From a model's name to the report that `trueup check` and `trueup plan` show."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from trueup.adapt.plan import Plan
from trueup.adapt.planning import plan_with_facts
from trueup.adapt.wishes import NO_WISHES, Wishes, options_of
from trueup.cli.building import with_environment
from trueup.cli.downloading import DownloadLine
from trueup.doctor.report import build_report


def model_report(
    kind: Literal["check", "plan"],
    model: str,
    *,
    revision: str | None = None,
    python: Path | None = None,
    transformers: str | None = None,
    wishes: Wishes = NO_WISHES,
    is_run: bool = False,
    builds: Callable[[str], None] | None = None,
) -> tuple[dict[str, Any], Plan]:
    """The report on `model`, and the plan in it; see `plan_with_facts` for the arguments.

    With `builds` an environment that the plan lacks is built: see `with_environment`.
    """
    make = partial(
        plan_with_facts,
        model,
        wishes,
        revision=revision,
        python=python,
        transformers=transformers,
        watch=DownloadLine(),
        is_run=is_run,
    )
    facts = with_environment(make, builds)
    report = build_report(
        kind,
        source=facts.source,
        checkpoint=facts.checkpoint,
        environment=facts.environment,
        findings=facts.findings,
        plan=facts.plan.as_dict(),
        options=_options(facts.plan, wishes, revision, transformers, python),
    )
    return report, facts.plan


def _options(
    plan: Plan, wishes: Wishes, revision: str | None, transformers: str | None, python: Path | None
) -> dict[str, str]:
    """The options that make the plan again, without one that it does not use."""
    used = wishes if plan.route in ("isolated", "refused") else replace(wishes, python=None)
    options = options_of(used, revision)
    judged = {"--transformers": transformers, "--python": python}
    return options | {name: str(value) for name, value in judged.items() if value is not None}


def strict_line(report: Mapping[str, Any]) -> str | None:
    """What `--strict` fails for, None where it does not."""
    errors = sum(finding["severity"] == "error" for finding in report["findings"])
    return f"--strict: {errors} error finding{'' if errors == 1 else 's'}" if errors else None
