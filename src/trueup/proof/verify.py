"""Proves a plan, or finds where it is not what was published: the whole course of it.

1. The reference answers in fp32, and in the plan's dtype where that is another.
2. The planned side answers the same, from the same token ids; what lies in memory is compared
   with the files, and with that of a second load.
3. Figures and the verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from trueup.adapt.plan import Plan
from trueup.adapt.planning import PlannedFacts
from trueup.errors import AdaptError
from trueup.proof import comparison
from trueup.proof.answers_file import Answers
from trueup.proof.job import Job, Side
from trueup.proof.process import Interpreter, run_job
from trueup.proof.questions import CONVERSATIONS, GREEDY, SENTENCES, UNCACHED, Questions
from trueup.proof.reference import Reference, UnprovenError

FP32 = "float32"
Say = Callable[[str], None]
Verdict = Literal["proven", "failed", "unproven"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """One run: which plan, which questions, where files lie meanwhile, how it tells progress.

    `loads_whole` says that the plan as it serves may lie in memory, whatever its fp32 needs.
    """

    facts: PlannedFacts
    questions: Questions
    folder: Path
    say: Say
    is_streamed: bool = False
    loads_whole: bool = True

    @property
    def plan(self) -> Plan:
        """The plan that is looked at."""
        return self.facts.plan

    def dtypes(self) -> tuple[str, ...]:
        """Fp32, then the plan's where it is another."""
        return tuple(dict.fromkeys((FP32, self.plan.dtype)))

    def answers_path(self, side: Side, dtype: str) -> Path:
        """Where a side's answers lie."""
        return self.folder / f"{side}-{dtype}.npz"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A verdict with its reasons and everything that was measured, as JSON."""

    verdict: Verdict
    reasons: tuple[str, ...]
    measured: Mapping[str, Any] = field(default_factory=dict)


def ask_reference(asking: Asking, reference: Reference) -> dict[str, Answers]:
    """The reference's answers by dtype; the later ones are to the token ids of the first.

    Raises: AdaptError with what the reference met; UnprovenError where it contradicts itself.
    """
    answers: dict[str, Answers] = {}
    for dtype in asking.dtypes():
        job = Job(
            side="reference",
            plan=asking.plan,
            dtype=dtype,
            questions=asking.questions,
            output=asking.answers_path("reference", dtype),
            code=reference.code,
            asked=asking.answers_path("reference", FP32) if answers else None,
            is_streamed=asking.is_streamed,
        )
        try:
            answers[dtype] = run_job(job, reference.interpreter, _said(asking, "reference", dtype))
        except AdaptError as error:
            error.hint = error.hint or _dtype_hint(dtype)
            raise
    check_reference(asking, answers, reference.words)
    return answers


def check_reference(asking: Asking, answers: Mapping[str, Answers], words: str) -> None:
    """Refuse answers that prove nothing: some are missing, or they cannot be right.

    Raises: UnprovenError with what is wrong with the reference, which `words` describe.
    """
    for dtype, each in answers.items():
        reason = _lacking(asking, each) or _contradiction(each, dtype)
        if reason is not None:
            raise UnprovenError(f"the reference {reason}", where=words, hint=_dtype_hint(dtype))


def _dtype_hint(dtype: str) -> str | None:
    """What is left where the published code has answered in fp32 and cannot in this dtype."""
    return None if dtype == FP32 else "trueup verify MODEL --dtype float32"


def ask_planned(asking: Asking, interpreter: Interpreter) -> dict[str, Answers]:
    """The planned side's answers by dtype, to the token ids of the reference in fp32.

    Where the plan fits into memory it is loaded and asked as it serves, even if its fp32 goes layer
    by layer; `digest` holds what lay in memory after one more load of it.

    Raises: AdaptError with what the planned side met.
    """
    dtype = asking.plan.dtype
    runs: list[tuple[Side, str]] = [("planned", each) for each in asking.dtypes()]
    if asking.loads_whole:
        runs.append(("digest", dtype))
    answers: dict[str, Answers] = {}
    for side, each in runs:
        job = Job(
            side=side,
            plan=asking.plan,
            dtype=each,
            questions=asking.questions,
            output=asking.answers_path(side, each),
            asked=None if side == "digest" else asking.answers_path("reference", FP32),
            is_streamed=asking.is_streamed and not (asking.loads_whole and each == dtype),
        )
        word = "planned" if side == "planned" else "planned, a second load"
        answers["digest" if side == "digest" else each] = run_job(
            job, interpreter, _said(asking, word, each)
        )
    return answers


def judge(
    asking: Asking, reference: Mapping[str, Answers], planned: Mapping[str, Answers]
) -> Outcome:
    """Figures of every dtype, and whether the plan is what was published."""
    dtype = asking.plan.dtype
    exact = comparison.figures(_as_asked(reference[FP32], planned[FP32]), planned[FP32])
    layers = comparison.layer_figures(reference[FP32], planned[FP32])
    reasons = [
        *comparison.against_tokens(reference[FP32], planned[FP32]),
        *comparison.against_layers(layers),
        *comparison.against_fp32(exact),
        *comparison.against_lost_cache(reference[FP32], planned[FP32]),
    ]
    measured: dict[str, Any] = {
        "figures": {FP32: [each.as_dict() for each in exact]},
        "tokenizer": comparison.compared_tokens(reference[FP32], planned[FP32]),
    }
    if layers:
        measured["layers"] = [each.relative for each in layers]
    if dtype != FP32:
        expected = _as_asked(reference[FP32], planned[dtype])
        rounded = comparison.figures(expected, planned[dtype])
        own = comparison.figures(expected, _as_asked(reference[dtype], planned[dtype]))
        reasons += comparison.against_rounding(dtype, rounded, own)
        measured["figures"][dtype] = [each.as_dict() for each in rounded]
        measured["figures"][f"reference {dtype}"] = [each.as_dict() for each in own]
    if asking.plan.embedding is None:
        reasons += comparison.against_chats(reference[FP32], planned[FP32])
    else:
        reasons += comparison.against_eps(reference[FP32], planned[FP32])
    reasons += _against_memory(planned, dtype, measured)
    measured["versions"] = {
        "reference": reference[FP32].facts["versions"],
        "planned": planned[FP32].facts["versions"],
    }
    measured["peak_bytes"] = {
        side: max((each.facts["peak_bytes"] or 0 for each in answers.values()), default=0)
        for side, answers in (("reference", reference), ("planned", planned))
    }
    return Outcome(
        verdict="failed" if reasons else "proven", reasons=tuple(reasons), measured=measured
    )


def _as_asked(reference: Answers, planned: Answers) -> Answers:
    """The reference's answers to all that the planned side was asked in that run."""
    is_served = planned.facts.get("is_stepped") and f"{GREEDY}/logits" in reference.arrays
    return comparison.as_served(reference) if is_served else reference


