"""Decides how a model will be run, from facts alone: route, class, dtype, device, memory.

Pure and without torch; `plan_model` reads the facts first. Nothing is loaded here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from trueup.adapt.candidate import candidate_of
from trueup.adapt.deviation import with_deviation
from trueup.adapt.embedding import is_embedding
from trueup.adapt.placement import place
from trueup.adapt.plan import Plan, PlannedModel
from trueup.adapt.sizes import against_context, context_tokens
from trueup.adapt.wishes import INT8, NO_WISHES, ONNXRUNTIME, TORCH, Wishes, check_wishes
from trueup.checkpoint.checkpoint import Checkpoint
from trueup.checkpoint.content import weights_digest
from trueup.checkpoint.files import read_checkpoint
from trueup.checkpoint.hub.watch import Watch
from trueup.checkpoint.source import Source, complete, resolve
from trueup.doctor.examine import examine
from trueup.doctor.finding import Finding
from trueup.doctor.report import is_avoided
from trueup.doctor.time_limit import usual_limit
from trueup.environment.environment import Environment, Hardware
from trueup.environment.hardware import read_hardware
from trueup.environment.packages import read_environment

__all__ = ["PlannedFacts", "Wishes", "make_plan", "plan_model", "plan_with_facts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedFacts:
    """A plan with the facts that it was made from."""

    source: Source
    checkpoint: Checkpoint
    environment: Environment
    findings: tuple[Finding, ...]
    plan: Plan


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
    source = resolve(model, revision=revision, watch=watch)
    environment = read_environment(python, transformers)
    facts = _plan_source(source, wishes, environment)
    if not is_run or source.remote is None or facts.plan.route == "refused":
        return facts
    return _plan_source(complete(source, watch=watch), wishes, environment)


def _plan_source(source: Source, wishes: Wishes, environment: Environment) -> PlannedFacts:
    with usual_limit(source.source):
        checkpoint = read_checkpoint(source)
        findings = examine(checkpoint, environment)
    plan = make_plan(checkpoint, environment, read_hardware(), findings, wishes)
    if plan.embedding is not None:
        whole = replace(plan.embedding, weights_digest=weights_digest(checkpoint))
        plan = with_deviation(replace(plan, embedding=whole), environment)
    return PlannedFacts(
        source=source,
        checkpoint=checkpoint,
        environment=environment,
        findings=findings,
        plan=replace(plan, model=replace(plan.model, id=source.id)),
    )


def make_plan(
    checkpoint: Checkpoint,
    environment: Environment,
    hardware: Hardware,
    findings: tuple[Finding, ...],
    wishes: Wishes = NO_WISHES,
) -> Plan:
    """The plan for one checkpoint; a refusal is a plan too, with its reasons in `why`.

    1. What could run it natively: a mapped family, else the library under the same name.
    2. Where and in which dtype it would run, and whether it fits.
    3. The native route, unless something speaks against it; no other exists yet.

    Raises: ConfigError for a wish that cannot be meant.
    """
    check_wishes(wishes, context_tokens(checkpoint))
    embeds = is_embedding(checkpoint, environment, wishes.kind)
    placement = place(checkpoint, hardware, wishes, is_embedding=embeds)  # 2
    candidate = candidate_of(  # 1
        checkpoint, environment, placement.dtype, wishes, is_embedding=embeds
    )
    embedding = candidate.embedding
    longest = context_tokens(checkpoint) if embedding is None else embedding.context_tokens
    against = (
        *_against_pinned_route(wishes),
        *candidate.against,
        *against_context(checkpoint),
        *_against_findings(findings),
        *placement.against,
    )
    avoided = tuple(dict.fromkeys(each.code for each in findings if is_avoided(each, "native")))
    why = (*candidate.why, *_avoided_words(avoided), *placement.why)
    return Plan(  # 3
        model=_planned_model(checkpoint),
        route="refused" if against else "native",
        why=tuple(dict.fromkeys(against)) if against else why,
        family=candidate.family,
        implementation=candidate.implementation,
        kind=candidate.kind,
        dtype=placement.dtype,
        device=placement.device,
        mapped=() if against else candidate.mapped,
        memory=placement.memory,
        caveats=() if against else (*candidate.caveats, *placement.caveats),
        findings=() if against else avoided,
        context_tokens=_smaller(wishes.context_tokens, longest),
        engine=ONNXRUNTIME if placement.dtype == INT8 else TORCH,
        embedding=None if embedding is None or against else embedding.plan,
    )


def _smaller(*limits: int | None) -> int | None:
    return min((limit for limit in limits if limit is not None), default=None)


def _planned_model(checkpoint: Checkpoint) -> PlannedModel:
    is_path = Path(checkpoint.source).name == checkpoint.directory.name
    return PlannedModel(
        id=checkpoint.directory.name if is_path else checkpoint.source,
        source=checkpoint.source,
        revision=checkpoint.revision,
        digest=checkpoint.digest,
        directory=str(checkpoint.directory),
    )


def _against_pinned_route(wishes: Wishes) -> tuple[str, ...]:
    if wishes.route in ("auto", "native"):
        return ()
    return (
        f"the route `{wishes.route}` was asked for, and this release of TrueUp has only `native`: "
        "`--route auto` takes what there is",
    )


def _against_findings(findings: tuple[Finding, ...]) -> tuple[str, ...]:
    return tuple(
        f"{each.code}: {each.cause}" + (f" ({each.where})" if str(each.where) else "")
        for each in findings
        if "native" in each.blocks
    )


def _avoided_words(codes: tuple[str, ...]) -> tuple[str, ...]:
    if not codes:
        return ()
    return (f"avoided, because only the model's own code meets them: {', '.join(codes)}",)
