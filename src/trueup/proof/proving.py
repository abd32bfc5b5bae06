"""From a plan to its record: the reference is chosen, both sides are asked, the verdict is kept."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from trueup.adapt.plan import IN_LAYERS, LOADED, Plan
from trueup.adapt.planning import PlannedFacts
from trueup.adapt.proof_record import (
    SCHEMA_VERSION,
    Subject,
    reference_digests,
    subject_of,
)
from trueup.adapt.sizes import context_tokens
from trueup.adapt.wishes import INT8
from trueup.errors import AdaptError, CapacityError, CheckpointError, ConfigError
from trueup.proof.answers_file import Answers, write_answers
from trueup.proof.golden import Golden, published, read_golden, write_golden
from trueup.proof.keeping import Kept, check_records, check_room, keep, working_folder
from trueup.proof.process import Interpreter, planned_interpreter
from trueup.proof.questions import LONGEST_TOKENS, Questions, questions_for
from trueup.proof.reference import Reference, UnprovenError, choose_reference, other_hint
from trueup.proof.verify import (
    FP32,
    Asking,
    Outcome,
    Say,
    ask_planned,
    ask_reference,
    check_reference,
    judge,
)

# Of the memory that is free a comparison takes at most that share.
MEMORY_SHARE = 0.8
OVERHEAD_BYTES = 2 * 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """How a plan is to be proven; `planned` is the interpreter of its side, None for this one.

    `memory_bytes` bounds what one side may hold: a model that is larger in fp32 is gone through
    layer by layer.
    """

    seed: int = 0
    reference_python: Path | None = None
    reference_file: Path | None = None
    memory_bytes: int | None = None
    planned: Interpreter | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Proved:
    """What came of it; `record` is None where nothing was kept, for `fault` if it should be."""

    outcome: Outcome
    shape: Mapping[str, Any]
    record: Path | None
    fault: ConfigError | None = None


def prove(facts: PlannedFacts, wanted: Wanted, say: Say) -> Proved:
    """Prove the plan of `facts`, whose files are all here; blocks until there is a verdict.

    A verdict of proven or failed is kept in a record, which later plans show.

    Raises: ConfigError where nothing can be kept; CheckpointError for a golden file that is
    damaged or of other files; AdaptError where consent is needed.
    """
    check_records()
    subject = subject_of(facts.plan, facts.checkpoint, facts.environment)
    began = datetime.now(UTC)
    with working_folder() as folder:
        try:
            reason = _against(facts)
            if reason is not None:
                raise UnprovenError(reason, where=facts.plan.model.directory)
            outcome, told = _compared(facts, subject, wanted, say, folder)
        except UnprovenError as error:
            told = {"reference": None}
            words = f"{error.cause} ({error.where})" if error.where else error.cause
            outcome = Outcome(
                verdict="unproven", reasons=(words,), measured={"hint": _named(error, facts).hint}
            )
    shape = {
        "schema_version": SCHEMA_VERSION,
        "kind": "proof",
        "verdict": outcome.verdict,
        "reasons": list(outcome.reasons),
        "date": began.isoformat(timespec="seconds"),
        "seconds": round((datetime.now(UTC) - began).total_seconds(), 1),
        "model": {
            "source": facts.plan.model.source,
            "revision": facts.plan.model.revision,
            "directory": facts.plan.model.directory,
            "digest": facts.plan.model.digest,
        },
        "route": facts.plan.route,
        "implementation": facts.plan.implementation,
        "fixes": list(facts.plan.fixes),
        "dtype": facts.plan.dtype,
        "device": facts.plan.device,
        "subject": dict(subject.digests),
        **told,
        **outcome.measured,
    }
    kept = Kept() if outcome.verdict == "unproven" else keep(shape, subject)
    return Proved(
        outcome=outcome, shape={**shape, "note": kept.note}, record=kept.record, fault=kept.fault
    )


def record_golden(facts: PlannedFacts, wanted: Wanted, path: Path, say: Say) -> str:
    """Write the reference's answers to `path`; returns the file's digest.

    Raises: UnprovenError where there is no reference; otherwise as `prove`.
    """
    check_room(path, "the file")
    subject = subject_of(facts.plan, facts.checkpoint, facts.environment)
    try:
        with working_folder() as folder:
            reference = choose_reference(facts, wanted.reference_python, folder)
            asking = _asking(facts, wanted, say, folder)
            answers = _referred(asking, reference, wanted)
            return write_golden(path, answers, asking.questions, subject, reference.words)
    except UnprovenError as error:
        raise _named(error, facts) from error


def _named(error: UnprovenError, facts: PlannedFacts) -> UnprovenError:
    """The error with the model's own name in its hint."""
    error.hint = error.hint and error.hint.replace("MODEL", shlex.quote(facts.plan.model.source))
    return error


def _against(facts: PlannedFacts) -> str | None:
    plan = facts.plan
    if plan.route == "refused":
        return f"the plan is a refusal: {'; '.join(plan.why)}"
    if plan.consent == "needed":
        raise AdaptError(
            "the model's own code runs only with your consent",
            where=plan.model.directory,
            hint=f"trueup trust {shlex.quote(plan.model.source)}",
        )
    if plan.dtype == INT8:
        return (
            "int8 is made to differ from what was published; `trueup plan` shows by how much, and "
            "fp32 and bf16 can be proven"
        )
    return None


