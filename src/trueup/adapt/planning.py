"""Reads the facts about a model and this machine, and plans from them.

Without torch; what the facts decide is `decision.py`'s. Nothing is loaded here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from trueup.adapt.consent import with_consent
from trueup.adapt.decision import make_plan
from trueup.adapt.deviation import with_deviation
from trueup.adapt.forecast import is_forecast, known_name, pair
from trueup.adapt.plan import Plan
from trueup.adapt.proof_record import with_proof
from trueup.adapt.wishes import NO_WISHES, Wishes
from trueup.checkpoint.checkpoint import Checkpoint
from trueup.checkpoint.content import weights_digest
from trueup.checkpoint.files import read_checkpoint
from trueup.checkpoint.hub.watch import Watch
from trueup.checkpoint.source import Source, complete, resolve
from trueup.doctor.examine import examine
from trueup.doctor.finding import Finding
from trueup.doctor.time_limit import usual_limit
from trueup.environment.environment import Environment
from trueup.environment.hardware import read_hardware
from trueup.environment.packages import read_environment
from trueup.trust.copy import trusted_code

__all__ = ["PlannedFacts", "Wishes", "make_plan", "plan_model", "plan_with_facts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedFacts:
    """A plan with the facts that it was made from; `tokenizer` is that of a forecasting model."""

    source: Source
    checkpoint: Checkpoint
    environment: Environment
    findings: tuple[Finding, ...]
    plan: Plan
    tokenizer: Source | None = None


def plan_model(
    model: str,
    wishes: Wishes = NO_WISHES,
    *,
    revision: str | None = None,
    watch: Watch | None = None,
) -> Plan:
    """The plan of `model` for the running interpreter, whose files are all here.

    See `plan_with_facts`.
    """
    return plan_with_facts(model, wishes, revision=revision, watch=watch, is_run=True).plan


def plan_with_facts(
    model: str,
    wishes: Wishes = NO_WISHES,
    *,
    revision: str | None = None,
    python: Path | None = None,
    transformers: str | None = None,
    watch: Watch | None = None,
    is_run: bool = False,
) -> PlannedFacts:
    """Read the facts about `model` and this machine and plan for the running interpreter.

    `python` or `transformers` plan for another interpreter's packages or for a version. Of a
    model on a hub only small files and the headers of weights are read; one that `is_run` has
    its weights downloaded, unless the plan is a refusal.

    Raises: CheckpointError where `model` cannot be found or read; ConfigError for a wish or an
    interpreter that cannot be meant.
    """
    source = resolve(known_name(model), revision=revision, watch=watch)
    environment = read_environment(python, transformers)
    facts = _plan_source(source, wishes, environment, watch)
    if not is_run or facts.plan.route == "refused":
        return facts
    if source.remote is not None:
        facts = _plan_source(complete(source, watch=watch), wishes, environment, watch)
    if facts.tokenizer is not None and facts.tokenizer.remote is not None:
        complete(facts.tokenizer, watch=watch)
        facts = _plan_source(facts.source, wishes, environment, watch)
    if facts.plan.code is not None:
        trusted_code(facts.checkpoint)  # a worker reads the copy and may not make it
    return facts


def _plan_source(
    source: Source, wishes: Wishes, environment: Environment, watch: Watch | None
) -> PlannedFacts:
    with usual_limit(source.source):
        checkpoint = read_checkpoint(source)
        findings = examine(checkpoint, environment)
        found = None
        if is_forecast(checkpoint, wishes.kind):
            found = pair(source, checkpoint, wishes, watch)
    plan = make_plan(checkpoint, environment, read_hardware(), findings, wishes, found=found)
    plan = with_consent(plan, checkpoint)
    if plan.embedding is not None:
        whole = replace(plan.embedding, weights_digest=weights_digest(checkpoint))
        plan = with_deviation(replace(plan, embedding=whole), environment)
    plan = with_proof(plan, checkpoint, environment)
    return PlannedFacts(
        source=source,
        checkpoint=checkpoint,
        environment=environment,
        findings=findings,
        plan=replace(plan, model=replace(plan.model, id=source.id)),
        tokenizer=found.source if found is not None else None,
    )
