"""Native models against what the public remote code computed on the same seeded weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import trueup
from tests.checkpoints.build import weights_digest
from tests.parity import golden_cases
from tests.parity.comparison import (
    MISTAKES,
    ROPE_RATIO_MISREAD,
    distance,
    with_mistake,
)


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    loaded: dict[str, Any] = {}

    def load(name: str) -> Any:
        if name not in loaded:
            directory = golden_cases.checkpoint(name, tmp_path_factory.mktemp(name))
            loaded[name], _ = trueup.load(str(directory), device="cpu", dtype="float32")
        return loaded[name]

    return load


@pytest.mark.parametrize("name", golden_cases.CASES)
def test_seeded_weights_are_those_that_the_public_code_ran_on(name: str) -> None:
    case = golden_cases.CASES[name]
    assert weights_digest(case["config"], case["seed"]) == case["weights_sha256"]


@pytest.mark.parametrize("name", golden_cases.CASES)
def test_native_answers_to_a_padded_batch_equal_those_of_the_public_code(
    name: str, native: Callable[[str], Any]
) -> None:
    assert type(native(name)).__name__ == "GlmForCausalLM"
    assert distance(native(name), golden_cases.batch(name)).is_parity


@pytest.mark.parametrize("name", golden_cases.CASES)
def test_native_answers_to_a_single_prompt_equal_those_of_the_public_code(
    name: str, native: Callable[[str], Any]
) -> None:
    assert distance(native(name), golden_cases.single(name)).is_parity


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("name", ["chatglm2", "chatglm3", "glm4"])
def test_a_mistake_in_the_mapping_is_no_parity(
    name: str, mistake: str, native: Callable[[str], Any]
) -> None:
    mistaken = with_mistake(native(name), MISTAKES[mistake])
    assert not distance(mistaken, golden_cases.batch(name)).is_parity


@pytest.mark.parametrize("weights_format", ["sharded", "pickle", "sharded-pickle"])
def test_parity_holds_whatever_file_format_the_weights_have(
    weights_format: str, tmp_path: Path
) -> None:
    directory = golden_cases.checkpoint("chatglm3", tmp_path, weights_format=weights_format)
    model, _ = trueup.load(str(directory), device="cpu", dtype="float32")
    assert distance(model, golden_cases.batch("chatglm3")).is_parity


@pytest.mark.parametrize("name", ROPE_RATIO_MISREAD)
def test_rope_ratio_in_the_meaning_of_the_other_family_is_no_parity(
    name: str, native: Callable[[str], Any]
) -> None:
    misread = with_mistake(native(name), ROPE_RATIO_MISREAD[name])
    assert not distance(misread, golden_cases.batch(name)).is_parity