def _compared(
    facts: PlannedFacts, subject: Subject, wanted: Wanted, say: Say, folder: Path
) -> tuple[Outcome, dict[str, Any]]:
    asking = _asking(facts, wanted, say, folder)
    told: dict[str, Any]
    if wanted.reference_file is not None:
        golden = read_golden(wanted.reference_file, subject)
        asking = _as_asked(asking, golden)
        answers = _unpacked(asking, golden)
        check_reference(asking, answers, golden.words)
        told = {"kind": "file", "words": golden.words, "digest": golden.digest}
    else:
        reference = choose_reference(facts, wanted.reference_python, folder)
        kind = "library" if reference.code is None else "own code"
        told = {
            "kind": kind,
            "words": reference.words,
            "interpreter": reference.interpreter.command[0],
            "environment": reference_digests(Path(reference.interpreter.command[0])),
        }
        answers = _referred(asking, reference, wanted)
    try:
        planned = ask_planned(asking, wanted.planned or planned_interpreter(facts.plan, folder))
        outcome = judge(asking, answers, planned)
    except CapacityError as error:
        raise UnprovenError(error.cause, where=error.where, hint=error.hint) from error
    except (AdaptError, CheckpointError) as error:
        words = f"{error.cause} ({error.where})" if error.where else error.cause
        outcome = Outcome(verdict="failed", reasons=(words,))
    if any(change != subject.digests.get(name) for name, change in _again(facts).items()):
        raise UnprovenError("the model's files changed meanwhile", where=str(asking.plan.model))
    return outcome, {
        "reference": told,
        "questions": asking.questions.as_dict(),
        "tried": _tried(facts, asking),
    }


def _again(facts: PlannedFacts) -> dict[str, str]:
    return published(subject_of(facts.plan, facts.checkpoint, facts.environment))


def _referred(asking: Asking, reference: Reference, wanted: Wanted) -> dict[str, Answers]:
    try:
        return ask_reference(asking, reference)
    except AdaptError as error:
        hint = error.hint or other_hint(reference, wanted.reference_python)
        raise UnprovenError(error.cause, where=error.where, hint=hint) from error
    except CapacityError as error:
        raise UnprovenError(error.cause, where=error.where, hint=error.hint) from error


def _asking(facts: PlannedFacts, wanted: Wanted, say: Say, folder: Path) -> Asking:
    plan, bound = facts.plan, _bound(wanted)
    is_streamed = _needed_bytes(facts) > bound
    if is_streamed and plan.embedding is not None:
        raise UnprovenError(
            "the model is larger than what may be held, and one that makes embeddings is not gone "
            "through layer by layer",
            where=plan.model.directory,
        )
    asking = Asking(
        facts=facts,
        questions=_questions(facts, wanted.seed, is_streamed=is_streamed),
        folder=folder,
        say=say,
        is_streamed=is_streamed,
        loads_whole=not is_streamed or loaded_bytes(plan) <= bound,
    )
    return asking


def _questions(facts: PlannedFacts, seed: int, *, is_streamed: bool) -> Questions:
    generates = facts.plan.embedding is None
    context = facts.plan.context_tokens
    return questions_for(context, seed, is_streamed=is_streamed, generates=generates)


def _as_asked(asking: Asking, golden: Golden) -> Asking:
    """With the questions of a golden file, which must be those that are asked here as well."""
    seed = golden.questions.seed
    for is_streamed in (asking.is_streamed, not asking.is_streamed):
        questions = _questions(asking.facts, seed, is_streamed=is_streamed)
        if golden.questions == questions:
            # Little was asked where it went layer by layer, and layers need layers.
            return replace(
                asking, questions=questions, is_streamed=asking.is_streamed or is_streamed
            )
    raise UnprovenError(
        "the golden answers are to other questions than those that are asked here",
        hint="trueup verify MODEL --record FILE, with this version of TrueUp",
    )


def _needed_bytes(facts: PlannedFacts) -> int:
    """What one side holds in fp32."""
    weights = facts.checkpoint.weights
    numbers = sum(math.prod(tensor.shape) for tensor in weights.tensors.values())
    # Of some pickles only the size is known; most are in two bytes a number.
    return max(4 * numbers, 2 * weights.size_bytes) + OVERHEAD_BYTES


def loaded_bytes(plan: Plan) -> int:
    """The least that `memory_bytes` may be for the plan to be asked as it serves."""
    return plan.memory.weights_bytes + OVERHEAD_BYTES


def _bound(wanted: Wanted) -> int:
    if wanted.memory_bytes is not None:
        return wanted.memory_bytes
    from trueup.environment.hardware import read_hardware

    return int(MEMORY_SHARE * read_hardware().host_available_bytes)


def _unpacked(asking: Asking, golden: Golden) -> dict[str, Answers]:
    missing = [each for each in asking.dtypes() if each not in golden.answers]
    if missing:
        raise UnprovenError(
            f"the golden answers are in {', '.join(golden.answers)}, and the plan needs "
            f"{missing[0]}",
            hint=f"trueup verify MODEL --dtype {missing[0]} --record FILE",
        )
    first = golden.answers[FP32]
    write_answers(asking.answers_path("reference", FP32), first.arrays, first.facts)
    return dict(golden.answers)


def _tried(facts: PlannedFacts, asking: Asking) -> dict[str, Any]:
    return {
        "layer_by_layer": asking.is_streamed,
        "extent": LOADED if asking.loads_whole else IN_LAYERS,
        "longest_tokens": asking.questions.longest_tokens,
        "context_tokens": context_tokens(facts.checkpoint),
        "bound_tokens": LONGEST_TOKENS,
    }
