"""From a plan to its record, with a small model of the library: children and all."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.adapt.library_checkpoints import build_library_checkpoint
from tests.proof.sides import FEW, answers_here, asking_of, facts_of
from trueup.adapt import load_library
from trueup.adapt.planning import PlannedFacts
from trueup.cli.main import main
from trueup.errors import CheckpointError
from trueup.proof import child, proving, verify
from trueup.proof.answers_file import Answers, read_answers
from trueup.proof.golden import file_digest
from trueup.proof.job import Job
from trueup.proof.process import this_interpreter
from trueup.proof.proving import Proved, Wanted, prove, record_golden
from trueup.proof.questions import Questions
from trueup.proof.reference import Reference, UnprovenError
from trueup.proof.streamed import layers_of, load_streamed
from trueup.proof.verify import Outcome, ask_planned, ask_reference, check_reference, judge

FP32 = "float32"


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> PlannedFacts:
    directory = tmp_path_factory.mktemp("llama") / "model"
    return facts_of(build_library_checkpoint("llama", directory, num_hidden_layers=3))


@pytest.fixture(scope="module")
def few() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(proving, "questions_for", lambda *_, **__: FEW)
        yield


@pytest.fixture(scope="module")
def said() -> list[str]:
    return []


@pytest.fixture(scope="module")
def proved(facts: PlannedFacts, few: None, said: list[str]) -> Proved:
    return prove(facts, Wanted(), said.append)


def test_a_model_of_the_installed_release_is_proven(proved: Proved, said: list[str]) -> None:
    assert (proved.outcome.verdict, proved.outcome.reasons) == ("proven", ())
    assert proved.shape["reference"]["kind"] == "library"
    assert said[0] == "reference in float32: loading"


def test_the_record_is_what_was_measured(proved: Proved) -> None:
    assert proved.record is not None
    record = json.loads(proved.record.read_text())

    assert record["verdict"] == "proven"
    assert record["tried"]["extent"] == "loaded"
    files = "files of transformers"
    assert record["reference"]["environment"][files] == record["subject"][files]
    assert Questions.from_dict(record["questions"]) == FEW
    assert record["versions"]["planned"]["torch"] == record["versions"]["reference"]["torch"]
    assert [each["case"] for each in record["figures"][FP32]] == [
        "prompt-5",
        "prompt-17",
        "greedy",
        "uncached",
        "batch",
        "served",
    ]


def test_a_proven_model_is_shown_by_the_plan(
    proved: Proved, facts: PlannedFacts, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = facts.plan.model.directory
    assert main(["plan", directory, "--dtype", FP32, "--device", "cpu"]) == 0

    assert "proof:   proven up to 17 tokens, whole, in" in capsys.readouterr().out


def test_the_last_bit_of_a_weight_fails_an_earlier_proof(
    proved: Proved, facts: PlannedFacts
) -> None:
    path = Path(facts.plan.model.directory) / "model.safetensors"
    before = path.read_bytes()
    path.write_bytes(before[:-4] + bytes([before[-4] ^ 1]) + before[-3:])
    try:
        proof = facts_of(facts.plan.model.directory).plan.proof
    finally:
        path.write_bytes(before)

    assert proof.state == "unproven"
    assert "`weights`" in (proof.reason or "")


@pytest.fixture(scope="module")
def golden(facts: PlannedFacts, few: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("golden") / "golden.npz"
    record_golden(facts, Wanted(), path, lambda _: None)
    return path


def test_golden_answers_prove_it_elsewhere_and_not_another_model(
    golden: Path, facts: PlannedFacts, tmp_path: Path
) -> None:
    again = prove(facts, Wanted(reference_file=golden), lambda _: None)

    assert again.outcome.verdict == "proven"
    assert again.shape["reference"]["digest"] == file_digest(golden)
    other = facts_of(build_library_checkpoint("llama", tmp_path / "other", rope_theta=5000.0))
    with pytest.raises(CheckpointError, match="another model's files"):
        prove(other, Wanted(reference_file=golden), lambda _: None)


def test_golden_answers_in_another_dtype_prove_nothing(golden: Path, facts: PlannedFacts) -> None:
    narrow = facts_of(facts.plan.model.directory, "bfloat16")

    found = prove(narrow, Wanted(reference_file=golden), lambda _: None)

    assert found.outcome.verdict == "unproven"
    assert "the plan needs bfloat16" in found.outcome.reasons[0]
    assert found.record is None


def test_golden_answers_to_other_questions_prove_nothing(
    golden: Path, facts: PlannedFacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        proving, "questions_for", lambda *_, **__: replace(FEW, lengths=(5, 17, 64))
    )

    found = prove(facts, Wanted(reference_file=golden), lambda _: None)

    assert (found.outcome.verdict, found.record) == ("unproven", None)
    assert "to other questions" in found.outcome.reasons[0]


@pytest.mark.parametrize(
    ("left_out", "told"),
    [
        ("greedy/logits", "gives no answer to `greedy`"),
        ("tokens", "does not say how the 14 texts become tokens"),
        ("inspection", "was not compared with its files"),
    ],
)
def test_answers_that_are_not_all_prove_nothing(
    left_out: str, told: str, facts: PlannedFacts, tmp_path: Path
) -> None:
    asking = asking_of(facts, tmp_path)
    whole = answers_here(asking, "reference")
    part = Answers(
        arrays={name: each for name, each in whole.arrays.items() if name != left_out},
        facts={name: each for name, each in whole.facts.items() if name != left_out},
    )

    check_reference(asking, {FP32: whole}, "the library's class")
    with pytest.raises(UnprovenError, match=told):
        check_reference(asking, {FP32: part}, "the library's class")


def test_a_reference_that_is_not_finite_in_the_plan_s_dtype_proves_nothing(
    facts: PlannedFacts, tmp_path: Path
) -> None:
    asking = asking_of(facts, tmp_path)
    whole = answers_here(asking, "reference")
    odd = whole.arrays["batch/logits"].copy()
    odd[0, 0] = np.inf
    half = Answers(arrays={**whole.arrays, "batch/logits": odd}, facts=whole.facts)

    with pytest.raises(UnprovenError, match="batch: its logits in float16 are not finite") as told:
        check_reference(asking, {FP32: whole, "float16": half}, "the library's class")
    assert told.value.hint == "trueup verify MODEL --dtype float32"


def test_a_reference_that_is_not_its_files_proves_nothing(
    facts: PlannedFacts, tmp_path: Path
) -> None:
    asking = asking_of(facts, tmp_path)
    whole = answers_here(asking, "reference")
    stale = {"name": "rotary_emb.inv_freq", "what": "has no values"}
    odd = replace(whole, facts={**whole.facts, "inspection": {"deviations": [stale]}})

    with pytest.raises(UnprovenError, match="not what its files hold: `rotary_emb"):
        check_reference(asking, {FP32: odd}, "the library's class")


def test_an_engine_that_serves_another_answer_is_found(
    facts: PlannedFacts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trueup.engines.sequence import ModelSequence

    asking = asking_of(facts, tmp_path)
    reference = answers_here(asking, "reference")
    feed = ModelSequence.feed

    def misread(sequence: ModelSequence, token_ids: Sequence[int]) -> object:
        """What comes after a cache, several tokens at a time, is read in another order."""
        has_past = sequence._cache.get_seq_length() > 0
        return feed(sequence, token_ids[::-1] if has_past else token_ids)

    monkeypatch.setattr(ModelSequence, "feed", misread)

    outcome = judge(asking, {FP32: reference}, {FP32: answers_here(asking, "planned")})

    assert outcome.verdict == "failed"
    assert [each.partition(":")[0] for each in outcome.reasons] == ["served"]


LITTLE = Questions(
    seed=0,
    lengths=(5, 17),
    greedy_tokens=3,
    uncached_tokens=0,
    batch_lengths=(),
    batch_tokens=0,
    limit_tokens=0,
)


def test_layer_by_layer_is_what_the_whole_model_says(facts: PlannedFacts, tmp_path: Path) -> None:
    asking = asking_of(facts, tmp_path, LITTLE)
    whole = answers_here(asking, "reference")
    by_layer = answers_here(asking, "planned", is_streamed=True)

    streamed = replace(asking, is_streamed=True)
    outcome = judge(streamed, {FP32: whole}, {FP32: by_layer})

    assert (outcome.verdict, outcome.reasons) == ("proven", ())
    layers = [name for name in by_layer.arrays if name.startswith("layers/")]
    assert layers == ["layers/000", "layers/001", "layers/002"]


def verdict_here(
    facts: PlannedFacts, folder: Path, monkeypatch: pytest.MonkeyPatch, *, loads_whole: bool
) -> Outcome:
    """The course of a proof layer by layer, its children in this process."""

    def run_here(job: Job, *_: object) -> Answers:
        child.run(job)
        return read_answers(job.output)

    monkeypatch.setattr(verify, "run_job", run_here)
    asking = replace(asking_of(facts, folder), is_streamed=True, loads_whole=loads_whole)
    reference = Reference(interpreter=this_interpreter(), code=None, words="the library's class")
    answers = ask_reference(asking, reference)
    return judge(asking, answers, ask_planned(asking, reference.interpreter))


@pytest.mark.parametrize("loads_whole", [True, False])
def test_a_fault_of_the_loader_is_found_where_it_goes_layer_by_layer(
    loads_whole: bool, facts: PlannedFacts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = verdict_here(facts, tmp_path, monkeypatch, loads_whole=loads_whole)
    loads = load_library.load_library

    def other_eps(*given: Any) -> Any:
        model, tokenizer, stops = loads(*given)
        for module in model.modules():
            if hasattr(module, "variance_epsilon"):
                assert module.variance_epsilon == 1e-6
                module.variance_epsilon = 1e-5
        return model, tokenizer, stops

    monkeypatch.setattr(load_library, "load_library", other_eps)
    broken = verdict_here(facts, tmp_path, monkeypatch, loads_whole=loads_whole)

    assert (sound.verdict, sound.reasons) == ("proven", ())
    cases = {each["case"] for each in sound.measured["figures"][FP32]}
    assert ("served" in cases, "memory_digest" in sound.measured) == (loads_whole, loads_whole)
    assert broken.verdict == "failed"
    assert any("differ" in reason for reason in broken.reasons)


def test_layer_by_layer_no_weight_stays(facts: PlannedFacts, tmp_path: Path) -> None:
    job = Job(
        side="planned",
        plan=facts.plan,
        dtype=FP32,
        questions=LITTLE,
        output=tmp_path / "answers.npz",
        is_streamed=True,
    )
    model = load_streamed(job).model
    import torch

    with torch.no_grad():
        model(input_ids=torch.tensor([[1, 2, 3]]))

    assert all(each.is_meta for each in model.parameters())
    assert not any(each.is_meta for each in model.buffers())
    assert len(layers_of(model)) == 3


def test_a_layer_that_is_another_one_is_named(
    facts: PlannedFacts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trueup.proof import streamed

    asking = replace(asking_of(facts, tmp_path, LITTLE), is_streamed=True)
    reference = answers_here(asking, "reference", is_streamed=True)
    reads = streamed._read

    def other(stream: streamed.Stream, name: str) -> object:
        values = reads(stream, name)
        return values.roll(1, 0) if name == "model.layers.1.mlp.up_proj.weight" else values

    monkeypatch.setattr(streamed, "_read", other)
    planned = answers_here(asking, "planned", is_streamed=True)

    outcome = judge(asking, {FP32: reference}, {FP32: planned})

    assert outcome.verdict == "failed"
    assert outcome.reasons[0].startswith("layer 1: its output differs")


def test_a_refused_plan_is_unproven(facts: PlannedFacts) -> None:
    refused = replace(facts, plan=replace(facts.plan, route="refused", why=("no class",)))

    found = prove(refused, Wanted(), lambda _: None)

    assert (found.outcome.verdict, found.record) == ("unproven", None)
    assert "no class" in found.outcome.reasons[0]
