"""Both sides of a proof in this process: what the child does, without its confinement."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from trueup.adapt import load
from trueup.adapt.planning import PlannedFacts, plan_with_facts
from trueup.adapt.wishes import Wishes
from trueup.proof import child
from trueup.proof.answers_file import Answers, read_answers
from trueup.proof.job import Job, Side
from trueup.proof.questions import Questions
from trueup.proof.verify import Asking

FP32 = "float32"
# Fewer than a user's proof asks: one of each kind.
FEW = Questions(
    seed=0,
    lengths=(5, 17),
    greedy_tokens=8,
    uncached_tokens=4,
    batch_lengths=(5, 12),
    batch_tokens=4,
    limit_tokens=0,
)
Fault = Callable[[load.Loaded], load.Loaded]


def facts_of(directory: Path | str, dtype: str = FP32, route: str = "auto") -> PlannedFacts:
    return plan_with_facts(
        str(directory), Wishes(dtype=dtype, device="cpu", route=route), is_run=True
    )


def asking_of(facts: PlannedFacts, folder: Path, questions: Questions = FEW) -> Asking:
    return Asking(facts=facts, questions=questions, folder=folder, say=lambda _: None)


def answers_here(asking: Asking, side: Side, *, is_streamed: bool = False) -> Answers:
    """What a side answers in fp32; the planned one is asked with the reference's token ids."""
    output = asking.answers_path(side, FP32)
    asked = asking.answers_path("reference", FP32)
    child.run(
        Job(
            side=side,
            plan=asking.plan,
            dtype=FP32,
            questions=asking.questions,
            output=output,
            asked=asked if side == "planned" else None,
            is_streamed=is_streamed,
        )
    )
    return read_answers(output)


def planned_with(asking: Asking, fault: Fault, monkeypatch: pytest.MonkeyPatch) -> Answers:
    """The planned side's answers of a model that is broken after it was loaded and guarded."""
    loads = load.load_plan

    def broken(*given: Any, inspect: load.Inspect) -> load.Loaded:
        loaded = fault(loads(*given))
        inspect(loaded.model)
        return loaded

    monkeypatch.setattr(load, "load_plan", broken)
    return answers_here(asking, "planned")


class WithoutPrefix:
    """A tokenizer that leaves the model's two special tokens out."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def __call__(self, text: str, **options: Any) -> Any:
        made = self._tokenizer(text, **options)
        return {"input_ids": made["input_ids"][2:]}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)


def without_prefix(loaded: load.Loaded) -> load.Loaded:
    return replace(loaded, tokenizer=WithoutPrefix(loaded.tokenizer))


def run_reference(job: Job, python: Path, folder: Path) -> Answers:
    """A reference in another interpreter, in a process as a proof starts it."""
    from trueup.proof.process import other_interpreter, run_job

    try:
        return run_job(job, other_interpreter(python, folder), lambda _: None)
    except Exception:
        print(job.output.with_suffix(".log").read_text(encoding="utf-8"))
        raise