def _against_memory(
    planned: Mapping[str, Answers], dtype: str, measured: dict[str, Any]
) -> list[str]:
    """What was found in memory: against the files, and against a second load."""
    reasons = []
    for each, answers in planned.items():
        found = answers.facts.get("inspection")
        if found is None:
            continue
        measured.setdefault("inspection", {})[dtype if each == "digest" else each] = found
        for deviation in found["deviations"]:
            reasons.append(f"in memory: `{deviation['name']}` {deviation['what']}")
    if "digest" in planned:
        again = planned["digest"].facts["memory_digest"]
        measured["memory_digest"] = again
        if again != planned[dtype].facts.get("memory_digest", again):
            reasons.append("two loads of the same files leave different values in memory")
    return reasons


def _lacking(asking: Asking, answers: Answers) -> str | None:
    """What was asked and has no answer."""
    asked = asking.questions.cases(generates=asking.plan.embedding is None)
    missing = [case for case in asked if case not in answers.cases()]
    if missing:
        return f"gives no answer to `{missing[0]}`"
    tokens = answers.facts.get("tokens", {})
    for kind, texts in (("texts", SENTENCES), ("chats", CONVERSATIONS)):
        if len(tokens.get(kind, ())) != len(texts):
            return f"does not say how the {len(texts)} {kind} become tokens"
    if not asking.is_streamed and "inspection" not in answers.facts:
        return "was not compared with its files"
    return None


def _contradiction(answers: Answers, dtype: str) -> str | None:
    """Why answers cannot be right by themselves."""
    import numpy as np

    for found in answers.facts.get("inspection", {}).get("deviations", ()):
        if found.get("is_in_file"):
            return (
                f"cannot be right, because of its files: `{found['name']}` {found['what']}; they "
                "are damaged, or were published so"
            )
        return f"is not what its files hold: `{found['name']}` {found['what']}"
    for case in answers.cases():
        if not np.isfinite(answers.arrays[f"{case}/logits"]).all():
            return f"contradicts itself: {case}: its logits in {dtype} are not finite"
    both = [answers.arrays.get(f"{case}/logits") for case in (GREEDY, UNCACHED)]
    if dtype != FP32 or both[0] is None or both[1] is None:
        return None
    steps = len(both[1])
    furthest = float(np.abs(both[0][:steps] - both[1]).max())
    if furthest > 10 * comparison.FP32_BAR:
        return (
            f"contradicts itself: with and without its cache, logits differ by {furthest:.1e} in "
            "fp32"
        )
    return None


def _said(asking: Asking, side: str, dtype: str) -> Say:
    return lambda text: asking.say(f"{side} in {dtype}: {text}")
