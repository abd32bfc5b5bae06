"""Proofs of models that make embeddings: their hidden states, and the vectors that are served."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.checkpoints.encoders import build_encoder
from tests.proof.sides import FP32, answers_here, asking_of, facts_of
from trueup.adapt import load
from trueup.proof.answers_file import Answers
from trueup.proof.questions import Questions
from trueup.proof.reference import choose_reference
from trueup.proof.verify import Asking, judge

FEW = Questions(
    seed=0,
    lengths=(5, 17),
    greedy_tokens=0,
    uncached_tokens=0,
    batch_lengths=(5, 12),
    batch_tokens=0,
    limit_tokens=0,
    limit_steps=0,
)


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Asking:
    directory = build_encoder("roberta", tmp_path_factory.mktemp("codebert") / "model")
    path = directory / "config.json"
    config = json.loads(path.read_text())
    del config["transformers_version"]  # CodeBERT's has none
    config["layer_norm_eps"] = 1e-5  # as RoBERTa's
    path.write_text(json.dumps(config))
    return asking_of(facts_of(directory), tmp_path_factory.mktemp("proof"), FEW)


@pytest.fixture(scope="module")
def reference(asking: Asking) -> Answers:
    return answers_here(asking, "reference")


def test_an_encoder_is_proven(asking: Asking, reference: Answers) -> None:
    outcome = judge(asking, {FP32: reference}, {FP32: answers_here(asking, "planned")})

    assert (outcome.verdict, outcome.reasons) == ("proven", ())
    cases = [each["case"] for each in outcome.measured["figures"][FP32]]
    assert cases == ["prompt-5", "prompt-17", "alone", "batch"]
    assert outcome.measured["inspection"][FP32]["deviations"] == []


def test_vectors_are_those_of_texts_that_stand_alone(reference: Answers) -> None:
    alone, batch = (reference.arrays[f"{case}/logits"] for case in ("alone", "batch"))

    assert np.array_equal(alone, batch)
    assert alone.shape == (2, 64)


def test_without_a_release_in_its_config_the_installed_one_is_the_reference(
    asking: Asking, tmp_path: Path
) -> None:
    installed = asking.facts.environment.packages["transformers"]

    found = choose_reference(asking.facts, None, tmp_path)

    assert found.words == f"the library's class in transformers {installed}"


def other_activation(model: Any) -> None:
    model.encoder.layer[1].intermediate.intermediate_act_fn = torch.nn.GELU(approximate="tanh")


def swapped(model: Any) -> None:
    attention = model.encoder.layer[0].attention.self
    attention.query, attention.key = attention.key, attention.query


def other_eps(model: Any) -> None:
    for module in model.modules():
        if isinstance(module, torch.nn.LayerNorm):
            assert module.eps == 1e-5
            module.eps = 1e-6


def training(model: Any) -> None:
    model.train()


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (other_activation, "differ by"),
        (swapped, "differ by"),
        (other_eps, "eps of its normalisations is 1e-06, expected 1e-05"),
        (training, "training mode"),
    ],
)
def test_a_fault_of_an_encoder_is_found(
    fault: Callable[[Any], None],
    told: str,
    asking: Asking,
    reference: Answers,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loads = load.load_encoder_plan

    def broken(*given: Any, inspect: load.Inspect, **named: Any) -> load.LoadedEncoder:
        loaded = loads(*given, **named)
        fault(loaded.model)
        inspect(loaded.model)
        return loaded

    monkeypatch.setattr(load, "load_encoder_plan", broken)

    outcome = judge(asking, {FP32: reference}, {FP32: answers_here(asking, "planned")})

    assert outcome.verdict == "failed"
    assert told in "; ".join(outcome.reasons)


def test_padding_that_is_attended_to_is_found(
    asking: Asking, reference: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trueup.engines import encoder

    pads = encoder.padded

    def attended(rows: Any, pad_id: int) -> Any:
        token_ids, mask = pads(rows, pad_id)
        return token_ids, np.ones_like(mask)

    monkeypatch.setattr(encoder, "padded", attended)

    outcome = judge(asking, {FP32: reference}, {FP32: answers_here(asking, "planned")})

    assert outcome.verdict == "failed"
    assert [each.partition(":")[0] for each in outcome.reasons] == ["batch"]
