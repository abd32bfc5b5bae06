"""Layouts whose own code does not stay as it was loaded, and one in its own environment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from tests.checkpoints.build import build_checkpoint
from tests.checkpoints.chatglm_v1 import build_chatglm_v1
from tests.checkpoints.llama_kinds import build_llama_kind
from tests.environments import python_for
from tests.proof.sides import FEW, FP32, answers_here, asking_of, facts_of, run_reference
from trueup.adapt.planning import plan_with_facts
from trueup.adapt.wishes import Wishes
from trueup.proof import proving
from trueup.proof.job import Job
from trueup.proof.proving import Wanted, prove
from trueup.proof.verify import check_reference, judge
from trueup.trust.code import read_code
from trueup.trust.consents import Consents
from trueup.trust.copy import trusted_code

pytestmark = pytest.mark.environment


@pytest.mark.parametrize(
    "build",
    [
        # Builds its layers in fp16, and keeps tables that its forward pass makes.
        pytest.param(build_chatglm_v1, id="chatglm-6b"),
        # Its head divides its own weights by their length in the first forward pass.
        pytest.param(partial(build_llama_kind, "baichuan2-7b"), id="baichuan2-7b"),
    ],
)
def test_its_own_code_with_named_fixes_is_what_was_published(
    build: Callable[[Path], Path], tmp_path: Path
) -> None:
    facts = facts_of(build(tmp_path / "model"))
    Consents().give(read_code(facts.checkpoint), ["model"])
    facts = facts_of(tmp_path / "model", route="fixed")
    folder = tmp_path / "proof"
    folder.mkdir()
    asking = asking_of(facts, folder)
    job = Job(
        side="reference",
        plan=facts.plan,
        dtype=FP32,
        questions=FEW,
        output=asking.answers_path("reference", FP32),
        code=trusted_code(facts.checkpoint).digest,
    )
    reference = run_reference(job, python_for("worker-4.30"), folder)

    check_reference(asking, {FP32: reference}, "its own code")
    outcome = judge(asking, {FP32: reference}, {FP32: answers_here(asking, "planned")})

    assert (outcome.verdict, outcome.reasons) == ("proven", ())
    assert outcome.measured["inspection"][FP32]["not_compared"] == []
    by_layer = answers_here(asking, "planned", is_streamed=True)
    outcome = judge(replace(asking, is_streamed=True), {FP32: reference}, {FP32: by_layer})
    assert (outcome.verdict, outcome.reasons) == ("proven", ())


def test_a_plan_in_an_environment_of_its_own_is_proven(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proving, "questions_for", lambda *_, **__: FEW)
    python = python_for("worker-4.30")
    directory = build_checkpoint("chatglm2", tmp_path / "model")
    Consents().give(read_code(facts_of(directory).checkpoint), ["model"])
    wishes = Wishes(dtype=FP32, device="cpu", route="isolated", python=str(python))
    facts = plan_with_facts(str(directory), wishes, is_run=True)

    proved = prove(facts, Wanted(reference_python=python), lambda _: None)

    assert (proved.shape["route"], proved.outcome.reasons) == ("isolated", ())
    assert proved.outcome.verdict == "proven"
    assert proved.shape["versions"]["planned"]["transformers"].startswith("4.30.")
    assert proved.shape["tried"]["extent"] == "loaded"
