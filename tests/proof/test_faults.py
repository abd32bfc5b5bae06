"""Faults that somebody could have made, each found by a proof against the model's own code."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.environments import python_for
from tests.proof.faults import FAULTS, lost_cache
from tests.proof.sides import (
    FP32,
    answers_here,
    asking_of,
    facts_of,
    planned_with,
    run_reference,
    without_prefix,
)
from trueup.proof.answers_file import Answers
from trueup.proof.job import Job
from trueup.proof.verify import Asking, judge
from trueup.trust.code import read_code
from trueup.trust.consents import Consents
from trueup.trust.copy import trusted_code

pytestmark = pytest.mark.environment


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Asking:
    facts = facts_of("demo")
    Consents().give(read_code(facts.checkpoint), ["demo"])
    return asking_of(facts, tmp_path_factory.mktemp("proof"))


@pytest.fixture(scope="module")
def reference(asking: Asking) -> Answers:
    """The demo's own code, unchanged, in an environment of its time."""
    job = Job(
        side="reference",
        plan=asking.plan,
        dtype=FP32,
        questions=asking.questions,
        output=asking.answers_path("reference", FP32),
        code=trusted_code(asking.facts.checkpoint).digest,
    )
    return run_reference(job, python_for("reference-4.41"), asking.folder)


def test_what_is_loaded_is_what_was_published(asking: Asking, reference: Answers) -> None:
    outcome = judge(asking, {FP32: reference}, {FP32: answers_here(asking, "planned")})

    assert (outcome.verdict, outcome.reasons) == ("proven", ())
    found = outcome.measured["inspection"][FP32]
    assert (found["deviations"], found["not_compared"]) == ([], [])
    assert found["tensors"] == 58
    assert found["buffers"] > 0


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found(
    name: str, asking: Asking, reference: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault, told = FAULTS[name]

    outcome = judge(asking, {FP32: reference}, {FP32: planned_with(asking, fault, monkeypatch)})

    assert outcome.verdict == "failed"
    assert told in "; ".join(outcome.reasons)


def test_a_tokenizer_without_the_prefix_is_found(
    asking: Asking, reference: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = planned_with(asking, without_prefix, monkeypatch)

    outcome = judge(asking, {FP32: reference}, {FP32: planned})

    assert outcome.verdict == "failed"
    assert outcome.reasons[0].startswith("tokenizer: the text")
    assert "number 1 on" in outcome.reasons[0]


def test_its_own_code_with_named_fixes_is_what_was_published(
    asking: Asking, reference: Answers
) -> None:
    fixed = replace(asking, facts=facts_of("demo", route="fixed"))
    assert fixed.plan.route == "fixed"

    outcome = judge(fixed, {FP32: reference}, {FP32: answers_here(fixed, "planned")})

    assert (outcome.verdict, outcome.reasons) == ("proven", ())


def test_a_cache_that_is_lost_between_steps_is_found(
    asking: Asking, reference: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    fixed = replace(asking, facts=facts_of("demo", route="fixed"))

    outcome = judge(fixed, {FP32: reference}, {FP32: planned_with(fixed, lost_cache, monkeypatch)})

    assert outcome.verdict == "failed"
    # What it makes is right on this route, by reading the whole text again for every token.
    assert outcome.reasons[0].startswith("greedy: its cache is lost, 164 positions were read")
