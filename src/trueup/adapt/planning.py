"""Decides how a model will be run, from facts alone: route, class, dtype, device, memory.

Pure and without torch; `plan_model` reads the facts first. Nothing is loaded here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from packaging.version import Version

from trueup.adapt import library
from trueup.adapt.first_release import presence
from trueup.adapt.native import NATIVE
from trueup.adapt.native.family import NativeFamily, Refusal
from trueup.adapt.placement import place
from trueup.adapt.plan import Caveat, Kind, Plan, PlannedModel
from trueup.adapt.sizes import against_context, context_tokens
from trueup.adapt.wishes import NO_WISHES, Wishes, check_wishes
from trueup.checkpoint.checkpoint import Checkpoint
from trueup.checkpoint.files import read_checkpoint
from trueup.checkpoint.source import Source, resolve
from trueup.doctor.examine import examine
from trueup.doctor.finding import Finding
from trueup.doctor.report import is_avoided
from trueup.environment.environment import OLDEST_TRANSFORMERS, Environment, Hardware
from trueup.environment.hardware import read_hardware
from trueup.environment.packages import read_environment

__all__ = ["PlannedFacts", "Wishes", "make_plan", "plan_model", "plan_with_facts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    """What the native route would run, and every reason against it."""

    family: str | None = None
    implementation: str | None = None
    kind: Kind = "chat"
    why: tuple[str, ...] = ()
    mapped: tuple[str, ...] = ()
    caveats: tuple[Caveat, ...] = ()
    against: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedFacts:
    """A plan with the facts that it was made from."""

    source: Source
    checkpoint: Checkpoint
    environment: Environment
    findings: tuple[Finding, ...]
    plan: Plan


def plan_model(model: str, wishes: Wishes = NO_WISHES, *, revision: str | None = None) -> Plan:
    """The plan of `model` for the running interpreter; see `plan_with_facts`."""
    return plan_with_facts(model, wishes, revision=revision).plan


def plan_with_facts(
    model: str,
    wishes: Wishes = NO_WISHES,
    *,
    revision: str | None = None,
    python: Path | None = None,
    transformers: str | None = None,
) -> PlannedFacts:
    """Read the facts about `model` and this machine and plan for the running interpreter.

    `python` or `transformers` plan for another interpreter's packages or for a version.

    Raises: CheckpointError where `model` cannot be found or read; ConfigError for a wish or an
    interpreter that cannot be meant.
    """
    source = resolve(model, revision=revision)
    checkpoint = read_checkpoint(source)
    environment = read_environment(python, transformers)
    findings = examine(checkpoint, environment)
    plan = make_plan(checkpoint, environment, read_hardware(), findings, wishes)
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
    placement = place(checkpoint, hardware, wishes)  # 2
    candidate = _candidate(checkpoint, environment, placement.dtype)  # 1
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
        context_tokens=wishes.context_tokens or context_tokens(checkpoint),
    )


def _planned_model(checkpoint: Checkpoint) -> PlannedModel:
    is_path = Path(checkpoint.source).name == checkpoint.directory.name
    return PlannedModel(
        id=checkpoint.directory.name if is_path else checkpoint.source,
        source=checkpoint.source,
        revision=checkpoint.revision,
        digest=checkpoint.digest,
        directory=str(checkpoint.directory),
    )


def _candidate(checkpoint: Checkpoint, environment: Environment, dtype: str) -> _Candidate:
    version = environment.transformers
    if version is None:
        return _Candidate(
            against=(f"transformers is not installed for `{environment.python}`",),
        )
    if version < OLDEST_TRANSFORMERS:
        reason = (
            f"transformers {version} is older than {OLDEST_TRANSFORMERS}, the oldest that TrueUp "
            "runs models natively on"
        )
        return _Candidate(against=(reason,))
    family = next((each for each in NATIVE if each.recognise(checkpoint)), None)
    if family is not None:
        return _mapped(family, checkpoint, environment, version, dtype)
    if library.is_implemented(checkpoint.model_type, environment):
        return _library(checkpoint, environment, version)
    if environment.is_assumed and checkpoint.model_type is not None:
        told = library.assumed_presence(checkpoint, version)
        if told == "yes":
            return _library(checkpoint, environment, version)
        if told == "unknown":
            return _Candidate(against=(_untold_words(checkpoint.model_type, version),))
    return _Candidate(against=(_unknown_words(checkpoint, version),))


def _mapped(
    family: NativeFamily,
    checkpoint: Checkpoint,
    environment: Environment,
    version: Version,
    dtype: str,
) -> _Candidate:
    against = _refusal_words(family.title, family.refusals(checkpoint))
    if against or family.implementation is None:
        return _Candidate(family=family.name, kind=family.kind, against=against)
    has_class = library.is_implemented(family.model_type, environment)
    if not has_class and not environment.is_assumed:
        reason = f"transformers {version} has no `{family.implementation}`"
        return _Candidate(family=family.name, kind=family.kind, against=(reason,))
    why = (
        f"{family.title}'s architecture is one that transformers {version} implements itself, as "
        f"`{family.implementation}`: config and weight names are mapped while loading",
        "none of the model's own code runs",
    )
    return _Candidate(
        family=family.name,
        implementation=f"transformers.{family.implementation}",
        kind=family.kind,
        why=why,
        mapped=family.describe(checkpoint),
        caveats=family.caveats(checkpoint, dtype),
    )


def _library(checkpoint: Checkpoint, environment: Environment, version: Version) -> _Candidate:
    model_type = checkpoint.model_type or ""
    implementation = library.implementation(checkpoint, environment)
    if implementation is None:
        reason = library.EMBEDDING_LATER.format(model_type=model_type)
        return _Candidate(family=model_type, kind="embedding", against=(reason,))
    why = [f"transformers {version} implements `{model_type}` itself, as `{implementation}`"]
    if checkpoint.auto_map:
        why.append("none of the model's own code runs")
    if environment.is_assumed and presence(model_type, version) == "unknown":
        why = [
            f"the checkpoint was saved without code of its own by transformers "
            f"{checkpoint.config.get('transformers_version')}, so {version} should have "
            f"`{implementation}`"
        ]
    return _Candidate(
        family=model_type,
        implementation=f"transformers.{implementation}",
        kind=library.kind(checkpoint),
        why=tuple(why),
        against=_refusal_words(model_type, library.refusals(checkpoint)),
    )


def _refusal_words(title: str, refusals: tuple[Refusal, ...]) -> tuple[str, ...]:
    return tuple(
        f"{title} with `{each.key}` in config.json: {each.reason}"
        if each.key
        else f"{title}: {each.reason}"
        for each in refusals
    )


def _untold_words(model_type: str, version: Version) -> str:
    return (
        f"whether transformers {version} implements `{model_type}` cannot be told without its "
        "files; use `--python` with an interpreter that has it"
    )


def _unknown_words(checkpoint: Checkpoint, version: Version) -> str:
    if checkpoint.model_type is None:
        return "config.json names no `model_type`, so the architecture is not known"
    titles = ", ".join(family.title for family in NATIVE if family.implementation)
    unread = ""
    if checkpoint.model_type == "chatglm":
        unread = "; which of these it is, its own tokenizer code tells, and that is not there"
    return (
        f"the architecture `{checkpoint.model_type}` is neither implemented by transformers "
        f"{version} nor mapped by TrueUp (mapped: {titles}){unread}"
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
